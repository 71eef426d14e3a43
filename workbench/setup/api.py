"""Projects as JSON."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body

from workbench.auth.access import Caller, require
from workbench.auth.domain import Permission
from workbench.errors import NotAllowed
from workbench.projects.domain import ProjectState
from workbench.projects.reading import read_document, without_prices
from workbench.projects.service import specification_of
from workbench.projects.specification import json_schema
from workbench.projects.store import find_project
from workbench.setup.cards import ProjectCard, project_cards
from workbench.setup.consequences import touches_money
from workbench.setup.planning import of_project, plan_project
from workbench.setup.service import apply_document, check_reach, set_project_state, set_up_project
from workbench.web.current import Out

router = APIRouter()
Document = Annotated[dict[str, Any], Body()]


@router.get("/api/v1/project-schema")
def project_schema(caller: Caller = require(Permission.PROJECTS_READ)) -> dict[str, Any]:  # noqa: ARG001 - the check
    """The JSON Schema of project documents."""
    return json_schema()


@router.get("/api/v1/projects")
def projects(outside: Out, caller: Caller = require(Permission.PROJECTS_READ)) -> dict[str, Any]:
    """Every project the caller has a role in, the newest first."""
    with outside.db.read() as session:
        cards = [card for card in project_cards(session) if caller.sees(card.id)]
    return {"projects": [_card(card, with_cost=caller.may(Permission.COSTS_READ)) for card in cards]}


@router.post("/api/v1/projects", status_code=201)
def create(
    outside: Out,
    document: Document,
    dry_run: bool = False,
    caller: Caller = require(Permission.PROJECTS_CREATE),
) -> dict[str, Any]:
    """Make a new project from a document."""
    done = set_up_project(outside, read_document(document), caller.email, must_be_new=True, dry_run=dry_run)
    return done.value()


@router.get("/api/v1/projects/{key}/specification")
def specification(outside: Out, caller: Caller = require(Permission.PROJECTS_READ)) -> dict[str, Any]:
    """A project's document; who may not read prices gets one without, which cannot be applied."""
    with outside.db.read() as session:
        row = find_project(session, caller.here.key)
        whole = specification_of(row)
    return {
        "state": row.state,
        "version": row.specification_version,
        "specification": whole.document() if caller.may(Permission.RATES_READ) else without_prices(whole),
    }


@router.put("/api/v1/projects/{key}")
def apply(
    outside: Out, document: Document, plan: str = "", caller: Caller = require(Permission.PROJECTS_EDIT)
) -> dict[str, Any]:
    """Make a project what its document says; the same document twice changes nothing.

    With `plan`, the digest of a plan, only if nothing changed since that plan was made (else 409).
    """
    wanted = of_project(document, caller.here.key)
    check_reach(outside, wanted, caller.projects)
    if not caller.may(Permission.RATES_EDIT) and touches_money(plan_project(outside, wanted).changes):
        raise NotAllowed("the document changes prices or the budget, which your role may not; ask a manager")
    return apply_document(outside, caller.here.key, document, caller.email, plan=plan).value()


@router.post("/api/v1/projects/{key}/plan")
def plan(
    outside: Out, document: Document, caller: Caller = require(Permission.PROJECTS_EDIT)
) -> dict[str, Any]:
    """What applying this document would do."""
    wanted = of_project(document, caller.here.key)
    check_reach(outside, wanted, caller.projects)
    made = plan_project(outside, wanted)
    if not caller.may(Permission.RATES_READ) and touches_money(made.changes):
        raise NotAllowed("the document changes prices or the budget, which your role may not read")
    return made.value()


@router.put("/api/v1/projects/{key}/state")
def state(
    outside: Out,
    state: Annotated[ProjectState, Body(embed=True)],
    caller: Caller = require(Permission.PROJECTS_EDIT),
) -> dict[str, str]:
    """Pause, resume or close a project."""
    return {
        "project": caller.here.key,
        "state": set_project_state(outside, caller.here.key, state, caller.email),
    }


def _card(card: ProjectCard, *, with_cost: bool) -> dict[str, Any]:
    value: dict[str, Any] = {
        "project": card.key,
        "title": card.title,
        "state": card.state,
        "items": card.items,
        "finished": card.finished,
        "waiting_for_people": card.waiting,
        "created_at": card.created_at,
        "last_answer": card.last_answer,
    }
    if with_cost:
        value |= {"cost": str(card.cost), "currency": card.currency}
    return value
