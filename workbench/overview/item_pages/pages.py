"""A project's items: the list, and the page that says why an item has its label."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.datastructures import QueryParams
from starlette.responses import Response

from workbench.auth.access import Caller, require
from workbench.auth.domain import Permission
from workbench.errors import InvalidInput
from workbench.overview.charts import kind_words
from workbench.overview.item_pages.history import item_history, record_opening
from workbench.overview.item_pages.search import (
    SEARCHED,
    Disagreement,
    ItemFilter,
    Sort,
    find_items,
    known_states,
    languages_of,
    people_in,
)
from workbench.overview.store import label_values
from workbench.web.current import Out
from workbench.web.render import page

router = APIRouter()


def filter_of(query: QueryParams) -> ItemFilter:
    """What a query string asks for.

    Raises:
        InvalidInput: A confidence is no number from 0 to 1, or a choice is unknown.
    """
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
        wanted = filter_of(request.query_params)
    except InvalidInput as problem:
        error = str(problem)
    project_id = caller.here.id
    with outside.db.read() as session:
        found = find_items(session, project_id, wanted, request.query_params.get("after", ""))
        context: dict[str, Any] = {
            "labels": label_values(session, project_id),
            "languages": languages_of(session, project_id),
            "people": people_in(session, project_id),
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
    return page(request, "items/item.html", item=history, **_common(caller))


@router.post("/projects/{key}/items/{public_id}/open")
def open_item(
    request: Request, outside: Out, public_id: str, caller: Caller = require(Permission.ITEMS_READ)
) -> Response:
    """Shows a sensitive item's content, after writing down who opened it."""
    with outside.db.write() as session:
        record_opening(session, caller.here.id, public_id, user_id=caller.user_id, now=outside.now())
        history = item_history(session, caller.here.id, public_id, opened=True)
    part = "HX-Request" in request.headers
    return page(request, "items/content.html" if part else "items/item.html", item=history, **_common(caller))


def _common(caller: Caller) -> dict[str, Any]:
    return {"costs": caller.may(Permission.COSTS_READ), "kind_words": kind_words}
