"""Policies as versions, and decisions made under them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from routing.policy import (
    Columns,
    Decisions,
    Outcome,
    Purpose,
    RoutingPolicy,
    decide,
    parse_policy,
    public_reason,
    reason,
    to_document,
)
from routing.sampling import item_keys
from workbench.activity.store import record
from workbench.decisions import store
from workbench.decisions.store import Undecided
from workbench.decisions.tables import LotteryKeyRow, RoutingPolicyRow
from workbench.errors import WrongState
from workbench.items import domain as items
from workbench.outside import Outside

ALL_TO_PEOPLE: dict[str, Any] = {"rules": [{"name": "everything", "when": "true"}]}
PURPOSES = {
    Purpose.ORDINARY: items.Purpose.ORDINARY,
    Purpose.AUDIT: items.Purpose.AUDIT,
    Purpose.BLIND: items.Purpose.BLIND,
}


def new_policy(
    session: Session,
    project_id: int,
    document: Mapping[str, Any],
    *,
    labels: Sequence[str],
    pools: Sequence[str],
    by: str,
    now: datetime,
    note: str = "",
    activate: bool = True,
) -> RoutingPolicyRow:
    """A new version of a project's policy; the document of the active one again changes nothing.

    Raises:
        PolicyInvalid: The document cannot be used; the path says where.
    """
    canonical = to_document(parse_policy(document, labels=labels, pools=pools))
    digest = hashlib.sha256(json.dumps(canonical, sort_keys=True).encode()).hexdigest()
    active = store.active_policy(session, project_id)
    if active is not None and active.digest == digest:
        return active
    row = RoutingPolicyRow(
        project_id=project_id,
        version=store.next_version(session, project_id),
        document=canonical,
        digest=digest,
        state="draft",
        note=note,
        created_at=now,
        created_by=by,
        activated_by="",
    )
    session.add(row)
    session.flush()
    if activate:
        activate_policy(session, project_id, row.id, by=by, now=now)
    else:
        record(
            session,
            at=now,
            actor=by,
            verb="policy.proposed",
            about=f"policy:{row.id}",
            project_id=project_id,
            before=_told(active),
            after=_told(row),
        )
    return row


def activate_policy(
    session: Session, project_id: int, policy_id: int, *, by: str, now: datetime
) -> RoutingPolicyRow:
    """Put a version in force, a new one or an older one again; decisions already made stay."""
    row = store.find_policy(session, project_id, policy_id)
    active = store.active_policy(session, project_id)
    if active is not None and active.id != row.id:
        active.state = "replaced"
        session.flush()
    if active is None or active.id != row.id:
        record(
            session,
            at=now,
            actor=by,
            verb="policy.activated" if row.activated_at is None else "policy.rolled_back",
            about=f"policy:{row.id}",
            project_id=project_id,
            before=_told(active),
            after=_told(row),
        )
    row.state, row.activated_at, row.activated_by = "active", now, by
    session.flush()
    return row


def _told(policy: RoutingPolicyRow | None) -> dict[str, Any] | None:
    """A policy as the record tells it."""
    return None if policy is None else {"version": policy.version, **policy.document}


def ensure_lottery_key(outside: Outside, session: Session, project_id: int) -> bytes:
    """The project's lottery key; made, encrypted and committed to by its SHA-256 on first use."""
    row = store.lottery_key(session, project_id)
    if row is not None:
        return outside.vault.unlock(row.key)
    key = outside.random_bytes(32)
    session.add(
        LotteryKeyRow(
            project_id=project_id,
            key=outside.vault.lock(key),
            sha256=hashlib.sha256(key).hexdigest(),
            created_at=outside.now(),
        )
    )
    session.flush()
    return key


def active_rules(session: Session, project_id: int, labels: Sequence[str]) -> tuple[int, RoutingPolicy]:
    """The policy in force, read.

    Raises:
        WrongState: The project has none.
    """
    row = store.active_policy(session, project_id)
    if row is None:
        raise WrongState("the project has no routing policy in force; activate one on its Routing page")
    return row.id, parse_policy(row.document, labels=labels)


def columns_of(found: Sequence[Undecided], labels: Sequence[str]) -> Columns:
    """What is known of items, as columns for the rules."""
    index = {label: i for i, label in enumerate(labels)}
    fields = sorted({name for item in found for name in item.metadata})
    return Columns.of(
        keys=item_keys(item.public_id for item in found),
        labels=labels,
        predicted=[index.get(item.label, -1) for item in found],
        confidence=[item.confidence for item in found],
        margin=[item.margin for item in found],
        entropy=[item.entropy for item in found],
        language=[item.language or None for item in found],
        region=[item.region or None for item in found],
        sensitivity=[item.sensitivity or None for item in found],
        meta={name: [item.metadata.get(name) for item in found] for name in fields},
    )


def decision_rows(
    decided: Decisions,
    found: Sequence[Undecided],
    *,
    project_id: int,
    policy_id: int,
    pools: Mapping[str, int],
    now: datetime,
) -> list[dict[str, Any]]:
    """Decisions as rows, each with its reason."""
    rows = []
    for i, item in enumerate(found):
        outcome = Outcome(int(decided.outcome[i]))
        pool = decided.pool_name(i)
        rows.append(
            {
                "project_id": project_id,
                "item_id": item.item_id,
                "round": item.round,
                "policy_id": policy_id,
                "model_version_id": item.model_version_id,
                "outcome": "people" if outcome is Outcome.PEOPLE else "accept",
                "purpose": PURPOSES[Purpose(int(decided.purpose[i]))].value,
                "rule": decided.policy.rules[int(decided.rule[i])].name,
                "reason": reason(decided, i),
                "public_reason": public_reason(decided, i),
                "stage": decided.stage_of(i).value,
                "pool_id": None if pool is None else pools.get(pool),
                "overlap": int(decided.overlap[i]),
                "show_suggestion": bool(decided.show_suggestion[i]),
                "priority": int(decided.priority[i]),
                "decided_at": now,
            }
        )
    return rows


__all__ = [
    "ALL_TO_PEOPLE",
    "activate_policy",
    "active_rules",
    "columns_of",
    "decide",
    "decision_rows",
    "ensure_lottery_key",
    "new_policy",
]
