"""A project's items as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request

from workbench.auth.access import Caller, require
from workbench.auth.domain import Permission
from workbench.overview.item_pages.history import item_history
from workbench.overview.item_pages.pages import filter_of
from workbench.overview.item_pages.search import find_items
from workbench.web.current import Out

router = APIRouter()


@router.get("/api/v1/projects/{key}/items")
def items(request: Request, outside: Out, caller: Caller = require(Permission.ITEMS_READ)) -> dict[str, Any]:
    """One page of items; give `after` of this answer to get the next."""
    with outside.db.read() as session:
        found = find_items(
            session,
            caller.here.id,
            filter_of(request.query_params, caller),
            request.query_params.get("after", ""),
        )
    rows = [asdict(one) for one in found.items]
    for row in rows:
        del row["item_id"]
    return {"items": rows, "after": found.after}


@router.get("/api/v1/projects/{key}/items/{public_id}")
def item(outside: Out, public_id: str, caller: Caller = require(Permission.ITEMS_READ)) -> dict[str, Any]:
    """Everything that happened to one item; sensitive content is left out."""
    with outside.db.read() as session:
        history = item_history(session, caller.here.id, public_id)
    found = asdict(history) | {"cost": str(history.cost)}
    del found["item_id"]
    if not caller.may(Permission.COSTS_READ):
        del found["cost"], found["costs"]
        for prediction in found["predictions"]:
            del prediction["cost"]
    return found
