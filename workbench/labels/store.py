"""Queries on final labels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from workbench.decisions.tables import DecisionRow
from workbench.items.tables import ItemRow
from workbench.labeling.tables import AnnotationRow, VisitRow
from workbench.labels.tables import LabelRow
from workbench.prelabeling.tables import PredictionRow
from workbench.tallies.domain import Status


def items_in_state(session: Session, project_id: int, state: str, limit: int) -> list[ItemRow]:
    """The next items of a project in a state."""
    return list(
        session.scalars(
            select(ItemRow)
            .where(ItemRow.project_id == project_id, ItemRow.state == state)
            .order_by(ItemRow.id)
            .limit(limit)
        )
    )


def decisions_of(session: Session, items: Sequence[ItemRow]) -> dict[int, DecisionRow]:
    """The decision of each item's current round."""
    rounds = {item.id: item.round for item in items}
    found: dict[int, DecisionRow] = {}
    for chunk in _chunks(list(rounds)):
        for row in session.scalars(select(DecisionRow).where(DecisionRow.item_id.in_(chunk))):
            if row.round == rounds[row.item_id]:
                found[row.item_id] = row
    return found


def predictions_of(session: Session, decisions: Sequence[DecisionRow]) -> dict[int, PredictionRow]:
    """The prediction that each decision looked at."""
    versions = {d.item_id: d.model_version_id for d in decisions if d.model_version_id is not None}
    found: dict[int, PredictionRow] = {}
    for chunk in _chunks(list(versions)):
        for row in session.scalars(select(PredictionRow).where(PredictionRow.item_id.in_(chunk))):
            if row.model_version_id == versions[row.item_id]:
                found[row.item_id] = row
    return found


def counted_answers(
    session: Session, items: Sequence[ItemRow]
) -> dict[int, list[tuple[VisitRow, AnnotationRow]]]:
    """Answers that count, with their visits, for each item's current round, oldest first."""
    rounds = {item.id: item.round for item in items}
    found: defaultdict[int, list[tuple[VisitRow, AnnotationRow]]] = defaultdict(list)
    for chunk in _chunks(list(rounds)):
        rows = session.execute(
            select(VisitRow, AnnotationRow)
            .join(AnnotationRow, AnnotationRow.visit_id == VisitRow.id)
            .where(
                VisitRow.item_id.in_(chunk),
                AnnotationRow.status == Status.COUNTED,
                AnnotationRow.deleted_at.is_(None),
            )
            .order_by(AnnotationRow.created_at, AnnotationRow.id)
        )
        for visit, annotation in rows:
            if visit.round == rounds[visit.item_id]:
                found[visit.item_id].append((visit, annotation))
    return found


def adjudications(session: Session, item_ids: Sequence[int]) -> dict[int, list[VisitRow]]:
    """Adjudication visits of items, oldest first."""
    found: defaultdict[int, list[VisitRow]] = defaultdict(list)
    for chunk in _chunks(list(item_ids)):
        rows = session.scalars(
            select(VisitRow)
            .where(VisitRow.item_id.in_(chunk), VisitRow.purpose == "adjudication")
            .order_by(VisitRow.id)
        )
        for row in rows:
            found[row.item_id].append(row)
    return found


def last_revisions(session: Session, item_ids: Sequence[int]) -> dict[int, int]:
    """The highest label revision of items that have had one."""
    found: dict[int, int] = {}
    for chunk in _chunks(list(item_ids)):
        rows = session.execute(
            select(LabelRow.item_id, func.max(LabelRow.revision))
            .where(LabelRow.item_id.in_(chunk))
            .group_by(LabelRow.item_id)
        )
        found.update({row.item_id: row[1] for row in rows})
    return found


def supersede(session: Session, item_ids: Sequence[int], at: datetime) -> None:
    """Close the current labels of items."""
    for chunk in _chunks(list(item_ids)):
        session.execute(
            update(LabelRow)
            .where(LabelRow.item_id.in_(chunk), LabelRow.superseded_at.is_(None))
            .values(superseded_at=at)
            .execution_options(synchronize_session=False)
        )


def add_labels(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Store labels."""
    if rows:
        session.execute(insert(LabelRow), list(rows))


def _chunks(ids: list[int], size: int = 500) -> list[list[int]]:
    return [ids[start : start + size] for start in range(0, len(ids), size)]
