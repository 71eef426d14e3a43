import math
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.items.domain import ItemState
from workbench.jobs.definition import NotJson, checked_json

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
CHANGED = [
    (1, 2),
    [1, (2,)],
    Decimal("0.1"),
    datetime(2026, 1, 1, tzinfo=UTC),
    math.nan,
    math.inf,
    {"a": -math.inf},
    {1: "a"},
    {None: 1},
    {"a": {1.5: 2}},
    {"x", "y"},
    b"bytes",
    object(),
    ItemState.QUEUED,
    [True, {"deep": (1,)}],
]


@given(JSON)
def test_what_survives_json_passes_unchanged(value):
    again = checked_json(value, "result")
    assert again == value
    assert repr(again) == repr(value)


@pytest.mark.parametrize("value", CHANGED, ids=lambda value: type(value).__name__)
def test_what_would_change_is_refused(value):
    with pytest.raises(NotJson, match="result of step"):
        checked_json(value, "result of step")


def test_the_refusal_is_short():
    with pytest.raises(NotJson) as told:
        checked_json(tuple(range(10_000)), "result")
    assert len(str(told.value)) < 600
