"""The record as JSON."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from workbench.auth.access import Caller, require
from workbench.auth.domain import Permission
from workbench.outside import Outside
from workbench.overview.activity_pages.reading import filter_of, place_of, read_events
from workbench.web.current import Out

router = APIRouter()


@router.get("/api/v1/activity")
def activity(
    request: Request, outside: Out, caller: Caller = require(Permission.ACTIVITY_READ)
) -> dict[str, Any]:
    """Who did what, newest first; give `before` of this answer to get what came before."""
    return _events(request, outside, caller, None)


@router.get("/api/v1/projects/{key}/activity")
def project_activity(
    request: Request, outside: Out, caller: Caller = require(Permission.ACTIVITY_READ)
) -> dict[str, Any]:
    """Who did what in a project, newest first."""
    return _events(request, outside, caller, caller.here.id)


def _events(request: Request, outside: Outside, caller: Caller, project_id: int | None) -> dict[str, Any]:
    query = request.query_params
    projects = caller.projects if project_id is None else {project_id}
    with outside.db.read() as session:
        found = read_events(session, filter_of(query), before=place_of(query), limit=100, projects=projects)
    return {"events": [one.to_json() for one in found.events], "before": found.before}
