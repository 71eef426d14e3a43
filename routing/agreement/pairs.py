"""Agreement of two: one annotator with another, the model with people."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from routing.agreement.estimate import Estimate
from routing.agreement.patterns import checked_counts
from routing.errors import RoutingError
from routing.intervals import Interval, wilson

WILSON = "Wilson"


@dataclass(frozen=True, slots=True)
class PairAgreement:
    """How far pairs of annotators agree; every array has shape (n_pairs,).

    Attributes:
        percent: Share of common items with equal answers; NaN where a pair has none.
        low: Lower end of its Wilson interval; NaN where a pair has none.
        high: Upper end.
        kappa: Cohen's kappa; NaN where both always gave the same single label.
        n: Common items.
    """

    percent: npt.NDArray[np.float64]
    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    kappa: npt.NDArray[np.float64]
    n: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ModelAgreement:
    """How far the model agrees with people.

    Attributes:
        share: Share of items on which they agree, with its interval; `n_annotations` equals `n_items`.
        kappa: Cohen's kappa; NaN where both always gave the same single label.
    """

    share: Estimate
    kappa: float


def pairwise(confusions: npt.ArrayLike, *, alpha: float = 0.05) -> PairAgreement:
    """Percent agreement and Cohen's kappa of each pair of annotators.

    Args:
        confusions: Common items by the first's label (rows) and the second's (columns), for each pair,
            shape (n_pairs, n_labels, n_labels).
        alpha: Allowed probability that an interval misses.

    Raises:
        RoutingError: The shape is another, or a count is not a whole number from 0 upwards.

    >>> pair = pairwise([[[20, 5], [10, 15]]])
    >>> pair.percent.tolist(), pair.kappa.round(2).tolist(), pair.n.tolist()
    ([0.7], [0.4], [50])
    """
    table = np.asarray(confusions)
    if table.ndim != 3 or table.shape[1] != table.shape[2]:  # noqa: PLR2004 - pairs, rows, columns
        raise RoutingError(f"confusions have shape {table.shape}; give (n_pairs, n_labels, n_labels)")
    counts = checked_counts(table.reshape(table.shape[0], table.shape[1] ** 2)).reshape(table.shape)
    n = counts.sum(axis=(1, 2))
    equal = np.trace(counts, axis1=1, axis2=2)
    nothing = Interval(math.nan, math.nan)
    ends = [wilson(int(k), int(m), alpha=alpha) if m else nothing for k, m in zip(equal, n, strict=True)]
    return PairAgreement(
        percent=np.divide(equal, n, out=np.full(n.size, np.nan), where=n > 0),
        low=np.array([one.low for one in ends], dtype=np.float64),
        high=np.array([one.high for one in ends], dtype=np.float64),
        kappa=np.array([cohen_kappa(one) for one in counts], dtype=np.float64),
        n=n,
    )


def cohen_kappa(confusion: npt.ArrayLike) -> float:
    """Cohen's kappa of two raters; NaN without items, or where both always gave the same single label.

    Args:
        confusion: Items by the one's label (rows) and the other's (columns), shape (n_labels, n_labels).

    Source:
        Cohen (1960), Educational and Psychological Measurement 20(1).

    >>> round(cohen_kappa([[20, 5], [10, 15]]), 2)
    0.4
    """
    counts = checked_counts(confusion)
    n = int(counts.sum())
    by_chance = int(counts.sum(axis=1) @ counts.sum(axis=0))
    if n * n == by_chance:
        return math.nan
    return (n * int(np.trace(counts)) - by_chance) / (n * n - by_chance)


def model_against_people(confusion: npt.ArrayLike, *, alpha: float = 0.05) -> ModelAgreement:
    """Share of items on which the model and people agree, with a Wilson interval, and kappa.

    Compare only with answers given without sight of the model's suggestion, on items drawn at random.

    Args:
        confusion: Items by the model's label (rows) and people's (columns), shape (n_labels, n_labels).
        alpha: Allowed probability that the interval misses.

    >>> figures = model_against_people([[45, 5], [5, 45]])
    >>> figures.share.value, round(figures.share.low, 3), round(figures.kappa, 2)
    (0.9, 0.826, 0.8)
    """
    counts = checked_counts(confusion)
    if counts.shape[0] != counts.shape[1]:
        raise RoutingError(f"a confusion has shape {counts.shape}; give (n_labels, n_labels)")
    n, equal = int(counts.sum()), int(np.trace(counts))
    if n == 0:
        nothing = math.nan
        share = Estimate(nothing, nothing, nothing, 0, 0, "", "no item has answers of both")
        return ModelAgreement(share, nothing)
    low, high = wilson(equal, n, alpha=alpha)
    return ModelAgreement(Estimate(equal / n, low, high, n, n, WILSON), cohen_kappa(counts))
