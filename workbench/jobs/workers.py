"""Queries on workers: who lives, who fell silent, who leads.

All times are the database's own: the clocks of hosts may differ.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import String, delete, func, select, text, update
from sqlalchemy.orm import Session

from workbench.db.upsert import insert_new
from workbench.incidents.store import heal_incident, open_incidents, report_incident
from workbench.jobs.definition import JobState
from workbench.jobs.tables import JobRow, LeaseRow, WorkerRow

LIVE, LEFT, DEAD = "live", "left", "dead"
DIED = "worker_died"
LEADER = "leader"
_KEPT = timedelta(days=7)


@dataclass(frozen=True)
class Me:
    """A process, as others may look for it."""

    name: str
    host: str
    process_space: str
    pid: int
    client: str
    version: str


def myself(name: str, *, client: str, version: str) -> Me:
    """This process."""
    return Me(name, socket.gethostname()[:200], _process_space(), os.getpid(), client, version)


def database_now(session: Session) -> datetime:
    """This moment by the database's clock."""
    if session.get_bind().dialect.name == "postgresql":
        at = session.scalar(select(func.clock_timestamp()))
        assert isinstance(at, datetime)
        return at.astimezone(UTC)
    now = session.scalar(select(func.strftime("%Y-%m-%d %H:%M:%f", "now", type_=String)))
    return datetime.fromisoformat(str(now)).replace(tzinfo=UTC)


def enter(session: Session, me: Me, *, silent_s: float) -> int | None:
    """The epoch of this worker's new life; None while another process of its name lives."""
    now = database_now(session)
    values = {
        "state": LIVE, "host": me.host, "process_space": me.process_space, "pid": me.pid, "client": me.client,
        "version": me.version, "started_at": now, "beat_at": now, "ended_at": None,
    }  # fmt: skip
    insert_new(session, WorkerRow, [{"id": me.name, "epoch": 0, **values, "state": LEFT}], keys=["id"])
    row = session.scalars(select(WorkerRow).where(WorkerRow.id == me.name).with_for_update()).one()
    if row.state == LIVE and not is_gone(row, me, now=now, silent_s=silent_s):
        return None
    for column, value in values.items():
        setattr(row, column, value)
    row.epoch += 1
    session.flush()
    return row.epoch


def beat(session: Session, name: str, epoch: int) -> bool:
    """Say that this worker lives; False where it was declared dead or replaced meanwhile."""
    done = session.execute(
        update(WorkerRow)
        .where(WorkerRow.id == name, WorkerRow.epoch == epoch, WorkerRow.state == LIVE)
        .values(beat_at=database_now(session))
    )
    return bool(done.rowcount)  # type: ignore[attr-defined]


def leave(session: Session, name: str, epoch: int) -> None:
    """Say that this worker ends of its own will; its lease is free at once."""
    now = database_now(session)
    session.execute(
        update(WorkerRow)
        .where(WorkerRow.id == name, WorkerRow.epoch == epoch, WorkerRow.state == LIVE)
        .values(state=LEFT, ended_at=now)
    )
    session.execute(update(LeaseRow).where(LeaseRow.holder == holder(name, epoch)).values(until_at=now))


def lives(session: Session, name: str, epoch: int) -> bool:
    """Whether this life of the worker goes on; nobody ends it before the transaction does."""
    return (
        session.scalar(
            select(WorkerRow.id)
            .where(WorkerRow.id == name, WorkerRow.epoch == epoch, WorkerRow.state == LIVE)
            .with_for_update(read=True)
        )
        is not None
    )


def live_workers(session: Session) -> list[WorkerRow]:
    """Those that live, as far as is known."""
    return list(session.scalars(select(WorkerRow).where(WorkerRow.state == LIVE).order_by(WorkerRow.id)))


def gone_workers(session: Session, me: Me, *, silent_s: float) -> list[WorkerRow]:
    """Those that count as living but are silent for so long, or whose process is known to be gone."""
    now = database_now(session)
    return [
        row
        for row in live_workers(session)
        if row.id != me.name and is_gone(row, me, now=now, silent_s=silent_s)
    ]


def is_gone(row: WorkerRow, me: Me, *, now: datetime, silent_s: float) -> bool:
    """Whether a worker is silent for too long, or was a process of this host that runs no more."""
    if now - row.beat_at > timedelta(seconds=silent_s):
        return True
    is_here = (row.host, row.process_space) == (me.host, me.process_space)
    return is_here and row.pid != me.pid and not _runs(row.pid)


def declare_dead(session: Session, worker: WorkerRow, *, now: datetime) -> int | None:
    """How many jobs of a worker are to go on elsewhere; None where it was heard of meanwhile.

    From here on nothing that it still does reaches the database.
    """
    done = session.execute(
        update(WorkerRow)
        .where(
            WorkerRow.id == worker.id,
            WorkerRow.epoch == worker.epoch,
            WorkerRow.state == LIVE,
            WorkerRow.beat_at == worker.beat_at,
        )
        .values(state=DEAD, ended_at=database_now(session))
    )
    if not done.rowcount:  # type: ignore[attr-defined]
        return None
    cut = session.execute(
        update(JobRow)
        .where(JobRow.worker_id == worker.id, JobRow.state.in_((JobState.RUNNING, JobState.CANCELLING)))
        .values(fence=JobRow.fence + 1)
    )
    n: int = cut.rowcount  # type: ignore[attr-defined]
    session.execute(
        update(LeaseRow)
        .where(LeaseRow.holder == holder(worker.id, worker.epoch))
        .values(until_at=database_now(session))
    )
    said = f"worker {worker.id} (process {worker.pid} on {worker.host}) gives no sign of life"
    more = f"; {n} jobs that it ran go on with another worker" if n else ""
    report_incident(session, DIED, f"worker:{worker.id}", said + more, now=now)
    return n


def end_connections(session: Session, client: str) -> int:
    """How many connections of a dead worker were cut, so that nothing of its stays locked (PostgreSQL)."""
    if session.get_bind().dialect.name != "postgresql":
        return 0
    statement = text(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        "WHERE application_name = :client AND pid <> pg_backend_pid()"
    )
    return int(session.scalar(statement, {"client": client}) or 0)


def heal_deaths(session: Session, *, now: datetime) -> None:
    """Close the incidents of dead workers none of whose jobs waits for somebody any more."""
    for incident in open_incidents(session):
        if incident.kind != DIED:
            continue
        name = incident.about.partition(":")[2]
        left = session.scalar(
            select(func.count())
            .select_from(JobRow)
            .where(JobRow.worker_id == name, JobRow.state.in_((JobState.RUNNING, JobState.CANCELLING)))
        )
        is_back = session.scalar(select(WorkerRow.state).where(WorkerRow.id == name)) == LIVE
        if not left or is_back:
            how = "it was started again" if is_back else "other workers took its jobs over"
            heal_incident(session, DIED, incident.about, how, now=now)


def forget_workers(session: Session) -> None:
    """Drop the rows of workers that ended a week ago."""
    session.execute(
        delete(WorkerRow).where(WorkerRow.state != LIVE, WorkerRow.ended_at < database_now(session) - _KEPT)
    )


def take_lease(session: Session, name: str, holder: str, *, seconds: float) -> int | None:
    """The number of the lease, held by this holder from now for so long; None where another holds it."""
    now = database_now(session)
    insert_new(session, LeaseRow, [{"name": name, "holder": "", "number": 0, "until_at": now}], keys=["name"])
    row = session.scalars(select(LeaseRow).where(LeaseRow.name == name).with_for_update()).one()
    if row.holder != holder:
        if row.until_at > now:
            return None
        row.holder, row.number = holder, row.number + 1
    row.until_at = now + timedelta(seconds=seconds)
    session.flush()
    return row.number


def holds_lease(session: Session, name: str, number: int) -> bool:
    """Whether the lease of that number still stands; nobody takes it before the transaction ends."""
    found = session.scalar(
        select(LeaseRow.number)
        .where(LeaseRow.name == name, LeaseRow.number == number)
        .with_for_update(read=True)
    )
    return found is not None


def holder(name: str, epoch: int) -> str:
    """One life of a worker, as the holder of leases."""
    return f"{name}#{epoch}"


def claim_job(session: Session, job_id: str, engine_id: str, worker: str) -> int | None:
    """The fence of a job, owned by this worker from now on; None where the engine is to do no such thing."""
    wanted = (JobRow.id == job_id, JobRow.engine_id == engine_id)
    row = session.scalars(select(JobRow).where(*wanted).with_for_update()).one_or_none()
    if row is None:
        return None
    # It says that it runs, so whoever ran it did not come to an end with it.
    row.cut_off = row.cut_off + 1 if row.state == JobState.RUNNING else 0
    row.worker_id, row.fence = worker, row.fence + 1
    session.flush()
    return row.fence


def owns_job(session: Session, job_id: str, fence: int) -> bool:
    """Whether the job still has this fence; nobody takes it over before the transaction ends."""
    found = session.scalar(
        select(JobRow.fence).where(JobRow.id == job_id, JobRow.fence == fence).with_for_update(read=True)
    )
    return found is not None


def names_of(rows: Sequence[WorkerRow]) -> set[str]:
    """The names of these workers."""
    return {row.id for row in rows}


def _process_space() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())[:60]
    except OSError:
        return ""


def _runs(pid: int) -> bool:
    try:
        facts = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    except OSError:
        return True
    # A zombie in the sense of the kernel has ended; only its parent has not asked yet.
    return facts.rpartition(")")[2].split()[0] != "Z"
