"""Queries on all that happened to one item."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from workbench.activity.store import record
from workbench.decisions.tables import DecisionRow, RoutingPolicyRow
from workbench.errors import NotFound
from workbench.items.domain import ItemState, Purpose
from workbench.items.tables import ItemMoveRow, ItemPartRow, ItemRow, RevealRow
from workbench.labeling.tables import AnnotationRevisionRow, AnnotationRow, LaneRow, VisitRow
from workbench.labels.tables import LabelRow
from workbench.model_versions.tables import ModelVersionRow
from workbench.overview.item_pages.search import is_sensitive, sensitive_labels
from workbench.overview.item_pages.story import (
    AnswerOf,
    CostOf,
    DecisionOf,
    ItemHistory,
    LabelOf,
    MoveOf,
    PredictionOf,
    VisitOf,
    headline_of,
)
from workbench.overview.store import WAITING, label_values, person_names
from workbench.prelabeling.tables import PredictionRow
from workbench.tallies.tables import LedgerRow

SHOWN_MOVES = 200
SEALED = "why it went to people is told when they have answered"
"""Said of every item that is with people: words kept for drawn ones alone would mark them.

What stays visible is the state, the prediction with its confidence, and the answers that came: who knows the
threshold sees that an item above it is with people. Annotators, who must not know, see none of these pages.
"""
_LOTTERY = frozenset({Purpose.ORDINARY, Purpose.AUDIT, Purpose.BLIND, Purpose.GOLD})
_DECIDED_FROM = frozenset({ItemState.IMPORTED, ItemState.PREDICTED})


def find_item(session: Session, project_id: int, public_id: str) -> ItemRow:
    """The project's item of that public id.

    Raises:
        NotFound: The project has none.
    """
    row = session.scalar(
        select(ItemRow).where(ItemRow.project_id == project_id, ItemRow.public_id == public_id)
    )
    if row is None:
        raise NotFound(f"this project has no item {public_id[:40]}")
    return row


def record_opening(
    session: Session, project_id: int, public_id: str, *, user_id: int, by: str, now: datetime
) -> None:
    """Write down that somebody opened an item's withheld content."""
    item = find_item(session, project_id, public_id)
    session.add(RevealRow(item_id=item.id, user_id=user_id, at=now))
    record(session, at=now, actor=by, verb="item.revealed", about=f"item:{public_id}", project_id=project_id)


def item_history(session: Session, project_id: int, public_id: str, *, opened: bool = False) -> ItemHistory:
    """Everything that happened to an item; its content only if it is not sensitive or was opened.

    Raises:
        NotFound: The project has no such item.
    """
    item = find_item(session, project_id, public_id)
    predictions = _predictions(session, item, label_values(session, project_id))
    labels = _labels(session, item.id)
    decisions = _decisions(session, item)
    visits = _visits(session, item)
    parts = list(
        session.scalars(
            select(ItemPartRow).where(ItemPartRow.item_id == item.id).order_by(ItemPartRow.position)
        )
    )
    sealed = item.state in WAITING
    named = [*(one.label for one in predictions), *(one.label for one in labels)]
    sensitive = is_sensitive(item.sensitivity, named, sensitive_labels(session, project_id))
    withheld = sensitive and not opened
    metadata = next((part.data for part in parts if part.kind == "metadata"), {})
    return ItemHistory(
        item_id=item.id,
        public_id=item.public_id,
        external_id=item.external_id,
        state=item.state,
        language=item.language,
        region=item.region,
        sensitivity=item.sensitivity,
        round=item.round,
        created_at=item.created_at,
        withheld=withheld,
        parts=() if withheld else tuple((part.name, part.text) for part in parts if part.kind != "metadata"),
        metadata={} if withheld else dict(metadata),
        sealed=sealed,
        predictions=predictions,
        decisions=decisions,
        visits=visits,
        labels=labels,
        moves=_moves(session, item, sealed=sealed),
        costs=_costs(session, item.id),
        headline=headline_of(item.state, labels, predictions, decisions, visits),
    )


def _predictions(session: Session, item: ItemRow, labels: Sequence[str]) -> tuple[PredictionOf, ...]:
    rows = session.execute(
        select(PredictionRow, ModelVersionRow.name, ModelVersionRow.version, ModelVersionRow.specification)
        .join(ModelVersionRow, ModelVersionRow.id == PredictionRow.model_version_id)
        .where(PredictionRow.item_id == item.id)
        .order_by(PredictionRow.model_version_id.desc())
    )
    return tuple(
        PredictionOf(
            version=f"{name}@{version}",
            label=row.label,
            confidence=row.confidence,
            margin=row.margin,
            entropy=row.entropy,
            distribution=_distribution(row.distribution, specification.get("labels") or labels),
            failure=row.failure,
            cost=row.cost,
            created_at=row.created_at,
        )
        for row, name, version, specification in rows
    )


def _distribution(values: Sequence[Any], labels: Sequence[str]) -> tuple[tuple[str, float], ...]:
    pairs = [(label, float(value)) for label, value in zip(labels, values, strict=False) if value is not None]
    return tuple(sorted(pairs, key=lambda pair: -pair[1]))


def _decisions(session: Session, item: ItemRow) -> tuple[DecisionOf, ...]:
    rows = session.execute(
        select(DecisionRow, RoutingPolicyRow.version)
        .join(RoutingPolicyRow, RoutingPolicyRow.id == DecisionRow.policy_id)
        .where(DecisionRow.item_id == item.id)
        .order_by(DecisionRow.round)
    )
    return tuple(_decision(row, version, item) for row, version in rows)


def _decision(row: DecisionRow, version: int, item: ItemRow) -> DecisionOf:
    """The decision; where it went and why is told of no item that is still with people."""
    sealed = row.round == item.round and item.state in WAITING
    return DecisionOf(
        round=row.round,
        outcome="people" if sealed else row.outcome,
        reason=SEALED if sealed else row.public_reason,
        rule="" if sealed else row.rule,
        policy_version=version,
        overlap=0 if sealed else row.overlap,
        decided_at=row.decided_at,
    )


def _visits(session: Session, item: ItemRow) -> tuple[VisitOf, ...]:
    answers = _answers(session, item)
    rows = session.execute(
        select(VisitRow, LaneRow.title)
        .join(LaneRow, LaneRow.id == VisitRow.lane_id)
        .where(VisitRow.item_id == item.id)
        .order_by(VisitRow.id)
    )
    found = []
    for visit, title in rows:
        # Lane and overlap can differ between ordinary work, audit and blind arm, so they wait too.
        hidden = visit.purpose in _LOTTERY and visit.round == item.round and item.state in WAITING
        found.append(
            VisitOf(
                purpose=Purpose.ORDINARY if hidden else visit.purpose,
                lane="" if hidden else title,
                round=visit.round,
                state=visit.state,
                overlap=0 if hidden else visit.overlap,
                created_at=visit.created_at,
                answers=tuple(answers.get(visit.id, ())),
            )
        )
    return tuple(found)


def _answers(session: Session, item: ItemRow) -> dict[int, list[AnswerOf]]:
    rows = list(
        session.scalars(
            select(AnnotationRow).where(AnnotationRow.item_id == item.id).order_by(AnnotationRow.id)
        )
    )
    names = person_names(session, [row.person_id for row in rows if row.person_id is not None])
    before: dict[int, list[str]] = {}
    for revision in session.scalars(
        select(AnnotationRevisionRow)
        .where(AnnotationRevisionRow.annotation_id.in_([row.id for row in rows]))
        .order_by(AnnotationRevisionRow.annotation_id, AnnotationRevisionRow.revision)
    ):
        before.setdefault(revision.annotation_id, []).append(revision.label or "no label")
    found: dict[int, list[AnswerOf]] = {}
    for row in rows:
        found.setdefault(row.visit_id, []).append(
            AnswerOf(
                person=names.get(row.person_id or 0, "unknown person"),
                label=row.label,
                status=row.status,
                reason=row.reason,
                lead_time_s=row.lead_time_s,
                # Ordinary work may show the prediction, audit and blind arm never do.
                saw_prediction=None if item.state in WAITING else not row.blind,
                created_at=row.created_at,
                deleted_at=row.deleted_at,
                said_before=tuple(before.get(row.id, ())),
            )
        )
    return found


def _labels(session: Session, item_id: int) -> tuple[LabelOf, ...]:
    rows = session.execute(
        select(LabelRow, ModelVersionRow.name, ModelVersionRow.version, RoutingPolicyRow.version)
        .outerjoin(ModelVersionRow, ModelVersionRow.id == LabelRow.model_version_id)
        .outerjoin(RoutingPolicyRow, RoutingPolicyRow.id == LabelRow.policy_id)
        .where(LabelRow.item_id == item_id)
        .order_by(LabelRow.revision.desc())
    )
    return tuple(
        LabelOf(
            revision=row.revision,
            label=row.label,
            source=row.source,
            method=row.method,
            annotations=row.annotations,
            share=row.share,
            reason=row.reason,
            model="" if name is None else f"{name}@{version}",
            policy_version=policy_version,
            resolved_at=row.resolved_at,
            superseded_at=row.superseded_at,
        )
        for row, name, version, policy_version in rows
    )


def _moves(session: Session, item: ItemRow, *, sealed: bool) -> tuple[MoveOf, ...]:
    rows = session.scalars(
        select(ItemMoveRow).where(ItemMoveRow.item_id == item.id).order_by(ItemMoveRow.id).limit(SHOWN_MOVES)
    )
    return tuple(
        MoveOf(
            row.from_state,
            row.to_state,
            row.at,
            row.actor,
            # The rule that matched says whether the machine would have kept the item.
            SEALED
            if sealed and row.from_state in _DECIDED_FROM and row.to_state == ItemState.QUEUED
            else row.reason,
        )
        for row in rows
    )


def _costs(session: Session, item_id: int) -> tuple[CostOf, ...]:
    rows = list(session.scalars(select(LedgerRow).where(LedgerRow.item_id == item_id).order_by(LedgerRow.id)))
    names = person_names(session, [row.person_id for row in rows if row.person_id is not None])
    return tuple(
        CostOf(
            kind=row.kind,
            quantity=row.quantity,
            unit=row.unit,
            amount=row.amount,
            currency=row.currency,
            person=names.get(row.person_id or 0, ""),
            at=row.at,
            note=row.note,
        )
        for row in rows
    )
