"""The agreement coefficients as functions of sums over items.

Each coefficient is a `features` table, one row a pattern, and a `value` of the weighted sums of those rows.
The sums of a resample, or of all items but one, are one matrix product, which makes the bootstrap and the
jackknife cheap.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from routing.agreement.patterns import IntArray

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Formula:
    """A coefficient: patterns to features (n_patterns, n_sums), sums (..., n_sums) to values (...)."""

    features: Callable[[IntArray], FloatArray]
    value: Callable[[FloatArray], FloatArray]
    undefined: str


def _ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """The quotient, NaN where there is nothing to divide by."""
    quotient: FloatArray = np.full(np.shape(numerator), np.nan)
    return np.divide(numerator, denominator, out=quotient, where=np.asarray(denominator > _NOTHING))


_NOTHING = 1e-12


def _alpha_features(patterns: IntArray) -> FloatArray:
    """Agreeing pairs by 1 / (answers - 1), then answers per label; items of one answer count for nothing."""
    answers = patterns.sum(axis=1)
    pairable = answers >= 2  # noqa: PLR2004 - a pair
    agreeing = (patterns * (patterns - 1)).sum(axis=1) / np.maximum(answers - 1, 1)
    table: FloatArray = np.column_stack([agreeing, patterns]) * pairable[:, None]
    return table


def _alpha_value(sums: FloatArray) -> FloatArray:
    labels = sums[..., 1:]
    total = labels.sum(axis=-1)
    observed = total - sums[..., 0]
    expected = (total**2 - (labels**2).sum(axis=-1)) / np.maximum(total - 1, 1)
    return 1 - _ratio(observed, expected)


def _percent_features(patterns: IntArray) -> FloatArray:
    """Share of agreeing pairs, and 1, for items with two answers or more."""
    answers = patterns.sum(axis=1)
    pairable = answers >= 2  # noqa: PLR2004 - a pair
    agreeing = (patterns * (patterns - 1)).sum(axis=1) / np.maximum(answers * (answers - 1), 1)
    return np.column_stack([agreeing, pairable]).astype(np.float64)


def _percent_value(sums: FloatArray) -> FloatArray:
    return _ratio(sums[..., 0], sums[..., 1])


def _ac1_features(patterns: IntArray) -> FloatArray:
    """As for percent agreement, then the share of each label among the item's answers, single answers too."""
    answers = patterns.sum(axis=1)
    shares = patterns / np.maximum(answers, 1)[:, None]
    return np.column_stack([_percent_features(patterns), shares])


def _ac1_value(sums: FloatArray) -> FloatArray:
    shares = sums[..., 2:]
    n_labels = shares.shape[-1]
    prevalence = _ratio(shares, np.broadcast_to(shares.sum(axis=-1, keepdims=True), shares.shape))
    by_chance = (prevalence * (1 - prevalence)).sum(axis=-1) / max(n_labels - 1, 1)
    observed = _percent_value(sums)
    return _ratio(observed - by_chance, 1 - by_chance)


ALPHA = Formula(_alpha_features, _alpha_value, "all answers are one label: alpha has no variation to explain")
AC1 = Formula(_ac1_features, _ac1_value, "there is one label only: agreement is certain")
PERCENT = Formula(_percent_features, _percent_value, "no item has two answers")
