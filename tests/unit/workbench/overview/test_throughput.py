"""Work over time and by person."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from workbench.overview.domain import Share
from workbench.overview.store import ResolvedCounts
from workbench.overview.throughput import people_of, queue_age_of, rate_of

START = datetime(2026, 3, 2, 22, 0, tzinfo=UTC)


@dataclass
class Hour:
    hour: datetime
    person_id: int
    counted: int = 0
    above_overlap: int = 0
    skipped: int = 0
    not_counted: int = 0
    lead_time_ms: int = 0
    timed: int = 0
    resolved: int = 0


def test_rate_is_items_by_hours_between_first_and_last() -> None:
    counts = [
        ResolvedCounts("machine", 60, START, START + timedelta(hours=1)),
        ResolvedCounts("people", 40, START, START + timedelta(hours=2)),
    ]
    rate = rate_of(counts, [], "UTC")
    assert (rate.all, rate.machine, rate.people) == (50, 30, 20)


def test_one_resolution_has_no_rate() -> None:
    assert rate_of([ResolvedCounts("people", 1, START, START)], [], "UTC").all is None
    assert rate_of([], [], "UTC").all is None


def test_days_begin_at_midnight_of_the_project() -> None:
    hours = [
        Hour(START, 0, resolved=5),
        Hour(START, -1, resolved=2),
        Hour(START + timedelta(hours=1), 0, resolved=7),
    ]
    days = rate_of([], hours, "Europe/Berlin").by_day
    assert [(day.start.day, day.machine, day.people) for day in days] == [(2, 5, 2), (3, 7, 0)]


def test_a_person_has_usable_answers_and_capped_lead_time() -> None:
    hours = [
        Hour(START, 7, counted=8, above_overlap=2, skipped=1, lead_time_ms=110_000, timed=11),
        Hour(START, 0, resolved=9),
        Hour(START, -1, resolved=9),
    ]
    (one,) = people_of(hours, {7: "Ada"}, [(7, 5.0), (7, 900.0), (7, 10.0)], cap_s=300)
    assert (one.name, one.annotations, one.above_overlap, one.skipped) == ("Ada", 10, 2, 1)
    assert (one.lead_time_mean_s, one.lead_time_median_s) == (10, 10)
    assert one.per_hour == pytest.approx(10 / 110 * 3600)


def test_queue_age_sums_its_buckets() -> None:
    age = queue_age_of(START, [1, 0, 2, 0, 4], START + timedelta(hours=5))
    assert age.open_items == 7
    assert age.oldest_s == 5 * 3600
    assert age.buckets[-1] == ("over 3 days", 4)


def test_a_share_of_nothing_is_none() -> None:
    assert Share(0, 0).value is None
    assert Share(0, 0).interval is None
    low, high = Share(8, 10).interval or (0, 0)
    assert (round(low, 4), round(high, 4)) == (0.4902, 0.9433)
