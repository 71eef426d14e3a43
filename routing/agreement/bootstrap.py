"""Intervals by resampling items."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import special

from routing.agreement.coefficients import FloatArray, Formula
from routing.agreement.patterns import IntArray
from routing.intervals import Interval

_CELLS = 1 << 21  # resampled multiplicities held at once: 16 MiB


def bca_interval(
    formula: Formula,
    patterns: IntArray,
    multiplicity: IntArray,
    *,
    rng: np.random.Generator,
    resamples: int,
    alpha: float,
) -> Interval | None:
    """Bias-corrected and accelerated bootstrap interval over items, or None where resampling shows no spread.

    Drawing as many items as there are, with replacement, changes only how often each pattern occurs: one
    multinomial draw over patterns is exactly one resample of the items. Resamples on which the coefficient
    is undefined are left out.

    Args:
        formula: The coefficient.
        patterns: Distinct count vectors, shape (n_patterns, n_labels).
        multiplicity: Items that show each, shape (n_patterns,), all above 0.
        rng: Source of the resamples.
        resamples: How many.
        alpha: Allowed probability that the interval misses, both sides together.

    Source:
        Efron (1987), JASA 82(397); Efron & Tibshirani (1993), chapter 14.
    """
    features = formula.features(patterns)
    sums = multiplicity @ features
    value = float(formula.value(sums))
    draws = _replicates(formula, features, multiplicity, rng, resamples)
    draws = draws[~np.isnan(draws)]
    if draws.size == 0 or np.ptp(draws) == 0:
        return None
    below = (np.count_nonzero(draws < value) + np.count_nonzero(draws == value) / 2) / draws.size
    edge = 0.5 / draws.size
    bias = float(special.ndtri(np.clip(below, edge, 1 - edge)))
    acceleration = _acceleration(formula.value(sums - features), multiplicity)
    ends = special.ndtri(np.array([alpha / 2, 1 - alpha / 2])) + bias
    places = special.ndtr(bias + ends / (1 - acceleration * ends))
    low, high = np.quantile(draws, places)
    return Interval(float(low), float(high))


def _replicates(
    formula: Formula,
    features: FloatArray,
    multiplicity: IntArray,
    rng: np.random.Generator,
    resamples: int,
) -> FloatArray:
    n_items = int(multiplicity.sum())
    chances = multiplicity / n_items
    step = max(1, _CELLS // multiplicity.size)
    parts = [
        formula.value(rng.multinomial(n_items, chances, size=min(step, resamples - start)) @ features)
        for start in range(0, resamples, step)
    ]
    return np.concatenate(parts)


def _acceleration(without_one: npt.NDArray[np.float64], multiplicity: IntArray) -> float:
    """Skewness of the values without one item each, over all items; 0 where it cannot be told."""
    known = ~np.isnan(without_one)
    if not known.any():
        return 0.0
    values, weights = without_one[known], multiplicity[known]
    distance = np.average(values, weights=weights) - values
    squares = float(weights @ distance**2)
    return float(weights @ distance**3) / (6 * squares**1.5) if squares > 0 else 0.0
