from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.factories import NOW
from workbench.tallies.domain import (
    Change,
    Fact,
    ItemAnswers,
    Rate,
    Status,
    amount_due,
    capped,
    hour_changes,
    pair_changes,
    pattern_changes,
    pattern_of,
    rates_at,
)

PER_ITEM = Rate(1, "item", Decimal("0.08"), "USD")
PER_HOUR = Rate(2, "hour", Decimal("18.00"), "USD")


def fact(status=Status.COUNTED, *, lead=20.0, label="A", person=7):
    return Fact(1, 1, person, Status(status), label, True, "B", 3, lead, NOW)


@pytest.mark.parametrize(
    ("status", "per_item", "per_hour"),
    [
        ("counted", "0.08", "0.1"),
        ("above_overlap", "0.08", "0.1"),
        ("skipped", "0", "0.1"),
        ("not_counted", "0", "0"),
        ("deleted", "0", "0"),
    ],
)
def test_what_an_answer_earns(status, per_item, per_hour):
    assert amount_due(fact(status), PER_ITEM, 300)[1] == Decimal(per_item)
    assert amount_due(fact(status), PER_HOUR, 300)[1] == Decimal(per_hour)


def test_hours_are_capped_and_never_negative():
    assert amount_due(fact(lead=7200.0), PER_HOUR, 300) == (Decimal("0.083333"), Decimal("1.5"))
    assert amount_due(fact(lead=-5.0), PER_HOUR, 300)[1] == 0
    assert amount_due(fact(lead=None), PER_HOUR, 300) == (0, 0)
    assert capped(400, 300) == 300


@given(st.floats(0, 1e5), st.integers(1, 4000), st.integers(0, 10**9))
def test_pay_by_the_hour_is_within_a_millionth_of_seconds_times_price(lead, cap, micro):
    rate = Rate(2, "hour", Decimal(micro) / 10**6, "USD")
    quantity, amount = amount_due(fact(lead=lead), rate, cap)
    seconds = Decimal(str(round(min(lead, float(cap)), 3)))
    assert abs(amount - seconds * rate.price / 3600) <= Decimal("0.0000005")
    assert abs(quantity - seconds / 3600) <= Decimal("0.0000005")


def test_deleted_and_not_counted_answers_leave_the_clock_alone():
    assert hour_changes([Change(None, fact("deleted"))], 300) == {}
    ((_, row),) = hour_changes([Change(None, fact("not_counted"))], 300).items()
    assert (row["annotations"], row["not_counted"], row["lead_time_ms"], row["timed"]) == (1, 1, 0, 0)


@given(st.sampled_from(list(Status)), st.sampled_from(list(Status)), st.integers(0, 5000))
def test_there_and_back_again_is_nothing(one, other, minutes):
    late = Fact(1, 1, 7, other, "A", True, "B", 3, 4.0, NOW + timedelta(minutes=minutes))
    changes = [Change(None, fact(one)), Change(fact(one), late), Change(late, None)]
    assert hour_changes(changes, 300) == {}


def test_a_pattern_has_at_least_two_people():
    assert pattern_of([(1, "A")], ["A", "B"]) is None
    assert pattern_of([(1, "A"), (1, "B")], ["A", "B"]) is None
    assert pattern_of([(1, "A"), (2, "B")], ["A", "B"]) == "1,1"


def test_a_changed_item_leaves_its_old_pattern_and_pair():
    moved = [ItemAnswers(((2, "A"), (1, "A")), ((2, "B"), (1, "A")))]
    assert pattern_changes(moved, ["A", "B"]) == {"2,0": -1, "1,1": 1}
    assert pair_changes(moved) == {(1, 2, "A", "A"): -1, (1, 2, "A", "B"): 1}
    same = ItemAnswers(((1, "A"), (2, "B")), ((1, "A"), (2, "B")))
    assert (pattern_changes([same], ["A", "B"]), pair_changes([same])) == ({}, {})


def test_the_price_is_that_of_the_moment_of_the_work():
    def card(card_id, unit="item", rank=0, start=0, end=None):
        ends = None if end is None else NOW + timedelta(hours=end)
        return Rate(card_id, unit, Decimal(1), "USD", rank, NOW + timedelta(hours=start), ends)

    cards = [
        card(1, end=2),
        card(2, start=2),
        card(3, rank=1, start=4),
        card(4, "hour", start=1),
        card(5, start=5),
    ]
    found = {
        hour: [rate.card_id for rate in rates_at(cards, NOW + timedelta(hours=hour))]
        for hour in (-1, 0, 1, 2, 4, 6)
    }
    assert found == {-1: [], 0: [1], 1: [1, 4], 2: [2, 4], 4: [3, 4], 6: [3, 4]}
