import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.aggregation.majority import majority
from routing.errors import RoutingError

votes_of_items = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), max_size=30)


@given(votes_of_items, st.floats(0, 1), st.randoms())
def test_matches_counting_by_hand_in_any_order(votes, threshold, random):
    random.shuffle(votes)
    found = majority([i for i, _ in votes], [k for _, k in votes], n_items=6, n_labels=4, threshold=threshold)
    for item in range(6):
        counts = Counter(k for i, k in votes if i == item).most_common()
        total = sum(count for _, count in counts)
        assert found.n[item] == total
        assert found.counts[item].sum() == total
        if not counts:
            assert (found.label[item], found.tie[item], math.isnan(found.share[item])) == (-1, False, True)
            continue
        tied = len(counts) > 1 and counts[0][1] == counts[1][1]
        assert found.tie[item] == tied
        assert found.share[item] == counts[0][1] / total
        enough = counts[0][1] / total >= threshold - 1e-9
        assert found.label[item] == (counts[0][0] if enough and not tied else -1)


def test_exactly_the_threshold_suffices():
    found = majority([0, 0, 0], [1, 1, 0], n_items=1, n_labels=2, threshold=2 / 3)
    assert found.label.tolist() == [1]
    assert majority([0] * 4, [0, 0, 1, 2], n_items=1, n_labels=3).label.tolist() == [0]
    assert majority([0] * 5, [0, 0, 1, 2, 3], n_items=1, n_labels=4).label.tolist() == [-1]


def test_weights_decide_and_rounding_makes_no_winner():
    found = majority(
        [0, 0, 1, 1, 1, 1], [0, 1, 0, 0, 0, 1], [1.0, 2.0, 0.1, 0.1, 0.1, 0.3], n_items=2, n_labels=2
    )
    assert found.label.tolist() == [1, -1]
    assert found.tie.tolist() == [False, True]
    assert found.n.tolist() == [2, 4]
    weightless = majority([0], [0], [0.0], n_items=1, n_labels=2)
    assert (weightless.label[0], weightless.tie[0], weightless.n[0]) == (-1, False, 1)


def test_no_votes_and_no_items():
    assert majority([], [], n_items=2, n_labels=3).label.tolist() == [-1, -1]
    assert majority([], [], n_items=0, n_labels=3).label.tolist() == []


@pytest.mark.parametrize(
    "arguments",
    [
        {"item_index": [0, 1], "label_index": [0]},
        {"item_index": [2], "label_index": [0]},
        {"item_index": [0], "label_index": [-1]},
        {"item_index": [0], "label_index": [0], "weights": [-1.0]},
        {"item_index": [0], "label_index": [0], "weights": [math.nan]},
        {"item_index": [0], "label_index": [0], "threshold": 1.5},
    ],
)
def test_what_is_out_of_range_is_refused(arguments):
    with pytest.raises(RoutingError):
        majority(**arguments, n_items=2, n_labels=2)


def test_a_million_votes():
    rng = np.random.default_rng(1)
    items, labels = rng.integers(0, 200_000, 1_000_000), rng.integers(0, 4, 1_000_000)
    found = majority(items, labels, n_items=200_000, n_labels=4)
    assert found.n.sum() == 1_000_000
