"""How the installation stands: what went wrong, what healed, and whether everything that should run does."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import String, Text, column, func, select, table
from sqlalchemy.orm import Session

from workbench.activity import store as activity
from workbench.activity.tables import ActivityCheckRow
from workbench.db.types import Json, Utc
from workbench.inbox.store import inbox_counts
from workbench.inbox.tables import DeliveryRow
from workbench.incidents import store as incidents
from workbench.incidents.tables import IncidentRow
from workbench.invariants.service import last_results
from workbench.invariants.tables import InvariantRunRow
from workbench.jobs.definition import JobState
from workbench.jobs.tables import JobRow, WorkerRow
from workbench.jobs.workers import DEAD, LIVE
from workbench.people.tables import ServerRow
from workbench.projects.tables import ProjectRow

HEALED_WITHIN = timedelta(days=7)
SILENT_AFTER = timedelta(seconds=60)
STALE_AFTER = timedelta(hours=26)
"""A night and a little: what is done each night is late after that."""
_MINUTES = 5
_SHOWN = 60

# Upkeep stands above this folder in the map of imports, so its table is named here and not imported.
_CHORES = table(
    "chores",
    column("name", String()),
    column("due_at", Utc()),
    column("state", String()),
    column("finished_at", Utc()),
    column("outcome", Json),
    column("problem", Text()),
)


@dataclass(frozen=True)
class IncidentView:
    """One incident; `times` counts how often it was opened, where several healed ones are shown as one."""

    id: int
    kind: str
    severity: str
    sentence: str
    remedy: str
    count: int
    opened_at: datetime
    seen_at: datetime
    healed_at: datetime | None
    how: str
    project: str
    project_title: str
    acknowledged_at: datetime | None
    acknowledged_by: str
    times: int = 1

    @property
    def lasted_s(self) -> float | None:
        """How long it took until it was over."""
        return None if self.healed_at is None else (self.healed_at - self.opened_at).total_seconds()

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "id": self.id,
            "kind": self.kind,
            "severity": self.severity,
            "sentence": self.sentence,
            "remedy": self.remedy,
            "count": self.count,
            "opened_at": self.opened_at.isoformat(),
            "seen_at": self.seen_at.isoformat(),
            "healed_at": self.healed_at.isoformat() if self.healed_at else None,
            "how": self.how,
            "project": self.project or None,
            "acknowledged_by": self.acknowledged_by or None,
        }


@dataclass(frozen=True)
class InvariantView:
    """How one invariant stood when it was last looked at."""

    key: str
    promise: str
    at: datetime
    checked: int
    violations: int
    sentences: tuple[str, ...]
    left_out: str

    @property
    def is_unknown(self) -> bool:
        """Nothing was found wrong because nothing could be looked at."""
        return bool(self.left_out) and not self.checked and not self.violations


@dataclass(frozen=True)
class WorkerView:
    """One worker process; `running` is how many jobs it works on."""

    id: str
    host: str
    pid: int
    state: str
    version: str
    started_at: datetime
    beat_at: datetime
    running: int


@dataclass(frozen=True)
class InboxView:
    """What one Label Studio server told us by webhook."""

    server: str
    waiting: int
    per_minute: float
    dead: int
    last_at: datetime | None


@dataclass(frozen=True)
class ChoreView:
    """What is done each night, and when it last was."""

    title: str
    state: str
    at: datetime | None
    words: str
    late: bool


@dataclass(frozen=True)
class Operations:
    """Everything the page shows."""

    open: tuple[IncidentView, ...]
    healed: tuple[IncidentView, ...]
    invariants: tuple[InvariantView, ...]
    workers: tuple[WorkerView, ...]
    inbox: tuple[InboxView, ...]
    chores: tuple[ChoreView, ...]
    waiting_jobs: int

    @property
    def bad(self) -> int:
        """How many open incidents call for a person."""
        return sum(one.severity == "bad" for one in self.open)

    @property
    def alive(self) -> int:
        """How many workers run."""
        return sum(one.state == "running" for one in self.workers)

    @property
    def violations(self) -> int:
        """How many invariants do not hold."""
        return sum(one.violations > 0 for one in self.invariants)

    @property
    def unknown(self) -> int:
        """How many invariants could not be looked at."""
        return sum(one.is_unknown for one in self.invariants)

    @property
    def checked_at(self) -> datetime | None:
        """When the invariants were last looked at."""
        return max((one.at for one in self.invariants), default=None)


def read_operations(session: Session, now: datetime) -> Operations:
    """How the installation stands at this moment."""
    return Operations(
        open=open_views(session),
        healed=healed_views(session, now),
        invariants=_invariants(session),
        workers=_workers(session, now),
        inbox=_inbox(session, now),
        chores=(*_chores(session, now), _chain(session, now)),
        waiting_jobs=session.scalar(
            select(func.count()).select_from(JobRow).where(JobRow.state == JobState.QUEUED)
        )
        or 0,
    )


def version(session: Session) -> tuple[object, ...]:
    """A value that differs once anything on the page does; cheap to ask each second."""
    workers = session.execute(select(WorkerRow.id, WorkerRow.state, WorkerRow.epoch).order_by(WorkerRow.id))
    waiting = DeliveryRow.handled_at.is_(None) & DeliveryRow.dead_at.is_(None)
    return (
        *incidents.version(session),
        *map(tuple, workers),
        session.scalar(select(func.max(InvariantRunRow.id))),
        session.scalar(select(func.count()).select_from(DeliveryRow).where(waiting)),
        session.scalar(select(func.max(ActivityCheckRow.id))),
    )


def open_views(session: Session, *, projects: Collection[int] | None = None) -> tuple[IncidentView, ...]:
    """Open incidents, the worst first; of these projects alone, where some are given."""
    rows = incidents.open_incidents(session, projects=projects)
    names = _projects(session, rows)
    return tuple(_incident(row, names) for row in rows)


def healed_views(session: Session, now: datetime) -> tuple[IncidentView, ...]:
    """What healed in the last seven days, newest first; the same trouble again and again is one line."""
    rows = incidents.healed_incidents(session, since=now - HEALED_WITHIN, limit=500)
    names = _projects(session, rows)
    newest: dict[tuple[str, str], IncidentRow] = {}
    times: dict[tuple[str, str], int] = {}
    for row in rows:
        key = (row.kind, row.about)
        newest.setdefault(key, row)
        times[key] = times.get(key, 0) + 1
    return tuple(_incident(row, names, times=times[key]) for key, row in newest.items())[:_SHOWN]


def _projects(session: Session, rows: Collection[IncidentRow]) -> dict[int, tuple[str, str]]:
    ids = {row.project_id for row in rows if row.project_id is not None}
    found = session.execute(
        select(ProjectRow.id, ProjectRow.key, ProjectRow.title).where(ProjectRow.id.in_(ids))
    )
    return {project_id: (key, title) for project_id, key, title in found}


def _incident(row: IncidentRow, names: dict[int, tuple[str, str]], *, times: int = 1) -> IncidentView:
    key, title = names.get(row.project_id or 0, ("", ""))
    return IncidentView(
        id=row.id,
        kind=row.kind,
        severity=row.severity,
        sentence=row.sentence,
        remedy=row.remedy,
        count=row.count,
        opened_at=row.opened_at,
        seen_at=row.seen_at,
        healed_at=row.healed_at,
        how=row.how,
        project=key,
        project_title=title,
        acknowledged_at=row.acknowledged_at,
        acknowledged_by=row.acknowledged_by or "",
        times=times,
    )


def _invariants(session: Session) -> tuple[InvariantView, ...]:
    views = [InvariantView(**(one | {"sentences": tuple(one["sentences"])})) for one in last_results(session)]
    return tuple(sorted(views, key=lambda one: one.violations == 0))


def _workers(session: Session, now: datetime) -> tuple[WorkerView, ...]:
    running = dict(
        session.execute(
            select(JobRow.worker_id, func.count())
            .where(JobRow.state == JobState.RUNNING)
            .group_by(JobRow.worker_id)
        ).all()
    )
    rows = session.scalars(select(WorkerRow).order_by(WorkerRow.beat_at.desc()).limit(40))
    return tuple(
        WorkerView(
            id=row.id,
            host=row.host,
            pid=row.pid,
            state=_worker_state(row, now),
            version=row.version,
            started_at=row.started_at,
            beat_at=row.beat_at,
            running=running.get(row.id, 0),
        )
        for row in rows
        if row.ended_at is None or now - row.ended_at < timedelta(days=1)
    )


def _worker_state(row: WorkerRow, now: datetime) -> str:
    if row.state != LIVE:
        return "dead" if row.state == DEAD else "stopped"
    return "silent" if now - row.beat_at > SILENT_AFTER else "running"


def _inbox(session: Session, now: datetime) -> tuple[InboxView, ...]:
    counts = inbox_counts(session)
    rows = session.execute(select(ServerRow.id, ServerRow.name).where(ServerRow.id.in_(counts)))
    handled = dict(
        session.execute(
            select(DeliveryRow.server_id, func.count())
            .where(DeliveryRow.handled_at >= now - timedelta(minutes=_MINUTES))
            .group_by(DeliveryRow.server_id)
        ).all()
    )
    return tuple(
        InboxView(
            name,
            counts[server_id].waiting,
            handled.get(server_id, 0) / _MINUTES,
            counts[server_id].dead,
            counts[server_id].last_at,
        )
        for server_id, name in sorted(rows, key=lambda row: row[1])
    )


_CHORE_TITLES = {
    "backup": "Back-up made and verified",
    "compare": "Books compared with the truth",
    "retention": "Old data forgotten",
}


def _chores(session: Session, now: datetime) -> list[ChoreView]:
    views = []
    for name, title in _CHORE_TITLES.items():
        rows = select(_CHORES).where(_CHORES.c.name == name).order_by(_CHORES.c.due_at.desc()).limit(1)
        row = session.execute(rows).first()
        done = session.scalar(
            select(_CHORES.c.finished_at)
            .where(_CHORES.c.name == name, _CHORES.c.state == "done")
            .order_by(_CHORES.c.due_at.desc())
            .limit(1)
        )
        words = "" if row is None else row.problem or _outcome(row.outcome)
        state = "not yet" if row is None else row.state
        views.append(ChoreView(title, state, done, words, done is not None and now - done > STALE_AFTER))
    return views


def _outcome(outcome: Any) -> str:
    if not isinstance(outcome, dict):
        return ""
    return ", ".join(
        f"{name.replace('_', ' ')}: {value}" for name, value in outcome.items() if not isinstance(value, dict)
    )


def _chain(session: Session, now: datetime) -> ChoreView:
    row = activity.last_check(session)
    title = "Record of who did what checked"
    if row is None:
        return ChoreView(title, "not yet", None, "run `workbench activity verify`", late=False)
    if row.broken_seq is not None:
        return ChoreView(title, "broken", row.at, row.problem, late=False)
    words = f"{row.events:,} events hold{', and every move of an item' if row.deep else ''}"
    return ChoreView(title, "done", row.at, words, late=now - row.at > STALE_AFTER)
