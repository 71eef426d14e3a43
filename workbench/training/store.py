"""Queries for training: what people said of which text."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from workbench.items.tables import ItemPartRow, ItemRow
from workbench.labels.tables import LabelRow


def examples_of(session: Session, project_id: int, field: str) -> list[tuple[int, str, str]]:
    """Items with a standing label from people: (id, text, label), oldest first."""
    rows = session.execute(
        select(ItemRow.id, ItemPartRow.text, LabelRow.label)
        .join(ItemPartRow, (ItemPartRow.item_id == ItemRow.id) & (ItemPartRow.name == field))
        .join(LabelRow, LabelRow.item_id == ItemRow.id)
        .where(
            ItemRow.project_id == project_id,
            LabelRow.superseded_at.is_(None),
            LabelRow.source == "people",
        )
        .order_by(ItemRow.id)
    )
    return [(item_id, text, label) for item_id, text, label in rows]
