import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import entropy

from routing.confidence import measure
from routing.errors import RoutingError


def test_a_tie_goes_to_the_lowest_index():
    assert measure([[0.2, 0.4, 0.4], [0.5, 0.5, 0.0]]).predicted.tolist() == [1, 0]
    assert measure([[0.5, 0.5, 0.0]]).margin.tolist() == [0.0]


def test_any_nan_in_a_row_means_no_prediction():
    sure = measure([[0.5, math.nan], [0.9, 0.1]])
    assert sure.predicted.tolist() == [-1, 0]
    for figure in (sure.confidence, sure.margin, sure.entropy, sure.normalised_entropy):
        assert np.isnan(figure[0])
        assert not np.isnan(figure[1])


def test_certain_and_uniform_rows_and_a_single_label():
    sure = measure([[1.0, 0.0, 0.0, 0.0], [0.25] * 4])
    assert sure.entropy.tolist() == pytest.approx([0.0, math.log(4)], abs=1e-6)
    assert sure.normalised_entropy.tolist() == pytest.approx([0.0, 1.0], abs=1e-6)
    alone = measure([[1.0]])
    assert (alone.margin[0], alone.entropy[0], alone.normalised_entropy[0]) == (1.0, 0.0, 0.0)


def test_no_items():
    assert measure(np.empty((0, 3))).predicted.shape == (0,)


@pytest.mark.parametrize("rows", [[0.5, 0.5], [[2.0, -1.0]], [[0.2, 0.2]], [[3.0, 9.0]], np.empty((2, 0))])
def test_what_is_no_distribution_is_refused(rows):
    with pytest.raises(RoutingError):
        measure(rows)


@given(hnp.arrays(np.float64, st.tuples(st.integers(1, 20), st.integers(2, 6)), elements=st.floats(0.01, 1)))
def test_figures_match_direct_formulas(weights):
    scores = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    sure = measure(scores)
    ordered = np.sort(scores, axis=1)
    np.testing.assert_array_equal(sure.confidence, ordered[:, -1])
    np.testing.assert_array_equal(sure.margin, ordered[:, -1] - ordered[:, -2])
    np.testing.assert_allclose(sure.entropy, entropy(scores, axis=1), atol=1e-5)
    np.testing.assert_array_equal(sure.predicted, scores.argmax(axis=1))
