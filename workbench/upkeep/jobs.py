"""The nightly jobs: back-up, comparison of the books with the truth, retention; each night's once."""

from __future__ import annotations

from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from workbench.jobs import store as jobs
from workbench.jobs.definition import JobKind, JobRun, Json
from workbench.outside import Outside
from workbench.upkeep import store
from workbench.upkeep.domain import Chore, ChoreState, due_times, split_due
from workbench.upkeep.erasure import checked_reason, erase_items, remove_tasks, withdraw
from workbench.upkeep.service import do_chore, give_up_chore

UPKEEP = "upkeep"
ERASE = "erase"


def ask_for_chores(session: Session, outside: Outside, since: datetime) -> list[str]:
    """Ask for the chores that have become due; those nobody was there to do are noted as missed.

    Args:
        session: A writing session.
        outside: Clock and settings.
        since: From when on chores are looked for that no night is known of: the start of the process.

    Returns:
        The ids of the jobs asked for.
    """
    settings, now = outside.settings, outside.now()
    if not settings.nightly_at:
        return []
    at, zone = time.fromisoformat(settings.nightly_at), ZoneInfo(settings.nightly_zone)
    asked = []
    for chore in Chore:
        due = due_times(store.last_due(session, chore) or since, now, at, zone)
        todo, missed = split_due(due, now)
        for moment in missed:
            store.end(session, chore, moment, ChoreState.MISSED, now, problem="no worker ran at that time")
        if todo is not None and store.begin(session, chore, todo, now):
            asked.append(_ask(session, chore, todo, now))
    return asked


def _ask(session: Session, chore: Chore, due_at: datetime, now: datetime) -> str:
    return jobs.start_job(
        session,
        UPKEEP,
        {"chore": chore.value, "due_at": due_at.isoformat()},
        job_id=f"{UPKEEP}-{chore}-{due_at:%Y%m%dT%H%M}",
        project_id=None,
        by="machine",
        now=now,
        unit="steps",
    )


def run(job: JobRun, arguments: dict[str, Any]) -> Json:
    """Do one chore of one night; what it found is kept on its row."""
    try:
        return job.step(do_chore, arguments["chore"], arguments["due_at"])  # type: ignore[no-any-return]
    except Exception:
        job.step(give_up_chore, arguments["chore"], arguments["due_at"])
        raise


def run_erasure(job: JobRun, arguments: dict[str, Any]) -> Json:
    """Erase items: out of the line, out of Label Studio, then here; each step may run twice."""
    project_id, item_ids = arguments["project_id"], arguments["items"]
    for lane_id in job.step(withdraw, project_id, item_ids)["lanes"]:
        job.step(remove_tasks, lane_id, item_ids)
    done = job.step(erase_items, project_id, item_ids, arguments["reason"], arguments["by"])
    job.progress(len(item_ids), len(item_ids))
    return done  # type: ignore[no-any-return]


def ask_to_erase(
    session: Session, outside: Outside, project_id: int, item_ids: list[int], reason: str, by: str
) -> str:
    """Ask for the erasure of items; the job's id.

    Raises:
        InvalidInput: No reason is given.
    """
    return jobs.start_job(
        session,
        ERASE,
        {"project_id": project_id, "items": item_ids, "reason": checked_reason(reason), "by": by},
        job_id=outside.new_id(),
        project_id=project_id,
        by=by,
        now=outside.now(),
        total=len(item_ids),
    )


JOB = JobKind(UPKEEP, run, unit="steps")
ERASE_JOB = JobKind(ERASE, run_erasure, unit="items")
