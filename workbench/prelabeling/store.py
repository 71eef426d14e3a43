"""Queries on predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from workbench.db.bulk import upsert_many
from workbench.items.domain import ItemState
from workbench.items.tables import ItemPartRow, ItemRow
from workbench.prelabeling.tables import PredictionRow


def texts_to_predict(
    session: Session, project_id: int, field: str, limit: int
) -> list[tuple[int, str | None]]:
    """Ids and texts of items that no model has seen, oldest first; None where an item has no such text."""
    rows = session.execute(
        select(ItemRow.id, ItemPartRow.text)
        .outerjoin(ItemPartRow, (ItemPartRow.item_id == ItemRow.id) & (ItemPartRow.name == field))
        .where(ItemRow.project_id == project_id, ItemRow.state == ItemState.IMPORTED)
        .order_by(ItemRow.id)
        .limit(limit)
    )
    return [(item_id, text) for item_id, text in rows]


def add_predictions(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Store predictions; one that is there already stays as it is."""
    upsert_many(session, PredictionRow, rows, keys=("item_id", "model_version_id"))
