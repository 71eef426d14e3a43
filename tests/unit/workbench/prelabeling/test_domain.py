from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.factories import LABELS, NOW
from workbench.prelabeling.domain import FAILED, prediction_rows, share_cost

PRICES = st.integers(0, 100_000_000).map(lambda micro: Decimal(micro) / 1_000_000)


@given(st.floats(0, 1e6), PRICES, st.integers(1, 3000))
def test_shares_add_up_exactly_and_are_fair(seconds, price, n):
    costs = share_cost(seconds, price, n)
    whole = (Decimal(repr(seconds)) * price / 3600 * 1_000_000).to_integral_value() / 1_000_000
    assert len(costs) == n
    assert sum(costs) == whole
    assert max(costs) - min(costs) <= Decimal("0.000001")


def test_seconds_may_come_from_numpy():
    assert share_cost(np.float64(3.6), Decimal(1), 1) == [Decimal("0.001")]  # type: ignore[arg-type]


def test_a_nan_row_is_a_failure_with_its_reason():
    shares = np.array([[0.7, 0.2, 0.1], [np.nan] * 3], dtype=np.float32)
    good, bad = prediction_rows([11, 12], 5, LABELS, shares, [Decimal(1), Decimal(2)], NOW)
    assert (good["label"], good["failure"], good["model_version_id"]) == ("Positive", "", 5)
    assert good["confidence"] == pytest.approx(0.7, abs=1e-6)
    assert good["margin"] == pytest.approx(0.5, abs=1e-6)
    assert good["distribution"] == pytest.approx([0.7, 0.2, 0.1], abs=1e-6)
    assert (bad["item_id"], bad["label"], bad["failure"]) == (12, "", FAILED)
    assert [bad[name] for name in ("confidence", "margin", "entropy", "distribution")] == [None] * 3 + [[]]
    assert bad["cost"] == Decimal(2)
