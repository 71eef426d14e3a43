"""A project's items: the list, and the page that says why an item has its label."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from sqlalchemy.orm import Session
from starlette.datastructures import QueryParams
from starlette.responses import Response

from workbench.auth.access import Caller, require
from workbench.auth.domain import Permission
from workbench.errors import InvalidInput, NotAllowed
from workbench.labeling.recalling import MOST_AT_ONCE, WITH_PEOPLE, Route, recall_many, words_of
from workbench.overview.charts import kind_words
from workbench.overview.item_pages.history import item_history, record_opening
from workbench.overview.item_pages.search import (
    SEARCHED,
    Disagreement,
    ItemFilter,
    Sort,
    find_items,
    keys_with_people,
    known_states,
    languages_of,
    people_in,
)
from workbench.overview.item_pages.why import why_label
from workbench.overview.store import label_values
from workbench.people.store import check_reach, pool_with_key, pools_of_project
from workbench.web.current import Out
from workbench.web.render import page, redirect

router = APIRouter()


FILTERABLE = {"person": Permission.PEOPLE_READ}
"""Filters on fields that a role may lack; all others are part of reading items."""
DECISION = "decision"


class Which(StrEnum):
    """Which items are taken back."""

    ONE = "one"
    """The one whose page asks."""
    TICKED = "ticked"
    FOUND = "found"
    """All with people that fit the filter."""


def filter_of(query: QueryParams, caller: Caller) -> ItemFilter:
    """What a query string asks for, of what the caller may read.

    Raises:
        NotAllowed: It asks about a field that they may not read: the answer would tell it.
        InvalidInput: A confidence is no number from 0 to 1, or a choice is unknown.
    """
    for name, permission in FILTERABLE.items():
        if query.get(name) and not caller.may(permission):
            raise NotAllowed(f"your role may not filter by {name} ({permission}); ask an admin for it")
    try:
        return ItemFilter(
            search=query.get("search", "").strip(),
            state=query.get("state", ""),
            label=query.get("label", ""),
            source=query.get("source", ""),
            predicted=query.get("predicted", ""),
            confidence_from=_share(query.get("from", "")),
            confidence_to=_share(query.get("to", "")),
            language=query.get("language", ""),
            person=query.get("person", ""),
            disagreement=Disagreement(query["disagreement"]) if query.get("disagreement") else "",
            sort=Sort(query.get("sort") or Sort.NEWEST),
        )
    except ValueError as problem:
        raise InvalidInput(f"the list cannot be filtered so: {problem}") from None


def _share(text: str) -> float | None:
    if not text.strip():
        return None
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise ValueError(f"a confidence is a number from 0 to 1, such as 0.8; {text[:40]!r} is not")
    return share


@router.get("/projects/{key}/items")
def items_page(request: Request, outside: Out, caller: Caller = require(Permission.ITEMS_READ)) -> Response:
    """The list of items, filtered, page by page."""
    wanted, error = ItemFilter(), ""
    try:
        wanted = filter_of(request.query_params, caller)
    except InvalidInput as problem:
        error = str(problem)
    project_id = caller.here.id
    with outside.db.read() as session:
        found = find_items(session, project_id, wanted, request.query_params.get("after", ""))
        context: dict[str, Any] = {
            "targets": targets_of(session, caller),
            "labels": label_values(session, project_id),
            "languages": languages_of(session, project_id),
            "people": people_in(session, project_id) if caller.may(Permission.PEOPLE_READ) else [],
        }
    return page(
        request,
        "items/list.html",
        status=422 if error else 200,
        found=found,
        wanted=wanted,
        error=error,
        states_options=[(state, state.replace("_", " ")) for state in known_states()],
        searched=SEARCHED,
        with_people=WITH_PEOPLE,
        most=MOST_AT_ONCE,
        query=request.query_params,
        **context,
    )


@router.get("/projects/{key}/items/{public_id}")
def item_page(
    request: Request, outside: Out, public_id: str, caller: Caller = require(Permission.ITEMS_READ)
) -> Response:
    """Everything that happened to one item."""
    with outside.db.read() as session:
        history = item_history(session, caller.here.id, public_id)
        steps = why_label(session, caller.here.id, public_id, with_pay=caller.may(Permission.COSTS_READ))
        context = _common(session, caller)
    return page(request, "items/item.html", item=history, steps=steps, **context)


@router.post("/projects/{key}/items/recall")
def take_back(
    request: Request,
    outside: Out,
    ids: Annotated[list[str] | None, Form()] = None,
    which: Annotated[Which, Form()] = Which.TICKED,
    where: Annotated[str, Form(max_length=64)] = DECISION,
    reason: Annotated[str, Form(max_length=300)] = "",
    query: Annotated[str, Form(max_length=2_000)] = "",
    caller: Caller = require(Permission.ITEMS_EDIT),
) -> Response:
    """Take items back from people: to another pool (its key), or back to the decision."""
    project = caller.here
    asked = QueryParams(query)
    keys = " ".join(ids or []).split()
    if which is Which.FOUND:
        with outside.db.read() as session:
            keys = keys_with_people(session, project.id, filter_of(asked, caller), MOST_AT_ONCE)
    if not keys:
        raise InvalidInput("tick the items to take back, or choose all with people that fit the filter")
    route = Route(to_decision=True) if where == DECISION else Route(pool=where)
    if route.pool:
        with outside.db.read() as session:
            check_reach(session, pool_with_key(session, where), project.id, caller.projects)
    done = recall_many(outside, project.id, keys, route=route, by=caller.email, reason=reason)
    back = f"/projects/{project.key}/items"
    if which is Which.ONE:
        back += f"/{keys[0]}"
    elif asked:
        back += f"?{asked}"
    return redirect(request, back, notice=words_of(done, to_decision=route.to_decision))


@router.post("/projects/{key}/items/{public_id}/open")
def open_item(
    request: Request, outside: Out, public_id: str, caller: Caller = require(Permission.ITEMS_READ)
) -> Response:
    """Shows a sensitive item's content, after writing down who opened it."""
    with outside.db.write(project=caller.here.id) as session:
        record_opening(
            session,
            caller.here.id,
            public_id,
            user_id=caller.user_id,
            by=caller.email,
            now=outside.now(),
        )
        history = item_history(session, caller.here.id, public_id, opened=True)
        steps = why_label(session, caller.here.id, public_id, with_pay=caller.may(Permission.COSTS_READ))
        context = _common(session, caller)
    part = "HX-Request" in request.headers
    return page(
        request,
        "items/content.html" if part else "items/item.html",
        item=history,
        steps=steps,
        **context,
    )


def _common(session: Session, caller: Caller) -> dict[str, Any]:
    return {
        "costs": caller.may(Permission.COSTS_READ),
        "kind_words": kind_words,
        "targets": targets_of(session, caller),
    }


def targets_of(session: Session, caller: Caller) -> list[tuple[str, str]]:
    """Where items that are taken back may go; empty for who may not take them back."""
    if not caller.may(Permission.ITEMS_EDIT):
        return []
    pools = pools_of_project(session, caller.here.id)
    return [
        (DECISION, "Back to the routing policy"),
        *((pool.key, f"To the pool {pool.name}") for pool in pools),
    ]
