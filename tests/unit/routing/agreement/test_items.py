import math

import krippendorff
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from statsmodels.stats.inter_rater import fleiss_kappa

from routing.agreement import (
    agreement,
    from_patterns,
    gwet_ac1,
    krippendorff_alpha,
    patterns_of,
    percent_agreement,
)
from routing.errors import RoutingError

tables = hnp.arrays(np.int64, st.tuples(st.integers(1, 40), st.integers(2, 5)), elements=st.integers(0, 3))

# Four raters, twelve units, five labels, with missing answers: the data of Krippendorff (2011), "Computing
# Krippendorff's alpha-reliability", whose nominal alpha is 0.743 there.
NA = 0
KRIPPENDORFF = [
    [1, 1, NA, 1],
    [2, 2, 3, 2],
    [3, 3, 3, 3],
    [3, 3, 3, 3],
    [2, 2, 2, 2],
    [1, 2, 3, 4],
    [4, 4, 4, 4],
    [1, 1, 2, 1],
    [2, 2, 2, 2],
    [NA, 5, 5, 5],
    [NA, NA, 1, 1],
    [NA, NA, 3, NA],
]


def counts_of(answers, n_labels):
    return [[row.count(label) for label in range(1, n_labels + 1)] for row in answers]


def ac1_by_hand(counts):
    """Gwet's formula item by item, straight from the text."""
    pairs, prevalence, answered = [], [0.0] * len(counts[0]), 0
    for row in counts:
        r = sum(row)
        if r >= 2:
            pairs.append(sum(n * (n - 1) for n in row) / (r * (r - 1)))
        if r >= 1:
            answered += 1
            prevalence = [p + n / r for p, n in zip(prevalence, row, strict=True)]
    shares = [p / answered for p in prevalence]
    chance = sum(p * (1 - p) for p in shares) / (len(shares) - 1)
    return (sum(pairs) / len(pairs) - chance) / (1 - chance)


@given(tables)
def test_alpha_matches_the_krippendorff_package(counts):
    paired = counts[counts.sum(axis=1) >= 2]
    assume((paired.sum(axis=0) > 0).sum() >= 2)
    expected = krippendorff.alpha(value_counts=counts, level_of_measurement="nominal")
    assert krippendorff_alpha(counts).value == pytest.approx(expected, abs=1e-9)


@given(tables)
def test_ac1_and_percent_match_the_direct_formulas(counts):
    assume((counts.sum(axis=1) >= 2).any())
    assert gwet_ac1(counts).value == pytest.approx(ac1_by_hand(counts.tolist()), abs=1e-9)
    shares = [(row @ (row - 1)) / (row.sum() * (row.sum() - 1)) for row in counts if row.sum() >= 2]
    assert percent_agreement(counts).value == pytest.approx(np.mean(shares), abs=1e-9)


@given(st.integers(2, 30), st.integers(2, 5), st.integers(0, 1000))
def test_alpha_and_fleiss_kappa_differ_by_the_small_sample_term(n_items, raters, seed):
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(raters, [0.5, 0.3, 0.2], size=n_items)
    assume((counts.sum(axis=0) > 0).sum() >= 2)
    total = n_items * raters
    expected = 1 - (1 - fleiss_kappa(counts)) * (total - 1) / total
    assert krippendorff_alpha(counts).value == pytest.approx(expected, abs=1e-9)


def test_published_values_with_missing_answers():
    counts = counts_of(KRIPPENDORFF, 5)
    assert krippendorff_alpha(counts).value == pytest.approx(0.743, abs=5e-4)
    assert gwet_ac1(counts).value == pytest.approx(ac1_by_hand(counts), abs=1e-12)
    assert krippendorff_alpha(counts).n_items == 11
    assert krippendorff_alpha(counts).n_annotations == 40


def test_ac1_of_125_subjects_where_kappa_collapses():
    # 118 and 0 agreements, 5 and 2 disagreements: the table with which Gwet (2008) shows kappa below zero.
    figures = from_patterns([[2, 0], [1, 1], [0, 2]], [118, 7, 0])
    assert figures.ac1.value == pytest.approx(0.9408, abs=5e-5)
    assert figures.percent.value == pytest.approx(0.944)
    assert figures.alpha.value < 0


@given(tables, st.randoms())
def test_the_tally_says_all_that_the_items_say(counts, random):
    order = list(range(len(counts)))
    random.shuffle(order)
    patterns, multiplicity = patterns_of(counts)
    assert multiplicity.sum() == len(counts)
    assert sorted(map(tuple, np.repeat(patterns, multiplicity, axis=0))) == sorted(map(tuple, counts))
    one = agreement(counts[order], rng=np.random.default_rng(7), resamples=50)
    two = from_patterns(patterns, multiplicity, rng=np.random.default_rng(7), resamples=50)
    assert repr(one) == repr(two)


def test_rows_may_repeat_and_many_labels_need_no_code():
    wide = np.zeros((3, 200), dtype=np.int64)
    wide[[0, 1, 2], [3, 3, 150]] = 2
    multiplicity = patterns_of(wide)[1]
    assert multiplicity.tolist() == [1, 2] or multiplicity.tolist() == [2, 1]
    split = from_patterns([[2, 0], [2, 0], [1, 1]], [10, 20, 5])
    assert split.alpha.value == pytest.approx(from_patterns([[2, 0], [1, 1]], [30, 5]).alpha.value)
    assert patterns_of(np.empty((0, 3)))[1].size == 0


def test_intervals_are_seeded_and_hold_the_value():
    def table():
        return np.random.default_rng(3).multinomial(3, [0.7, 0.2, 0.1], size=200)

    one, two = (agreement(table(), rng=np.random.default_rng(5)) for _ in range(2))
    assert one == two
    for figure in (one.alpha, one.ac1, one.percent):
        assert figure.low < figure.value < figure.high
        assert figure.method == "BCa bootstrap over items"
        assert figure.enough


def test_one_label_only_leaves_alpha_undefined_with_a_reason():
    figures = from_patterns([[3, 0]], [50], rng=np.random.default_rng(1))
    assert math.isnan(figures.alpha.value)
    assert "one label" in figures.alpha.reason
    assert not figures.alpha.enough
    assert (figures.ac1.value, figures.percent.value) == (1.0, 1.0)


def test_full_agreement_does_not_claim_certainty():
    for n_items in (10, 100, 1000):
        figures = from_patterns([[2, 0], [0, 2]], [n_items // 2] * 2, rng=np.random.default_rng(1))
        limit = 1 - 0.025 ** (1 / n_items)
        assert (figures.alpha.value, figures.alpha.high) == (1.0, 1.0)
        assert figures.percent.low == pytest.approx(1 - limit)
        assert figures.ac1.low == pytest.approx(1 - 2 * limit)
        assert figures.alpha.low == pytest.approx(1 - 2 * limit, abs=2 * limit / n_items)


def test_fewer_than_thirty_items_are_not_enough():
    assert not from_patterns([[2, 0], [1, 1]], [20, 9]).alpha.enough
    assert from_patterns([[2, 0], [1, 1]], [20, 10]).alpha.enough


def test_no_pairs_no_items_no_generator():
    for patterns, times in (([[1, 0]], [9]), (np.empty((0, 2)), [])):
        figure = from_patterns(patterns, times, rng=np.random.default_rng(1)).ac1
        assert (figure.n_items, figure.reason) == (0, "no item has two answers")
        assert math.isnan(figure.value)
    figure = from_patterns([[2, 0], [1, 1]], [3, 3]).alpha
    assert math.isnan(figure.low)
    assert figure.reason == "no interval was asked for"
    alike = from_patterns([[1, 1]], [40], rng=np.random.default_rng(1)).percent
    assert (alike.value, math.isnan(alike.low)) == (0.0, True)
    assert math.isnan(from_patterns([[2]], [40]).ac1.value)


@pytest.mark.parametrize(
    ("patterns", "times"),
    [
        ([2, 0], [1]),
        ([[2, -1]], [1]),
        ([[1.5, 0]], [1]),
        ([[2, 0]], [1, 2]),
        ([[2, 0]], [-1]),
        ([[2, 0]], [0.5]),
    ],
)
def test_broken_tallies_are_refused(patterns, times):
    with pytest.raises(RoutingError):
        from_patterns(patterns, times)
