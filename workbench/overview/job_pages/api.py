"""A project's jobs as JSON."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from workbench.auth.access import Caller, require
from workbench.auth.domain import Permission
from workbench.errors import NotFound
from workbench.jobs.store import find_job, jobs_of
from workbench.outside import Outside
from workbench.overview.job_pages.pages import change_job
from workbench.overview.job_pages.views import view_of, views_of
from workbench.web.current import Out

router = APIRouter()


@router.get("/api/v1/projects/{key}/jobs")
def jobs(outside: Out, caller: Caller = require(Permission.JOBS_READ)) -> dict[str, Any]:
    """The project's newest jobs, open ones first."""
    with outside.db.read() as session:
        rows = views_of(jobs_of(session, caller.here.id, limit=100), outside.now())
    return {"jobs": [row.to_json() for row in rows]}


@router.get("/api/v1/projects/{key}/jobs/{job_id}")
def job(outside: Out, job_id: str, caller: Caller = require(Permission.JOBS_READ)) -> dict[str, Any]:
    """One job."""
    return _one(outside, caller, job_id)


@router.post("/api/v1/projects/{key}/jobs/{job_id}/cancel")
def cancel(outside: Out, job_id: str, caller: Caller = require(Permission.JOBS_EDIT)) -> dict[str, Any]:
    """Asks a job to stop after its current step."""
    change_job(outside, caller, job_id, resume=False)
    return _one(outside, caller, job_id)


@router.post("/api/v1/projects/{key}/jobs/{job_id}/resume")
def resume(outside: Out, job_id: str, caller: Caller = require(Permission.JOBS_EDIT)) -> dict[str, Any]:
    """Lets a cancelled or failed job go on."""
    change_job(outside, caller, job_id, resume=True)
    return _one(outside, caller, job_id)


def _one(outside: Outside, caller: Caller, job_id: str) -> dict[str, Any]:
    with outside.db.read() as session:
        row = find_job(session, job_id)
        if row.project_id != caller.here.id:
            raise NotFound(f"this project has no job {job_id}")
        return view_of(row, outside.now()).to_json()
