"""The short lines in tiles and the course of a project, in steps that suit its age."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate

from sqlalchemy.orm import Session

from workbench.overview import series_store as store
from workbench.overview.domain import Point
from workbench.overview.series_store import Step

_STEPS: tuple[tuple[float, Step, timedelta], ...] = (
    (0.5, Step.TEN_SECONDS, timedelta(seconds=10)),
    (6, Step.MINUTE, timedelta(minutes=1)),
    (24 * 6, Step.HOUR, timedelta(hours=1)),
    (float("inf"), Step.DAY, timedelta(days=1)),
)
SHOWN_STEPS = 400


@dataclass(frozen=True)
class Series:
    """A project's course, oldest first, with no step left out."""

    points: tuple[Point, ...]
    model_agrees: tuple[float, ...]

    @property
    def resolved(self) -> list[int]:
        """Items resolved so far."""
        return list(accumulate(one.machine + one.people for one in self.points))

    @property
    def resolved_each(self) -> list[int]:
        """Items resolved in each step."""
        return [one.machine + one.people for one in self.points]

    @property
    def machine_share(self) -> list[float]:
        """Share of resolved items that are the machine's, so far."""
        machine = accumulate(one.machine for one in self.points)
        return [part / whole for part, whole in zip(machine, self.resolved, strict=True) if whole]

    @property
    def cost(self) -> list[float]:
        """Money spent so far."""
        return list(accumulate(one.cost for one in self.points))


def project_series(session: Session, project_id: int, currency: str, hours: float) -> Series:
    """The course of a project.

    Args:
        session: Any session.
        project_id: The project.
        currency: Of the money.
        hours: Between the first and the last resolution; decides how fine the steps are.
    """
    step, width = next((step, width) for limit, step, width in _STEPS if hours < limit)
    sums: dict[datetime, list[float]] = defaultdict(lambda: [0, 0, 0.0])
    for start, machine, items in store.resolved_series(session, project_id, step):
        sums[start][0 if machine else 1] += items
    for start, amount in store.cost_series(session, project_id, currency, step):
        sums[start][2] += float(amount)
    return Series(_filled(sums, width), _running(store.newest_comparisons(session, project_id)))


def _filled(sums: dict[datetime, list[float]], width: timedelta) -> tuple[Point, ...]:
    if not sums:
        return ()
    last = max(sums)
    first = max(min(sums), last - width * SHOWN_STEPS)
    before = [start for start in sums if start < first]
    points = []
    start = first
    while start <= last:
        machine, people, cost = sums.get(start, (0, 0, 0.0))
        points.append(Point(start, int(machine), int(people), cost))
        start += width
    if before:
        old = [sum(sums[start][part] for start in before) for part in range(3)]
        points.insert(0, Point(first - width, int(old[0]), int(old[1]), old[2]))
    return tuple(points)


def _running(same: Sequence[bool], pieces: int = 24) -> tuple[float, ...]:
    """Share of equal answers up to each of some moments; the first stands on a few answers already."""
    size = max(1, len(same) // pieces)
    sums = list(accumulate(int(one) for one in same))
    return tuple(sums[end - 1] / end for end in range(max(size, 10), len(same) + 1, size))
