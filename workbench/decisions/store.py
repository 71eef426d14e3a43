"""Queries on policies and decisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from workbench.db.bulk import insert_many
from workbench.decisions.tables import DecisionRow, LotteryKeyRow, RoutingPolicyRow
from workbench.errors import NotFound
from workbench.items.domain import ItemState
from workbench.items.tables import ItemPartRow, ItemRow
from workbench.prelabeling.tables import PredictionRow


@dataclass(frozen=True)
class Undecided:
    """What rules may look at of one item."""

    item_id: int
    public_id: str
    round: int
    state: str
    language: str
    region: str
    sensitivity: str
    model_version_id: int | None
    label: str
    confidence: float | None
    margin: float | None
    entropy: float | None
    metadata: dict[str, Any]


def active_policy(session: Session, project_id: int) -> RoutingPolicyRow | None:
    """The policy in force, if any."""
    return session.scalar(
        select(RoutingPolicyRow).where(
            RoutingPolicyRow.project_id == project_id, RoutingPolicyRow.state == "active"
        )
    )


def policies_of(session: Session, project_id: int) -> list[RoutingPolicyRow]:
    """All versions of the project's policy, newest first."""
    return list(
        session.scalars(
            select(RoutingPolicyRow)
            .where(RoutingPolicyRow.project_id == project_id)
            .order_by(RoutingPolicyRow.version.desc())
        )
    )


def find_policy(session: Session, project_id: int, policy_id: int) -> RoutingPolicyRow:
    """One version of the project's policy.

    Raises:
        NotFound: The project has none of that id.
    """
    row = session.get(RoutingPolicyRow, policy_id)
    if row is None or row.project_id != project_id:
        raise NotFound(f"this project has no routing policy {policy_id}")
    return row


def next_version(session: Session, project_id: int) -> int:
    """The number the next policy version gets."""
    highest = session.scalar(
        select(func.max(RoutingPolicyRow.version)).where(RoutingPolicyRow.project_id == project_id)
    )
    return (highest or 0) + 1


def lottery_key(session: Session, project_id: int) -> LotteryKeyRow | None:
    """The project's lottery key, still encrypted."""
    return session.get(LotteryKeyRow, project_id)


def undecided(session: Session, project_id: int, states: Sequence[ItemState], limit: int) -> list[Undecided]:
    """The next items in these states, with what the newest model version said of them, if any did."""
    newest = (
        select(func.max(PredictionRow.model_version_id))
        .where(PredictionRow.item_id == ItemRow.id)
        .correlate(ItemRow)
        .scalar_subquery()
    )
    on = (PredictionRow.item_id == ItemRow.id) & (PredictionRow.model_version_id == newest)
    rows = session.execute(
        select(ItemRow, PredictionRow, ItemPartRow.data)
        .outerjoin(PredictionRow, on)
        .outerjoin(ItemPartRow, (ItemPartRow.item_id == ItemRow.id) & (ItemPartRow.kind == "metadata"))
        .where(ItemRow.project_id == project_id, ItemRow.state.in_(states))
        .order_by(ItemRow.id)
        .limit(limit)
    )
    return [
        Undecided(
            item_id=item.id,
            public_id=item.public_id,
            round=item.round,
            state=item.state,
            language=item.language,
            region=item.region,
            sensitivity=item.sensitivity,
            model_version_id=prediction.model_version_id if prediction else None,
            label=prediction.label if prediction else "",
            confidence=prediction.confidence if prediction else None,
            margin=prediction.margin if prediction else None,
            entropy=prediction.entropy if prediction else None,
            metadata=metadata or {},
        )
        for item, prediction, metadata in rows
    ]


def add_decisions(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Store decisions."""
    if rows:
        insert_many(session, DecisionRow, rows)
