"""A project's figures as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter

from workbench.auth.access import Caller, require
from workbench.auth.domain import Permission
from workbench.overview.activity_pages import api as activity
from workbench.overview.definitions import DEFINITIONS
from workbench.overview.figures import project_figures
from workbench.overview.item_pages import api as items
from workbench.overview.job_pages import api as jobs
from workbench.overview.model_pages import api as model_versions
from workbench.overview.operations_pages import api as operations
from workbench.projects.store import find_project
from workbench.web.current import Out

router = APIRouter()
router.include_router(items.router)
router.include_router(jobs.router)
router.include_router(model_versions.router)
router.include_router(activity.router)
router.include_router(operations.router)


@router.get("/api/v1/projects/{key}/figures")
def figures(outside: Out, caller: Caller = require(Permission.PROJECTS_READ)) -> dict[str, Any]:
    """Every figure of the project; the same numbers as on its page."""
    with outside.db.read() as session:
        found = project_figures(session, find_project(session, caller.here.key), outside.now())
    return found.to_json() if caller.may(Permission.COSTS_READ) else found.without_costs()


@router.get("/api/v1/definitions")
def definitions(caller: Caller = require(Permission.PROJECTS_READ)) -> dict[str, Any]:  # noqa: ARG001
    """What each figure means, its unit and period."""
    return {name: asdict(one) for name, one in DEFINITIONS.items()}
