"""A project's overview page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from sqlalchemy.orm import Session
from starlette.responses import Response

from workbench.auth.access import Caller, require
from workbench.auth.domain import Permission
from workbench.jobs.store import jobs_of
from workbench.outside import Outside
from workbench.overview import charts, live, series_store
from workbench.overview.activity_pages import pages as activity_pages
from workbench.overview.attention import attention
from workbench.overview.definitions import DEFINITIONS, MONEY, definition_text
from workbench.overview.domain import ENOUGH_ITEMS
from workbench.overview.figures import Figures, project_figures
from workbench.overview.item_pages import pages as item_pages
from workbench.overview.job_pages import pages as job_pages
from workbench.overview.job_pages.views import views_of
from workbench.overview.model_pages import pages as model_pages
from workbench.overview.operations_pages import pages as operations_pages
from workbench.overview.series import Series, project_series
from workbench.overview.thresholds import threshold_in_force
from workbench.projects.store import find_project
from workbench.web.current import Out
from workbench.web.live import changes
from workbench.web.render import page

router = APIRouter()
router.include_router(item_pages.router)
router.include_router(model_pages.router)
router.include_router(job_pages.router)
router.include_router(activity_pages.router)
router.include_router(operations_pages.router)


def _context(session: Session, outside: Outside, caller: Caller) -> dict[str, Any]:
    project = find_project(session, caller.here.key)
    now = outside.now()
    figures = project_figures(session, project, now)
    jobs = views_of(jobs_of(session, project.id, limit=8), now)
    return {
        "row": project,
        "figures": figures,
        "series": project_series(session, project.id, project.currency, figures.rate.hours),
        "jobs": jobs,
        "attention": attention(session, project, figures, jobs),
        "define": definition_text,
        "definitions": [
            one for name, one in DEFINITIONS.items() if caller.may(Permission.COSTS_READ) or name not in MONEY
        ],
        "people_link": True,
        "enough_items": ENOUGH_ITEMS,
    }


def _chart_context(session: Session, caller: Caller, figures: Figures, series: Series) -> dict[str, Any]:
    project_id = caller.here.id
    version = series_store.newest_predicting_version(session, project_id)
    bins = series_store.confidence_bins(session, version[0]) if version else []
    threshold = threshold_in_force(session, project_id)
    assumption = _assumption(figures)
    return {
        "model_version": version[1] if version else "",
        "assumption": assumption,
        "charts": {
            "resolved": charts.resolved_over_time(series.points, caller.here.time_zone),
            "confidence": charts.confidence_histogram(bins, 1 / series_store.BINS, threshold),
            "cost": charts.cost_against_baseline(
                figures.costs, figures.cost_baseline, assumption, figures.currency
            ),
            "people": charts.throughput_by_person(figures.people),
            "confusion": charts.confusion_heat_map(figures.confusion),
        },
    }


def _assumption(figures: Figures) -> str:
    each = "1 annotation" if figures.baseline_overlap == 1 else f"{figures.baseline_overlap} annotations"
    price = f"{figures.baseline_price.normalize():f} {figures.currency}"
    return f"Assumes {each} at {price} for each resolved item"


def _render(
    request: Request, outside: Outside, caller: Caller, template: str, *, with_charts: bool = True
) -> Response:
    with outside.db.read() as session:
        context = _context(session, outside, caller)
        if with_charts:
            context |= _chart_context(session, caller, context["figures"], context["series"])
    return page(request, template, **context)


@router.get("/projects/{key}")
def overview(request: Request, outside: Out, caller: Caller = require(Permission.PROJECTS_READ)) -> Response:
    """The whole page."""
    return _render(request, outside, caller, "overview/page.html")


@router.get("/projects/{key}/overview/top")
def overview_top(
    request: Request, outside: Out, caller: Caller = require(Permission.PROJECTS_READ)
) -> Response:
    """Progress, tiles and what needs attention."""
    return _render(request, outside, caller, "overview/top.html", with_charts=False)


@router.get("/projects/{key}/overview/charts")
def overview_charts(
    request: Request, outside: Out, caller: Caller = require(Permission.PROJECTS_READ)
) -> Response:
    """The charts with their tables."""
    return _render(request, outside, caller, "overview/charts.html")


@router.get("/projects/{key}/overview/tables")
def overview_tables(
    request: Request, outside: Out, caller: Caller = require(Permission.PROJECTS_READ)
) -> Response:
    """Queue, people, pairs and jobs."""
    return _render(request, outside, caller, "overview/tables.html", with_charts=False)


@router.get("/projects/{key}/overview/people")
def overview_people(
    request: Request, outside: Out, caller: Caller = require(Permission.PEOPLE_READ)
) -> Response:
    """What each person did, for the page of people."""
    with outside.db.read() as session:
        project = find_project(session, caller.here.key)
        figures = project_figures(session, project, outside.now())
    return page(
        request,
        "overview/people.html",
        row=project,
        figures=figures,
        define=definition_text,
        people_link=False,
        people_class="flush",
    )


@router.get("/projects/{key}/live", response_class=EventSourceResponse)
async def project_live(
    request: Request, outside: Out, caller: Caller = require(Permission.PROJECTS_READ)
) -> AsyncIterator[ServerSentEvent]:
    """A "changed" event whenever the project's figures or jobs do."""
    project_id = caller.here.id
    async for event in changes(request, lambda: live.version(outside, project_id)):
        yield event
