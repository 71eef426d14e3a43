"""Pages on which labels leave: ask for an export, watch it, take it away."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi import Form as FormField
from fastapi.sse import EventSourceResponse, ServerSentEvent
from sqlalchemy.orm import Session
from starlette.responses import Response

from workbench.auth.access import Caller, require
from workbench.auth.domain import Permission
from workbench.deliveries.corrections import count_changed
from workbench.deliveries.domain import Format
from workbench.deliveries.service import note_download, start_delivery
from workbench.deliveries.store import count_final, deliveries_of, delivery_with
from workbench.deliveries.views import DeliveryView, corrections_file, labels_file, manifest_file, view_of
from workbench.jobs.store import find_job
from workbench.outside import Outside
from workbench.web.current import Out
from workbench.web.live import changes
from workbench.web.render import page, redirect

router = APIRouter()


@router.get("/projects/{key}/exports")
def exports_page(
    request: Request, outside: Out, caller: Caller = require(Permission.EXPORTS_READ)
) -> Response:
    """Make an export; those made before."""
    with outside.db.read() as session:
        final = count_final(session, caller.here.id, outside.now())
        exports = _views(session, caller.here.id)
        changed = count_changed(session, caller.here.id)
    return page(
        request,
        "deliveries/page.html",
        exports=exports,
        final=final,
        changed=changed,
        formats=[(form.value, form.words) for form in Format],
    )


@router.get("/projects/{key}/exports/list")
def exports_list(
    request: Request, outside: Out, caller: Caller = require(Permission.EXPORTS_READ)
) -> Response:
    """The part of that page that changes."""
    with outside.db.read() as session:
        exports = _views(session, caller.here.id)
    return page(request, "deliveries/list.html", exports=exports)


@router.post("/projects/{key}/exports")
def make_export(
    request: Request,
    outside: Out,
    form: Annotated[str, FormField(alias="format")],
    mark_delivered: Annotated[str, FormField()] = "",
    caller: Caller = require(Permission.EXPORTS_CREATE),
) -> Response:
    """Ask for an export."""
    with outside.db.write(project=caller.here.id) as session:
        start_delivery(
            outside, session, caller.here.id, form, caller.email, mark_delivered=bool(mark_delivered)
        )
    return redirect(request, f"/projects/{caller.here.key}/exports", notice="The export is being made.")


@router.get("/projects/{key}/exports/live", response_class=EventSourceResponse)
async def live(
    request: Request, outside: Out, caller: Caller = require(Permission.EXPORTS_READ)
) -> AsyncIterator[ServerSentEvent]:
    """Says when an export went on."""
    project_id = caller.here.id
    async for event in changes(request, lambda: _version(outside, project_id)):
        yield event


@router.get("/projects/{key}/exports/{export_id}/labels")
def labels(outside: Out, export_id: str, caller: Caller = require(Permission.EXPORTS_READ)) -> Response:
    """The labels, as a file."""
    with outside.db.write(project=caller.here.id) as session:
        row = delivery_with(session, caller.here.id, export_id)
        answer = labels_file(row, caller.here.key)
        note_download(session, outside, row, caller.email)
    return answer


@router.get("/projects/{key}/exports/{export_id}/manifest")
def manifest(outside: Out, export_id: str, caller: Caller = require(Permission.EXPORTS_READ)) -> Response:
    """The manifest, as a file."""
    with outside.db.read() as session:
        return manifest_file(delivery_with(session, caller.here.id, export_id), caller.here.key)


@router.get("/projects/{key}/exports/{export_id}/corrections")
def corrections(outside: Out, export_id: str, caller: Caller = require(Permission.EXPORTS_READ)) -> Response:
    """What the export corrects of earlier ones, as a file."""
    with outside.db.read() as session:
        return corrections_file(delivery_with(session, caller.here.id, export_id), caller.here.key)


def _views(session: Session, project_id: int) -> list[DeliveryView]:
    rows = deliveries_of(session, project_id)
    return [view_of(row, find_job(session, row.job_id)) for row in rows]


def _version(outside: Outside, project_id: int) -> object:
    with outside.db.read() as session:
        return [(one.id, one.state, one.done) for one in _views(session, project_id)]
