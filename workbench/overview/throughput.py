"""Work over time and by person, from the hourly tallies."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from statistics import median
from typing import Protocol
from zoneinfo import ZoneInfo

from workbench.overview.domain import MACHINE, PersonFigures, QueueAge, Rate, Resolved
from workbench.overview.store import ResolvedCounts

MACHINE_ID = 0
"""Ids above are persons; what people resolved together stands under an id below."""
HOURS_SHOWN = 24 * 14
DAYS_SHOWN = 366
BUCKETS: tuple[tuple[str, timedelta | None], ...] = (
    ("under 1 hour", timedelta(hours=1)),
    ("1 to 4 hours", timedelta(hours=4)),
    ("4 to 24 hours", timedelta(hours=24)),
    ("1 to 3 days", timedelta(days=3)),
    ("over 3 days", None),
)


class HourCount(Protocol):
    """What one person (0: the machine) did in one UTC hour."""

    hour: datetime
    person_id: int
    counted: int
    above_overlap: int
    skipped: int
    not_counted: int
    lead_time_ms: int
    timed: int
    resolved: int


def rate_of(resolved: Sequence[ResolvedCounts], hours: Sequence[HourCount], zone: str) -> Rate:
    """Resolved items per hour, and the series by hour and by day of the project's time zone."""
    span_h = 0.0
    if resolved:
        first, last = min(one.first for one in resolved), max(one.last for one in resolved)
        span_h = (last - first).total_seconds() / 3600
    machine = sum(one.items for one in resolved if one.source == MACHINE)
    people = sum(one.items for one in resolved if one.source != MACHINE)

    def per_hour(items: int) -> float | None:
        return items / span_h if span_h > 0 else None

    local = ZoneInfo(zone)
    by_hour = _series(((row.hour, row) for row in hours), HOURS_SHOWN)
    by_day = _series(
        (
            (row.hour.astimezone(local).replace(hour=0, minute=0, second=0, microsecond=0), row)
            for row in hours
        ),
        DAYS_SHOWN,
    )
    return Rate(per_hour(machine + people), per_hour(people), per_hour(machine), span_h, by_hour, by_day)


def _series(rows: Iterable[tuple[datetime, HourCount]], most: int) -> tuple[Resolved, ...]:
    sums: dict[datetime, list[int]] = defaultdict(lambda: [0, 0])
    for start, row in rows:
        sums[start][row.person_id != MACHINE_ID] += row.resolved
    return tuple(Resolved(start, *sums[start]) for start in sorted(sums)[-most:])


def people_of(
    hours: Sequence[HourCount],
    names: Mapping[int, str],
    lead_times: Sequence[tuple[int, float]],
    cap_s: float,
) -> tuple[PersonFigures, ...]:
    """Each person's work, most annotations first."""
    rows: dict[int, list[HourCount]] = defaultdict(list)
    for row in hours:
        if row.person_id > MACHINE_ID:
            rows[row.person_id].append(row)
    seconds: dict[int, list[float]] = defaultdict(list)
    for person_id, lead_time_s in lead_times:
        seconds[person_id].append(min(lead_time_s, cap_s))
    people = [
        _person(person_id, names.get(person_id, f"person {person_id}"), mine, seconds.get(person_id, []))
        for person_id, mine in rows.items()
    ]
    return tuple(
        sorted(
            (one for one in people if one.annotations or one.skipped or one.not_counted),
            key=lambda one: (-one.annotations, one.name),
        )
    )


def _person(person_id: int, name: str, rows: Sequence[HourCount], seconds: Sequence[float]) -> PersonFigures:
    lead_s = sum(row.lead_time_ms for row in rows) / 1000
    timed = sum(row.timed for row in rows)
    counted, above = sum(row.counted for row in rows), sum(row.above_overlap for row in rows)
    return PersonFigures(
        person_id=person_id,
        name=name,
        annotations=counted + above,
        counted=counted,
        above_overlap=above,
        skipped=sum(row.skipped for row in rows),
        not_counted=sum(row.not_counted for row in rows),
        lead_time_mean_s=lead_s / timed if timed else None,
        lead_time_median_s=median(seconds) if seconds else None,
        per_hour=(counted + above) / lead_s * 3600 if lead_s else None,
        by_hour={row.hour: row.counted + row.above_overlap for row in rows},
    )


def queue_age_of(oldest: datetime | None, counts: Sequence[int], now: datetime) -> QueueAge:
    """Open items by how long they wait."""
    return QueueAge(
        open_items=sum(counts),
        oldest_s=None if oldest is None else max(0.0, (now - oldest).total_seconds()),
        buckets=tuple((name, count) for (name, _), count in zip(BUCKETS, counts, strict=True)),
    )
