"""What was delivered, and what became of it since: files stay as they left, changes are told beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session, aliased

from workbench.activity.store import record
from workbench.db.bulk import insert_many
from workbench.deliveries.store import FINAL, as_of
from workbench.deliveries.tables import CorrectionRow, DeliveredItemRow, DeliveryRow
from workbench.items.domain import ItemState
from workbench.items.tables import ItemRow
from workbench.labels.tables import LabelRow

_CHUNK = 500


def undelivered(session: Session, project_id: int, moment: datetime, limit: int) -> dict[int, int]:
    """Label by item of resolved items whose present label is the one they had at that moment."""
    statement = (
        select(ItemRow.id, LabelRow.id)
        .join(LabelRow, LabelRow.item_id == ItemRow.id)
        .where(
            ItemRow.project_id == project_id,
            ItemRow.state == ItemState.RESOLVED,
            LabelRow.superseded_at.is_(None),
            LabelRow.resolved_at <= moment,
        )
        .order_by(ItemRow.id)
        .limit(limit)
    )
    return {row[0]: row[1] for row in session.execute(statement)}


def record_delivered(
    session: Session, delivery: DeliveryRow, labels: Mapping[int, int], *, at: datetime
) -> None:
    """Write down which label each item left with, and a correction where an earlier export said otherwise.

    Args:
        session: A writing session.
        delivery: The export.
        labels: Label by item.
        at: When.
    """
    changed: list[dict[str, Any]] = []
    for chunk in _chunks(list(labels)):
        rows = session.execute(_earlier(delivery).where(DeliveredItemRow.item_id.in_(chunk)))
        changed += [
            {
                "project_id": delivery.project_id,
                "item_id": row.item_id,
                "delivery_id": delivery.id,
                "delivered_in": row.delivery_id,
                "before_label_id": row.before_id,
                "after_label_id": labels[row.item_id],
                "created_at": at,
            }
            for row in rows
            if row.after_id == labels[row.item_id]
        ]
    insert_many(
        session,
        DeliveredItemRow,
        [{"delivery_id": delivery.id, "item_id": item, "label_id": label} for item, label in labels.items()],
    )
    insert_many(session, CorrectionRow, changed)
    if changed:
        record(
            session,
            at=at,
            actor=delivery.created_by,
            verb="export.corrected",
            about=f"delivery:{delivery.public_id}",
            project_id=delivery.project_id,
            after={"items": len(changed)},
        )


def corrections(session: Session, delivery: DeliveryRow) -> Iterator[dict[str, Any]]:
    """Items whose label in this export is another than when they were last delivered, oldest item first."""
    rows = session.execute(
        _earlier(delivery).order_by(DeliveredItemRow.item_id).execution_options(yield_per=_CHUNK)
    )
    for row in rows:
        yield {
            "external_id": row.external_id,
            "item_id": row.public_id,
            "delivered_in": row.delivered_in,
            "delivered_at": row.delivered_at,
            "delivered_label": row.before,
            "label": row.after,
            "reason": row.reason,
            "resolved_at": row.resolved_at,
        }


def count_changed(session: Session, project_id: int) -> int:
    """How many delivered items of the project have another final label by now."""
    before, after, last = _labels_and_last()
    statement = (
        select(func.count())
        .select_from(DeliveredItemRow)
        .join(before, before.id == DeliveredItemRow.label_id)
        .join(after, after.item_id == DeliveredItemRow.item_id)
        .where(
            before.project_id == project_id,
            DeliveredItemRow.delivery_id == last,
            after.superseded_at.is_(None),
            after.label != before.label,
        )
    )
    return session.scalar(statement) or 0


def _earlier(delivery: DeliveryRow) -> Select[Any]:
    """What earlier exports delivered under another label than the one of this export's moment."""
    before, _, _ = _labels_and_last()
    other = aliased(DeliveredItemRow)
    last = (
        select(func.max(other.delivery_id))
        .where(other.item_id == DeliveredItemRow.item_id, other.delivery_id < delivery.id)
        .scalar_subquery()
    )
    return (
        select(
            DeliveredItemRow.item_id,
            DeliveredItemRow.delivery_id,
            ItemRow.external_id,
            ItemRow.public_id,
            DeliveryRow.public_id.label("delivered_in"),
            DeliveryRow.created_at.label("delivered_at"),
            before.id.label("before_id"),
            before.label.label("before"),
            LabelRow.id.label("after_id"),
            LabelRow.label.label("after"),
            LabelRow.reason,
            LabelRow.resolved_at,
        )
        .join(ItemRow, ItemRow.id == DeliveredItemRow.item_id)
        .join(DeliveryRow, DeliveryRow.id == DeliveredItemRow.delivery_id)
        .join(before, before.id == DeliveredItemRow.label_id)
        .join(LabelRow, LabelRow.item_id == DeliveredItemRow.item_id)
        .where(
            ItemRow.project_id == delivery.project_id,
            ItemRow.state.in_(FINAL),
            DeliveredItemRow.delivery_id == last,
            as_of(delivery.created_at),
            LabelRow.label != before.label,
        )
    )


def _labels_and_last() -> tuple[Any, Any, Any]:
    other = aliased(DeliveredItemRow)
    last = (
        select(func.max(other.delivery_id)).where(other.item_id == DeliveredItemRow.item_id).scalar_subquery()
    )
    return aliased(LabelRow), aliased(LabelRow), last


def _chunks(ids: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(ids), _CHUNK):
        yield ids[start : start + _CHUNK]
