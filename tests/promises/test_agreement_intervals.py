"""The intervals of agreement and of shares hold the true value as often as they say."""

import os

import numpy as np
import pytest
from scipy.stats import binom

from routing.agreement import agreement
from routing.intervals import clopper_pearson, wilson

TRIALS = 15_000 if os.environ.get("PROMISES") == "long" else 1500


def answers(rng, n_items, prevalence, accuracy, raters, answered):
    """Counts from raters who know the truth with probability `accuracy` and else guess by prevalence."""
    n_labels = len(prevalence)
    truth = rng.choice(n_labels, n_items, p=prevalence)
    guess = rng.choice(n_labels, (n_items, raters), p=prevalence)
    given = np.where(rng.random((n_items, raters)) < accuracy, truth[:, None], guess)
    there = rng.random((n_items, raters)) < answered
    return np.stack([((given == label) & there).sum(axis=1) for label in range(n_labels)], axis=1)


# Under this model alpha tends to accuracy**2 whatever the prevalence, and so does (percent - pe) / (1 - pe) with
# pe = sum of squared prevalences; both are known without simulation.
CASES = {
    "few items": (30, [0.5, 0.5], 0.8, 2, 1.0),
    "three labels, missing answers": (60, [0.6, 0.3, 0.1], 0.8, 4, 0.7),
    "a rare label": (300, [0.95, 0.05], 0.9, 3, 1.0),
    "near agreement": (200, [0.5, 0.3, 0.2], 0.97, 2, 1.0),
}


@pytest.mark.parametrize("case", CASES)
def test_bootstrap_intervals_cover(case):
    n_items, prevalence, accuracy, raters, answered = CASES[case]
    rng = np.random.default_rng(20_240)
    by_chance = sum(p * p for p in prevalence)
    percent = accuracy**2 + (1 - accuracy**2) * by_chance
    ac1_chance = (1 - by_chance) / (len(prevalence) - 1)
    truth = (accuracy**2, (percent - ac1_chance) / (1 - ac1_chance), percent)
    above, below = np.zeros(3, dtype=int), np.zeros(3, dtype=int)
    for _ in range(TRIALS):
        counts = answers(rng, n_items, prevalence, accuracy, raters, answered)
        figures = agreement(counts, rng=rng, resamples=500)
        for i, figure in enumerate((figures.alpha, figures.ac1, figures.percent)):
            below[i] += figure.high < truth[i]
            above[i] += figure.low > truth[i]
    missed = above + below
    # 5% promised. These cases miss in 3.3-6.0%; a percentile bootstrap in 6.1-8.3%, a bound of twice the level in
    # more, one of a tenth in 0.2-1.7%. Up to 6% is tolerated, and 3 sigma of chance on top.
    assert (missed <= binom.isf(0.0013, TRIALS, 0.06)).all(), (above, below)
    assert (missed >= binom.ppf(1e-4, TRIALS, 0.033)).all(), "the interval is needlessly wide"


@pytest.mark.parametrize("n", [30, 100, 1000])
def test_share_intervals_cover_exactly_computed(n):
    successes = np.arange(n + 1)
    narrow = np.array([wilson(int(k), n) for k in successes])
    exact = np.array([clopper_pearson(int(k), n) for k in successes])
    rates = np.linspace(0.005, 0.995, 397)
    chance = binom.pmf(successes[None, :], n, rates[:, None])
    held_narrow = (chance * ((narrow[:, 0] <= rates[:, None]) & (rates[:, None] <= narrow[:, 1]))).sum(axis=1)
    held_exact = (chance * ((exact[:, 0] <= rates[:, None]) & (rates[:, None] <= exact[:, 1]))).sum(axis=1)
    assert held_exact.min() >= 0.95
    assert held_narrow.mean() == pytest.approx(0.95, abs=0.01)
    assert held_narrow.min() >= 0.82  # the known dip of Wilson's interval next to 0 and 1


def test_share_intervals_cover_in_simulation():
    rng = np.random.default_rng(11)
    trials, rate, n = 20_000, 0.9, 200
    drawn = rng.binomial(n, rate, size=trials)
    ends = {int(k): wilson(int(k), n) for k in np.unique(drawn)}
    missed = sum(not ends[int(k)].low <= rate <= ends[int(k)].high for k in drawn)
    assert 0.035 * trials < missed < 0.06 * trials
