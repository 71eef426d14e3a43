"""The page of operations: what is wrong, since when, what to do, and what healed by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator

from fastapi import APIRouter, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.responses import Response

from workbench.activity.store import record
from workbench.auth.access import Caller, require
from workbench.auth.domain import Permission
from workbench.incidents.store import acknowledge_incident
from workbench.jobs.store import start_job
from workbench.outside import Outside
from workbench.overview.operations_pages.reading import read_operations, version
from workbench.web.current import Out, RowId
from workbench.web.live import changes
from workbench.web.render import page, redirect

router = APIRouter()
_COMPARE = "upkeep"


@router.get("/operations")
def operations_page(
    request: Request,
    outside: Out,
    caller: Caller = require(Permission.OPERATIONS_READ),  # noqa: ARG001 - the check is what is wanted
) -> Response:
    """How the installation stands."""
    return _page(request, outside, "operations/page.html")


@router.get("/operations/parts")
def operations_parts(
    request: Request,
    outside: Out,
    caller: Caller = require(Permission.OPERATIONS_READ),  # noqa: ARG001 - the check is what is wanted
) -> Response:
    """The part of that page that changes."""
    return _page(request, outside, "operations/parts.html")


def _page(request: Request, outside: Outside, template: str) -> Response:
    with outside.db.read() as session:
        found = read_operations(session, outside.now())
    return page(request, template, now_is=found)


@router.get("/operations/live", response_class=EventSourceResponse)
async def operations_live(
    request: Request,
    outside: Out,
    caller: Caller = require(Permission.OPERATIONS_READ),  # noqa: ARG001 - the check is what is wanted
) -> AsyncIterator[ServerSentEvent]:
    """A "changed" event whenever something on the page does."""
    async for event in changes(request, lambda: _version(outside), every_s=2.0):
        yield event


def _version(outside: Outside) -> object:
    with outside.db.read() as session:
        return version(session)


@router.post("/operations/incidents/{incident_id}/acknowledge")
def acknowledge(
    request: Request,
    outside: Out,
    incident_id: RowId,
    caller: Caller = require(Permission.OPERATIONS_READ),
) -> Response:
    """Says that somebody has seen an incident and looks after it."""
    acknowledge_as(outside, caller, incident_id)
    return redirect(request, "/operations", notice="Noted: others see that you look after it.")


def acknowledge_as(outside: Outside, caller: Caller, incident_id: int) -> None:
    """Acknowledge an incident and record who did.

    Raises:
        NotFound: There is no such incident.
        WrongState: It is over.
    """
    with outside.db.write() as session:
        row = acknowledge_incident(session, incident_id, by=caller.email, now=outside.now())
        if row.acknowledged_by == caller.email and row.acknowledged_at == outside.now():
            record(
                session,
                at=outside.now(),
                actor=caller.email,
                verb="incident.acknowledged",
                about=f"incident:{row.id}",
                project_id=row.project_id,
                supplier_id=row.supplier_id,
                after={"kind": row.kind, "about": row.about},
            )


@router.post("/operations/invariants")
def compare_again(request: Request, outside: Out, caller: Caller = require(Permission.JOBS_EDIT)) -> Response:
    """Compares the books with the truth now, as each night does."""
    now = outside.now()
    with outside.db.write() as session:
        start_job(
            session,
            _COMPARE,
            {"chore": "compare", "due_at": now.isoformat()},
            job_id=f"{_COMPARE}-compare-{now:%Y%m%dT%H%M}",
            project_id=None,
            by=caller.email,
            now=now,
            unit="steps",
        )
        record(
            session,
            at=now,
            actor=caller.email,
            verb="invariants.checked",
            about="installation",
        )
    return redirect(request, "/operations", notice="The comparison has begun; this page shows its outcome.")
