"""A project's jobs: how far they are, cancel, resume."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from workbench.activity.store import record
from workbench.auth.access import Caller, require
from workbench.auth.domain import Permission
from workbench.errors import NotFound
from workbench.jobs.store import cancel_job, find_job, jobs_of, resume_job
from workbench.outside import Outside
from workbench.overview.job_pages.views import JobView, views_of
from workbench.web.current import Out
from workbench.web.render import page, redirect

router = APIRouter()
_SHOWN = 60


def _jobs(outside: Outside, caller: Caller) -> list[JobView]:
    with outside.db.read() as session:
        return views_of(jobs_of(session, caller.here.id, limit=_SHOWN), outside.now())


@router.get("/projects/{key}/jobs")
def jobs_page(request: Request, outside: Out, caller: Caller = require(Permission.JOBS_READ)) -> Response:
    """Open jobs first, then the newest."""
    return page(request, "jobs/list.html", jobs=_jobs(outside, caller))


@router.get("/projects/{key}/jobs/rows")
def job_rows(request: Request, outside: Out, caller: Caller = require(Permission.JOBS_READ)) -> Response:
    """The same as a part of the page."""
    return page(request, "jobs/rows.html", jobs=_jobs(outside, caller))


@router.post("/projects/{key}/jobs/{job_id}/cancel")
def cancel(
    request: Request, outside: Out, job_id: str, caller: Caller = require(Permission.JOBS_EDIT)
) -> Response:
    """Asks a job to stop after its current step."""
    change_job(outside, caller, job_id, resume=False)
    return redirect(
        request,
        f"/projects/{caller.here.key}/jobs",
        notice="The job stops after its current step; what it did stays.",
    )


@router.post("/projects/{key}/jobs/{job_id}/resume")
def resume(
    request: Request, outside: Out, job_id: str, caller: Caller = require(Permission.JOBS_EDIT)
) -> Response:
    """Lets a cancelled or failed job go on."""
    change_job(outside, caller, job_id, resume=True)
    return redirect(
        request, f"/projects/{caller.here.key}/jobs", notice="The job goes on after its last finished step."
    )


def change_job(outside: Outside, caller: Caller, job_id: str, *, resume: bool) -> None:
    """Cancel or resume a job of this project.

    Raises:
        NotFound: The project has no such job.
        WrongState: It is not in a state that allows it.
    """
    with outside.db.write(project=caller.here.id) as session:
        row = find_job(session, job_id)
        if row.project_id != caller.here.id:
            raise NotFound(f"this project has no job {job_id}")
        before = row.state
        (resume_job if resume else cancel_job)(session, job_id)
        record(
            session,
            at=outside.now(),
            actor=caller.email,
            verb="job.resumed" if resume else "job.cancelled",
            about=f"job:{job_id}",
            project_id=caller.here.id,
            before={"state": before, "kind": row.kind},
            after={"state": row.state, "kind": row.kind},
        )
