import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.proportion import proportion_confint

from routing.agreement import cohen_kappa, model_against_people, pairwise
from routing.errors import RoutingError

confusions = hnp.arrays(np.int64, (3, 3), elements=st.integers(0, 9))


@given(confusions)
def test_kappa_matches_scikit_learn(confusion):
    first, second = np.indices(confusion.shape)
    one, two = np.repeat(first.ravel(), confusion.ravel()), np.repeat(second.ravel(), confusion.ravel())
    assume(len({*one, *two}) > 1)
    expected = cohen_kappa_score(one, two)
    assert cohen_kappa(confusion) == pytest.approx(expected, abs=1e-9)


@given(hnp.arrays(np.int64, (4, 3, 3), elements=st.integers(0, 9)))
def test_each_pair_stands_alone(tables):
    pairs = pairwise(tables)
    for i, table in enumerate(tables):
        n = table.sum()
        assert pairs.n[i] == n
        if n == 0:
            assert math.isnan(pairs.percent[i])
            continue
        equal = np.trace(table)
        assert pairs.percent[i] == equal / n
        assert (pairs.low[i], pairs.high[i]) == pytest.approx(
            proportion_confint(equal, n, method="wilson"), abs=1e-9
        )
        assert pairs.kappa[i] == pytest.approx(cohen_kappa(table), nan_ok=True)


def test_gwets_125_subjects_have_kappa_below_zero():
    assert cohen_kappa([[118, 5], [2, 0]]) == pytest.approx(-0.0234, abs=5e-5)


def test_kappa_is_undefined_without_variation():
    assert math.isnan(cohen_kappa([[9, 0], [0, 0]]))
    assert math.isnan(cohen_kappa([[0, 0], [0, 0]]))
    assert cohen_kappa([[5, 0], [0, 5]]) == 1.0
    assert cohen_kappa([[0, 9], [0, 0]]) == 0.0


def test_model_against_people():
    figures = model_against_people([[45, 5], [5, 45]])
    assert (figures.share.value, figures.share.n_items, figures.share.method) == (0.9, 100, "Wilson")
    assert figures.share.enough
    assert figures.kappa == pytest.approx(0.8)
    none = model_against_people(np.zeros((2, 2)))
    assert math.isnan(none.share.value)
    assert none.share.reason
    assert not none.share.enough


def test_no_pairs():
    assert pairwise(np.zeros((0, 2, 2))).n.shape == (0,)


def test_other_shapes_are_refused():
    with pytest.raises(RoutingError):
        pairwise([[1, 2]])
    with pytest.raises(RoutingError):
        model_against_people([[1, 2]])
