"""When chores are due, and which back-ups are kept; pure, and right across changes of the clock."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo


class Chore(StrEnum):
    """What is done once a night."""

    BACKUP = "backup"
    COMPARE = "compare"
    RETENTION = "retention"


class ChoreState(StrEnum):
    """How a chore of one night ended; `missed` where nobody ran when it was due."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    MISSED = "missed"


LATE = timedelta(hours=12)
"""A chore this long overdue is recorded as missed instead of being made up for."""


def due_times(after: datetime, until: datetime, at: time, zone: ZoneInfo) -> list[datetime]:
    """Every moment in (`after`, `until`] at which a wall clock of the zone shows `at`, in UTC.

    Once per calendar day: where the clock is put back and shows `at` twice the first one counts, where
    it is put forward over `at` the moment just after the gap.

    >>> berlin = ZoneInfo("Europe/Berlin")
    >>> begin, end = datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 3, 30, 12, tzinfo=UTC)
    >>> [str(it) for it in due_times(begin, end, time(2, 30), berlin)]
    ['2026-03-29 01:30:00+00:00', '2026-03-30 00:30:00+00:00']
    """
    day = after.astimezone(zone).date() - timedelta(days=1)
    last = until.astimezone(zone).date() + timedelta(days=1)
    found = []
    while day <= last:
        moment = datetime.combine(day, at, zone).astimezone(UTC)
        if after < moment <= until:
            found.append(moment)
        day += timedelta(days=1)
    return found


def split_due(due: Sequence[datetime], now: datetime) -> tuple[datetime | None, list[datetime]]:
    """The one to do now, if any, and those that were missed: of several overdue only the newest is done."""
    if not due:
        return None, []
    *earlier, newest = sorted(due)
    return (newest, earlier) if now - newest <= LATE else (None, [*earlier, newest])


@dataclass(frozen=True)
class Kept:
    """How many back-ups stay: the newest of each of the last days and of each of the last weeks."""

    days: int = 7
    weeks: int = 4


def superseded(made: Iterable[datetime], kept: Kept) -> set[datetime]:
    """The times of back-ups that need not be kept any longer; the newest one always stays.

    >>> nights = [datetime(2026, 11, day, 2, tzinfo=UTC) for day in range(1, 31)]
    >>> sorted(it.day for it in set(nights) - superseded(nights, Kept(days=3, weeks=2)))
    [22, 28, 29, 30]
    """
    newest_first = sorted(made, reverse=True)
    by_day: dict[object, datetime] = {}
    by_week: dict[object, datetime] = {}
    for moment in newest_first:
        by_day.setdefault(moment.date(), moment)
        by_week.setdefault(moment.isocalendar()[:2], moment)
    stay = set(newest_first[:1]) | set(list(by_day.values())[: kept.days])
    stay |= set(list(by_week.values())[: kept.weeks])
    return set(newest_first) - stay
