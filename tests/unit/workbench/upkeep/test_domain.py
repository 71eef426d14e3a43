from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.upkeep.domain import LATE, Kept, due_times, split_due, superseded

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Asia/Kathmandu"]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("at", [time(0, 0), time(1, 30), time(2, 30), time(23, 59)])
def test_once_on_every_day_of_a_year_with_its_changes_of_the_clock(zone: str, at: time):
    place = ZoneInfo(zone)
    begin = datetime(2028, 1, 1, tzinfo=place).astimezone(UTC) - timedelta(seconds=1)
    end = datetime(2029, 1, 1, tzinfo=place).astimezone(UTC) - timedelta(seconds=1)
    due = due_times(begin, end, at, place)
    assert len(due) == 366  # a leap year
    assert due == sorted(set(due))
    gaps = {later - earlier for earlier, later in pairwise(due)}
    assert min(gaps) >= timedelta(hours=22)
    assert max(gaps) <= timedelta(hours=26)


@given(
    st.integers(0, 17_000).map(lambda hours: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=hours)),
    st.lists(st.integers(1, 100), min_size=1, max_size=8),
    st.sampled_from(ZONES),
)
def test_looking_often_or_seldom_finds_the_same(begin, hours, zone):
    place, at = ZoneInfo(zone), time(2, 30)
    moment, found = begin, []
    for step in hours:
        found += due_times(moment, moment + timedelta(hours=step), at, place)
        moment += timedelta(hours=step)
    assert found == due_times(begin, moment, at, place)


def test_the_gap_and_the_repeated_hour():
    berlin = ZoneInfo("Europe/Berlin")
    autumn = due_times(
        datetime(2026, 10, 24, 12, tzinfo=UTC), datetime(2026, 10, 26, 12, tzinfo=UTC), time(2, 30), berlin
    )
    assert autumn == [datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 26, 1, 30, tzinfo=UTC)]


def test_of_several_overdue_nights_only_the_newest_is_done():
    now = datetime(2026, 11, 22, 9, tzinfo=UTC)
    nights = [datetime(2026, 11, day, 2, 30, tzinfo=UTC) for day in (20, 21, 22)]
    assert split_due(nights, now) == (nights[2], nights[:2])
    assert split_due(nights, nights[2] + LATE + timedelta(seconds=1)) == (None, nights)
    assert split_due([], now) == (None, [])


@given(
    st.sets(st.dates(date(2026, 1, 1), date(2026, 12, 31)), min_size=1, max_size=60),
    st.integers(1, 10),
    st.integers(0, 6),
)
def test_the_newest_back_ups_stay(days, keep_days, keep_weeks):
    made = {datetime(day.year, day.month, day.day, 2, tzinfo=UTC) for day in days}
    gone = superseded(made, Kept(keep_days, keep_weeks))
    stay = made - gone
    newest_first = sorted(made, reverse=True)
    assert set(newest_first[:keep_days]) <= stay
    assert len(stay) <= keep_days + keep_weeks
    # Day after day, what is kept now never asks for what was removed before.
    assert superseded(stay, Kept(keep_days, keep_weeks)) == set()
