"""Recall and re-routing, webhooks and epochs of servers as JSON."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field, StrictBool

from workbench.auth.access import Caller, require
from workbench.auth.domain import Permission
from workbench.inbox.service import rotate_secret
from workbench.items.domain import Stage
from workbench.labeling.keeping import lanes_want_new_secret
from workbench.labeling.recalling import MOST_AT_ONCE, Route, recall_many
from workbench.labeling.restoring import resolve_restore
from workbench.people.store import check_reach, pool_with_key
from workbench.web.current import Out, RowId

router = APIRouter(prefix="/api/v1")
Key = Annotated[str, Field(min_length=1, max_length=64)]


class RecallIn(BaseModel, extra="forbid"):
    """Items to take back, and where they go: to a pool, or back to the decision."""

    ids: Annotated[list[Key], Field(min_length=1, max_length=MOST_AT_ONCE)]
    pool: Annotated[str, Field(max_length=64)] = ""
    stage: Stage = Stage.LABEL
    to_decision: StrictBool = False
    reason: Annotated[str, Field(max_length=300)] = ""


class RecallOut(BaseModel):
    """What it came to; `busy` ones are being sent just now: try those again in a minute."""

    recalled: int
    busy: int
    left: int


class EpochOut(BaseModel):
    """What a new epoch began with."""

    adopted: int
    sent_again: int


@router.post("/projects/{key}/items/recall")
def recall_items(outside: Out, given: RecallIn, caller: Caller = require(Permission.ITEMS_EDIT)) -> RecallOut:
    """Take items back from people; answers that came or still come are kept."""
    if given.pool:
        with outside.db.read() as session:
            check_reach(session, pool_with_key(session, given.pool), caller.here.id, caller.projects)
    route = Route(given.pool, given.stage, given.to_decision)
    done = recall_many(outside, caller.here.id, given.ids, route=route, by=caller.email, reason=given.reason)
    return RecallOut(recalled=done.recalled, busy=done.busy, left=done.left)


@router.post("/servers/{server_id}/webhook-secret", status_code=204)
def new_secret(outside: Out, server_id: RowId, caller: Caller = require(Permission.SERVERS_EDIT)) -> None:
    """A new secret for the server's webhooks; the one before holds while the lanes change over."""
    with outside.db.write() as session:
        rotate_secret(outside, session, server_id, by=caller.email)
        lanes_want_new_secret(session, server_id)


@router.post("/servers/{server_id}/epochs")
def new_epoch(outside: Out, server_id: RowId, caller: Caller = require(Permission.SERVERS_EDIT)) -> EpochOut:
    """Go on with a server that was restored from an older state."""
    return EpochOut(**resolve_restore(outside, server_id, by=caller.email))
