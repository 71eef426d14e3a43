"""Queries on jobs: asked for by a row in the asker's own transaction, taken up by a worker."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from workbench.errors import NotFound, WrongState
from workbench.jobs.definition import JobState, Json, checked_json
from workbench.jobs.tables import JobRow

OPEN = (JobState.QUEUED, JobState.RUNNING, JobState.CANCELLING, JobState.RESUMING)


def start_job(
    session: Session,
    kind: str,
    arguments: dict[str, Any],
    *,
    job_id: str,
    project_id: int | None,
    by: str,
    now: datetime,
    total: int = 0,
    unit: str = "items",
) -> str:
    """Ask for a job; asking again with the same id is the same job. Returns its id.

    Raises:
        NotJson: The arguments would not survive JSON.
    """
    if session.get(JobRow, job_id) is None:
        session.add(
            JobRow(
                id=job_id,
                kind=kind,
                engine_id=job_id,
                project_id=project_id,
                arguments=checked_json(arguments, f"arguments of job {kind}"),
                state=JobState.QUEUED,
                done=0,
                total=total,
                unit=unit,
                message="",
                problem="",
                result=None,
                created_at=now,
                created_by=by,
            )
        )
        session.flush()
    return job_id


def find_job(session: Session, job_id: str, *, lock: bool = False) -> JobRow:
    """The job of that id; with `lock` nobody changes it before the transaction ends.

    Raises:
        NotFound: There is none.
    """
    row = session.get(JobRow, job_id, with_for_update=lock or None, populate_existing=lock)
    if row is None:
        raise NotFound(f"there is no job {job_id}")
    return row


def open_job(session: Session, kind: str, project_id: int) -> JobRow | None:
    """A job of this kind that waits or runs in the project, if any."""
    return session.scalar(
        select(JobRow)
        .where(JobRow.project_id == project_id, JobRow.kind == kind, JobRow.state.in_(OPEN))
        .order_by(JobRow.created_at)
        .limit(1)
    )


def last_job(session: Session, kind: str, project_id: int) -> JobRow | None:
    """The newest job of this kind in the project, if any."""
    return session.scalar(
        select(JobRow)
        .where(JobRow.project_id == project_id, JobRow.kind == kind)
        .order_by(JobRow.created_at.desc(), JobRow.id.desc())
        .limit(1)
    )


def jobs_of(
    session: Session, project_id: int, *, limit: int = 20, hidden: Sequence[str] = ("sync",)
) -> list[JobRow]:
    """The project's newest jobs; open ones first, recurring kinds left out."""
    return list(
        session.scalars(
            select(JobRow)
            .where(JobRow.project_id == project_id, JobRow.kind.not_in(hidden))
            .order_by(JobRow.state.in_(OPEN).desc(), JobRow.created_at.desc())
            .limit(limit)
        )
    )


def repeat_job(
    session: Session,
    kind: str,
    arguments: dict[str, Any],
    *,
    job_id: str,
    project_id: int,
    now: datetime,
) -> bool:
    """Run a recurring job once more, in its one row; False where it is still under way."""
    row = session.get(JobRow, job_id)
    if row is None:
        start_job(session, kind, arguments, job_id=job_id, project_id=project_id, by="machine", now=now)
        return True
    if row.state in OPEN:
        return False
    turn = int(row.engine_id.rpartition("~")[2] or 0) if "~" in row.engine_id else 0
    row.engine_id = f"{job_id}~{turn + 1}"
    row.arguments = checked_json(arguments, f"arguments of job {kind}")  # type: ignore[assignment]
    row.state = JobState.QUEUED
    row.created_at = now
    row.started_at = row.finished_at = None
    return True


def waiting_jobs(session: Session) -> list[JobRow]:
    """Jobs on which a worker has something to do: start, cancel, or resume."""
    return list(
        session.scalars(
            select(JobRow)
            .where(
                or_(
                    JobRow.state == JobState.QUEUED,
                    JobRow.state == JobState.CANCELLING,
                    JobRow.state == JobState.RESUMING,
                )
            )
            .order_by(JobRow.created_at)
        )
    )


def cancel_job(session: Session, job_id: str) -> JobRow:
    """Ask a job to stop after its current step; what it did stays, and it can be resumed.

    Raises:
        WrongState: It has ended already.
    """
    row = find_job(session, job_id, lock=True)
    if row.state not in OPEN:
        raise WrongState(f"the job has ended ({row.state}); only a waiting or running job can be cancelled")
    row.state = JobState.CANCELLING
    row.message = "stops after its current step"
    return row


def is_cancelled(session: Session, job_id: str) -> bool:
    """Whether somebody asked the job to stop."""
    state = session.scalar(select(JobRow.state).where(JobRow.id == job_id))
    return state in {JobState.CANCELLING, JobState.CANCELLED}


def resume_job(session: Session, job_id: str) -> JobRow:
    """Let a cancelled or failed job go on after its last finished step.

    Raises:
        WrongState: It runs, or is done.
    """
    row = find_job(session, job_id, lock=True)
    if row.state not in {JobState.CANCELLED, JobState.FAILED}:
        raise WrongState(f"the job is {row.state}; only a cancelled or failed job can be resumed")
    row.state = JobState.RESUMING
    row.problem = ""
    row.finished_at = None
    return row


def report(session: Session, job_id: str, **values: Any) -> None:
    """Set columns of a job that has not ended."""
    session.execute(update(JobRow).where(JobRow.id == job_id).values(**values))


def finish(
    session: Session, job_id: str, state: JobState, *, now: datetime, result: Json = None, problem: str = ""
) -> None:
    """End a job."""
    report(session, job_id, state=state, finished_at=now, result=result, problem=problem)


def jobs_under_way(session: Session) -> list[JobRow]:
    """Jobs that say they run, or that they wait for the engine."""
    states = (JobState.RUNNING, JobState.QUEUED)
    return list(session.scalars(select(JobRow).where(JobRow.state.in_(states))))


def job_of_engine(session: Session, engine_id: str) -> JobRow | None:
    """The job that the engine knows under this id, if any."""
    return session.scalar(select(JobRow).where(JobRow.engine_id == engine_id))
