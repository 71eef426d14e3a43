"""Agreement between people over items: Krippendorff's alpha, Gwet's AC1 and plain percent.

Show AC1 beside alpha: when nearly every item has the same label, alpha falls towards 0 however often
people agree.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from routing.agreement import coefficients
from routing.agreement.bootstrap import bca_interval
from routing.agreement.coefficients import Formula
from routing.agreement.estimate import Estimate
from routing.agreement.patterns import IntArray, checked_counts, patterns_of
from routing.errors import RoutingError
from routing.intervals import clopper_pearson

RESAMPLES = 2000
BCA = "BCa bootstrap over items"
UNANIMOUS = "exact limit of unseen disagreement over items"


class Coefficient(Enum):
    """Which figure."""

    ALPHA = coefficients.ALPHA
    AC1 = coefficients.AC1
    PERCENT = coefficients.PERCENT


@dataclass(frozen=True, slots=True)
class Agreement:
    """The three figures of the same items."""

    alpha: Estimate
    ac1: Estimate
    percent: Estimate


def agreement(
    counts: npt.ArrayLike,
    *,
    rng: np.random.Generator | None = None,
    resamples: int = RESAMPLES,
    level: float = 0.05,
) -> Agreement:
    """Alpha, AC1 and percent agreement of the same items; see `from_patterns`.

    Args:
        counts: Answers per item and label, shape (n_items, n_labels).
        rng: Source of the bootstrap; without it the intervals are NaN.
        resamples: Size of the bootstrap.
        level: Allowed probability that an interval misses.
    """
    patterns, multiplicity = patterns_of(counts)
    return from_patterns(patterns, multiplicity, rng=rng, resamples=resamples, level=level)


def from_patterns(
    patterns: npt.ArrayLike,
    multiplicity: npt.ArrayLike,
    *,
    rng: np.random.Generator | None = None,
    resamples: int = RESAMPLES,
    level: float = 0.05,
) -> Agreement:
    """Alpha, AC1 and percent agreement from the tally of answer patterns.

    Items with fewer than two answers count for nothing, apart from AC1's chance agreement, which looks at
    all answers, as Gwet has it. Intervals are BCa bootstraps over items; where people never disagreed, a
    bootstrap would claim certainty, so the lower end is instead what the exact 95% limit of unseen
    disagreement leaves. Alpha is NaN, with a reason, where all answers are one label.

    Args:
        patterns: Answers per label, one row a pattern, shape (n_patterns, n_labels); rows may repeat.
        multiplicity: Items that show each pattern, shape (n_patterns,).
        rng: Source of the bootstrap; without it the intervals are NaN.
        resamples: Size of the bootstrap.
        level: Allowed probability that an interval misses, both sides together.

    Raises:
        RoutingError: Shapes differ, or a number is negative or not whole.

    Source:
        Krippendorff (2019), Content Analysis, 4th ed., chapter 12; Gwet (2008), Br. J. Math. Stat. Psychol.
        61(1), and for missing answers Gwet (2014), Handbook of Inter-Rater Reliability, 4th ed.

    >>> figures = from_patterns([[2, 0], [0, 2], [1, 1]], [40, 40, 20], rng=np.random.default_rng(1))
    >>> round(figures.alpha.value, 3), round(figures.percent.value, 3), figures.alpha.enough
    (0.602, 0.8, True)
    """
    table = checked_counts(patterns)
    times = np.asarray(multiplicity)
    if times.shape != (table.shape[0],) or not np.array_equal(times, np.abs(times.astype(np.int64))):
        raise RoutingError(
            f"multiplicity has shape {times.shape}; give a whole number a pattern, ({len(table)},)"
        )
    answered = (times > 0) & (table.sum(axis=1) > 0)
    table, times = table[answered], times[answered].astype(np.int64)
    figures = [
        _estimate(coefficient.value, table, times, rng, resamples, level) for coefficient in Coefficient
    ]
    return Agreement(*figures)


def krippendorff_alpha(
    counts: npt.ArrayLike, *, rng: np.random.Generator | None = None, resamples: int = RESAMPLES
) -> Estimate:
    """Krippendorff's alpha for named labels: 1 is full agreement, 0 what chance would give.

    >>> round(krippendorff_alpha([[2, 0], [2, 0], [0, 2], [1, 1]]).value, 4)
    0.5333
    """
    return _of_counts(Coefficient.ALPHA, counts, rng, resamples)


def gwet_ac1(
    counts: npt.ArrayLike, *, rng: np.random.Generator | None = None, resamples: int = RESAMPLES
) -> Estimate:
    """Gwet's AC1: agreement beyond chance that stays meaningful when one label is very common.

    >>> round(gwet_ac1([[2, 0], [2, 0], [0, 2], [1, 1]]).value, 4)
    0.5294
    """
    return _of_counts(Coefficient.AC1, counts, rng, resamples)


def percent_agreement(
    counts: npt.ArrayLike, *, rng: np.random.Generator | None = None, resamples: int = RESAMPLES
) -> Estimate:
    """Share of pairs of answers on the same item that are equal, averaged over items, in [0, 1].

    >>> percent_agreement([[2, 0], [2, 0], [0, 2], [1, 1]]).value
    0.75
    """
    return _of_counts(Coefficient.PERCENT, counts, rng, resamples)


def _of_counts(
    coefficient: Coefficient, counts: npt.ArrayLike, rng: np.random.Generator | None, resamples: int
) -> Estimate:
    patterns, multiplicity = patterns_of(counts)
    answered = patterns.sum(axis=1) > 0
    return _estimate(coefficient.value, patterns[answered], multiplicity[answered], rng, resamples, 0.05)


def _estimate(
    formula: Formula,
    patterns: IntArray,
    multiplicity: IntArray,
    rng: np.random.Generator | None,
    resamples: int,
    level: float,
) -> Estimate:
    answers = patterns.sum(axis=1)
    paired = answers >= 2  # noqa: PLR2004 - a pair
    n_items, n_annotations = int(multiplicity[paired].sum()), int((multiplicity * answers)[paired].sum())
    nothing = math.nan
    if n_items == 0:
        return Estimate(nothing, nothing, nothing, 0, 0, "", "no item has two answers")
    value = float(formula.value(multiplicity @ formula.features(patterns)))
    if patterns.shape[1] == 1 and formula is coefficients.AC1:
        value = nothing
    if math.isnan(value):
        return Estimate(value, nothing, nothing, n_items, n_annotations, "", formula.undefined)
    if rng is None:
        return Estimate(value, nothing, nothing, n_items, n_annotations, "", "no interval was asked for")
    if (patterns[paired].max(axis=1) == answers[paired]).all():
        low = _unanimous_low(formula, patterns, multiplicity, n_items, level)
        return Estimate(value, low, 1.0, n_items, n_annotations, UNANIMOUS)
    interval = bca_interval(formula, patterns, multiplicity, rng=rng, resamples=resamples, alpha=level)
    if interval is None:
        reason = "the items are too few or too alike for an interval"
        return Estimate(value, nothing, nothing, n_items, n_annotations, "", reason)
    return Estimate(value, interval.low, interval.high, n_items, n_annotations, BCA)


def _unanimous_low(
    formula: Formula, patterns: IntArray, multiplicity: IntArray, n_items: int, level: float
) -> float:
    """What remains of full agreement if as many items disagree as none seen in `n_items` allows."""
    unseen = 1 - clopper_pearson(n_items, n_items, alpha=level).low
    if formula is coefficients.PERCENT:
        return 1 - unseen
    sums = multiplicity @ formula.features(patterns)
    disagreeing = sums.copy()
    # Take the agreement away from `unseen` of the items, leaving how often each label occurs as it is.
    disagreeing[0] = sums[0] * (1 - unseen)
    return float(formula.value(disagreeing))
