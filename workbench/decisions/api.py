"""A project's routing policies as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, StrictBool

from routing.errors import PolicyInvalid
from routing.policy import parse_policy
from workbench.auth.access import Caller, require
from workbench.auth.domain import Permission
from workbench.decisions import service, store
from workbench.decisions.what_if import compare, pool_names
from workbench.errors import InvalidInput
from workbench.projects.store import labels_of_project
from workbench.web.current import Out

router = APIRouter()


class PolicyGiven(BaseModel):
    """A rule document, and what to do with it."""

    model_config = ConfigDict(extra="forbid")

    document: dict[str, Any]
    note: str = ""
    activate: StrictBool = False


def _policy_json(row: Any) -> dict[str, Any]:
    return {
        "id": row.id,
        "version": row.version,
        "state": row.state,
        "document": row.document,
        "note": row.note,
        "created_at": row.created_at.isoformat(),
        "created_by": row.created_by,
        "activated_at": row.activated_at.isoformat() if row.activated_at else None,
        "activated_by": row.activated_by,
    }


@router.get("/api/v1/projects/{key}/routing")
def policies(outside: Out, caller: Caller = require(Permission.ROUTING_READ)) -> dict[str, Any]:
    """The policy in force and all versions, newest first."""
    with outside.db.read() as session:
        active = store.active_policy(session, caller.here.id)
        versions = store.policies_of(session, caller.here.id)
    return {
        "active": _policy_json(active) if active else None,
        "versions": [_policy_json(row) for row in versions],
    }


@router.post("/api/v1/projects/{key}/routing/preview")
def preview(
    outside: Out, given: PolicyGiven, caller: Caller = require(Permission.ROUTING_PROPOSE)
) -> dict[str, Any]:
    """Where the items predicted so far would have gone under this document; nothing is saved."""
    with outside.db.read() as session:
        labels = [label.value for label in labels_of_project(session, caller.here.id)]
        policy = _parsed(given, labels, list(pool_names(session, caller.here.id, caller.projects)))
        active = store.active_policy(session, caller.here.id)
        old = parse_policy(active.document, labels=labels) if active else None
        found = compare(outside, session, caller.here.id, old, policy, labels)
    return asdict(found) | {"sentence": found.sentence()}


@router.post("/api/v1/projects/{key}/routing", status_code=201)
def new_version(
    outside: Out, given: PolicyGiven, caller: Caller = require(Permission.ROUTING_PROPOSE)
) -> dict[str, Any]:
    """A new version; put in force where asked for and allowed."""
    with outside.db.write(project=caller.here.id) as session:
        labels = [label.value for label in labels_of_project(session, caller.here.id)]
        pools = list(pool_names(session, caller.here.id, caller.projects))
        _parsed(given, labels, pools)
        row = service.new_policy(
            session,
            caller.here.id,
            given.document,
            labels=labels,
            pools=pools,
            by=caller.email,
            now=outside.now(),
            note=given.note,
            activate=given.activate and caller.may(Permission.ROUTING_ACTIVATE),
        )
        return _policy_json(row)


def _parsed(given: PolicyGiven, labels: list[str], pools: list[str]) -> Any:
    try:
        return parse_policy(given.document, labels=labels, pools=pools)
    except PolicyInvalid as problem:
        raise InvalidInput(str(problem)) from None
