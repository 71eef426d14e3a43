"""Jobs as pages show them: how far, how fast, how long still."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from workbench.jobs.definition import JobState
from workbench.jobs.store import OPEN

TITLES = {
    "import": "Import",
    "prelabel": "Pre-labeling",
    "decide": "Routing",
    "push": "Sending to Label Studio",
    "sync": "Reading answers",
    "resolve": "Combining answers",
    "train": "Training",
    "export": "Export",
}
_FEWEST_SECONDS = 2.0
_LEAVES_A_WORD = {"train"}
"""Kinds whose last message says what came out; that of others is about work now over."""


class JobOf(Protocol):
    """A job's row."""

    id: str
    kind: str
    state: str
    done: int
    total: int
    unit: str
    message: str
    problem: str
    created_at: datetime
    created_by: str
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True)
class JobView:
    """One job; `per_second` and `left_s` are None where nothing can be said yet."""

    id: str
    title: str
    state: str
    done: int
    total: int
    unit: str
    message: str
    problem: str
    created_at: datetime
    created_by: str
    seconds: float | None
    per_second: float | None
    left_s: float | None

    @property
    def is_open(self) -> bool:
        """Whether it waits or runs."""
        return self.state in OPEN

    @property
    def can_cancel(self) -> bool:
        """Whether it can be stopped."""
        return self.is_open and self.state != JobState.CANCELLING

    @property
    def can_resume(self) -> bool:
        """Whether it can go on."""
        return self.state in {JobState.CANCELLED, JobState.FAILED}

    def to_json(self) -> dict[str, object]:
        """As JSON values."""
        return {
            "id": self.id,
            "title": self.title,
            "state": self.state,
            "done": self.done,
            "total": self.total,
            "unit": self.unit,
            "message": self.message,
            "problem": self.problem,
            "created_at": self.created_at.isoformat(),
            "created_by": self.created_by,
            "seconds": self.seconds,
            "per_second": self.per_second,
            "left_s": self.left_s,
        }


def views_of(rows: Sequence[JobOf], now: datetime) -> list[JobView]:
    """Jobs as pages show them, in the same order."""
    return [view_of(row, now) for row in rows]


def view_of(row: JobOf, now: datetime) -> JobView:
    """One job as pages show it."""
    seconds = None
    if row.started_at is not None:
        seconds = max(0.0, ((row.finished_at or now) - row.started_at).total_seconds())
    fast_enough = seconds is not None and seconds >= _FEWEST_SECONDS and row.done > 0 and row.unit != "steps"
    per_second = row.done / seconds if fast_enough and seconds else None
    running = row.state == JobState.RUNNING and row.total > row.done
    return JobView(
        id=row.id,
        title=TITLES.get(row.kind, row.kind.replace("_", " ").capitalize()),
        state=row.state,
        done=row.done,
        total=row.total,
        unit=row.unit,
        message=row.message
        if row.state in OPEN or (row.state == JobState.DONE and row.kind in _LEAVES_A_WORD)
        else "",
        problem=row.problem,
        created_at=row.created_at,
        created_by=row.created_by,
        seconds=seconds,
        per_second=per_second,
        left_s=(row.total - row.done) / per_second if running and per_second else None,
    )
