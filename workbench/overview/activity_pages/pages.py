"""The record's pages: the installation's, and each project's."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from workbench.activity.store import EventFilter, known_verbs, last_check
from workbench.activity.wording import sentence_of
from workbench.auth.access import Caller, require
from workbench.auth.domain import Permission
from workbench.errors import InvalidInput
from workbench.outside import Outside
from workbench.overview.activity_pages.reading import filter_of, place_of, read_events
from workbench.web.current import Out
from workbench.web.render import page

router = APIRouter()


@router.get("/activity")
def activity_page(
    request: Request, outside: Out, caller: Caller = require(Permission.ACTIVITY_READ)
) -> Response:
    """Who did what, everywhere."""
    return _page(request, outside, caller, None)


@router.get("/projects/{key}/activity")
def project_activity_page(
    request: Request, outside: Out, caller: Caller = require(Permission.ACTIVITY_READ)
) -> Response:
    """Who did what in a project."""
    return _page(request, outside, caller, caller.here.id)


def _page(request: Request, outside: Outside, caller: Caller, project_id: int | None) -> Response:
    wanted, before, error = EventFilter(), None, ""
    try:
        zone = caller.here.time_zone if project_id is not None else "UTC"
        wanted = filter_of(request.query_params, zone=zone)
        before = place_of(request.query_params)
    except InvalidInput as problem:
        error = str(problem)
    projects = caller.projects if project_id is None else {project_id}
    with outside.db.read() as session:
        found = read_events(session, wanted, before=before, projects=projects)
        verbs = known_verbs(session, project_id)
        check = last_check(session)
    return page(
        request,
        "activity/list.html",
        status=422 if error else 200,
        found=found,
        wanted=wanted,
        error=error,
        verbs=[("", "anything"), *((verb, sentence_of(verb)) for verb in verbs)],
        query=request.query_params,
        check=check if project_id is None else None,
        everywhere=project_id is None,
        base="/activity" if project_id is None else f"/projects/{caller.here.key}/activity",
    )
