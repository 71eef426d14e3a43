"""Answers per item as a small table: each distinct count vector and how many items show it.

Every coefficient here depends on the items only through this table, so a service can keep the table as
its tally and never read the answers again.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from routing.errors import RoutingError

IntArray = npt.NDArray[np.int64]


def patterns_of(counts: npt.ArrayLike) -> tuple[IntArray, IntArray]:
    """Each distinct row of counts once, and how many items show it.

    Args:
        counts: Answers per item and label, shape (n_items, n_labels), whole numbers.

    Returns:
        Patterns, shape (n_patterns, n_labels), and multiplicities, shape (n_patterns,).

    >>> patterns, multiplicity = patterns_of([[2, 0], [1, 1], [2, 0]])
    >>> patterns.tolist(), multiplicity.tolist()
    ([[1, 1], [2, 0]], [1, 2])
    """
    table = checked_counts(counts)
    if table.size == 0:
        return table, np.ones(table.shape[0], dtype=np.int64)
    radix = [int(most) + 1 for most in table.max(axis=0)]
    place, code = 1, np.zeros(table.shape[0], dtype=np.int64)
    for column in range(table.shape[1] - 1, -1, -1):
        if place * radix[column] >= 1 << 62:  # too many labels for one number a row
            patterns, multiplicity = np.unique(table, axis=0, return_counts=True)
            return patterns, multiplicity.astype(np.int64)
        code += table[:, column] * place
        place *= radix[column]
    _, first, multiplicity = np.unique(code, return_index=True, return_counts=True)
    return table[first], multiplicity.astype(np.int64)


def checked_counts(counts: npt.ArrayLike) -> IntArray:
    """The counts as whole numbers, shape (n, n_labels).

    Raises:
        RoutingError: They are no table of whole numbers from 0 upwards.
    """
    raw = np.asarray(counts)
    if raw.ndim != 2 or raw.shape[1] == 0:  # noqa: PLR2004 - a table has two axes
        raise RoutingError(f"counts have shape {raw.shape}; give (n_items, n_labels)")
    table = raw.astype(np.int64)
    if raw.size and (table.min() < 0 or not np.array_equal(table, raw)):
        raise RoutingError("counts of answers are whole numbers from 0 upwards")
    return table
