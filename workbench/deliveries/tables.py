"""Tables of deliveries, of what each delivered, and of what was corrected since."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from workbench.db.types import Base, Id


class DeliveryRow(Base):
    """One export: a file with its manifest and SHA-256."""

    __tablename__ = "deliveries"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    public_id: Mapped[str] = mapped_column(String(32), unique=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"), index=True)
    job_id: Mapped[str] = mapped_column(String(64), unique=True)
    format: Mapped[str] = mapped_column(String(10))
    state: Mapped[str] = mapped_column(String(20))
    path: Mapped[str] = mapped_column(Text)
    rows: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(64))
    manifest: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(String(200))


class DeliveredItemRow(Base):
    """An item delivered in an export, with the label it had there; an item stands in an export once."""

    __tablename__ = "delivered_items"
    __table_args__ = (Index("ix_delivered_items_item", "item_id", "delivery_id"),)

    delivery_id: Mapped[int] = mapped_column(ForeignKey("deliveries.id"), primary_key=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"), primary_key=True)
    label_id: Mapped[int] = mapped_column(ForeignKey("labels.id"))


class CorrectionRow(Base):
    """A delivered label that is another by now; `delivery_id` is the export that says so."""

    __tablename__ = "corrections"
    __table_args__ = (
        UniqueConstraint("item_id", "before_label_id", "after_label_id"),
        Index("ix_corrections_delivery", "delivery_id"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"), index=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"))
    delivery_id: Mapped[int] = mapped_column(ForeignKey("deliveries.id"))
    delivered_in: Mapped[int] = mapped_column(ForeignKey("deliveries.id"))
    before_label_id: Mapped[int] = mapped_column(ForeignKey("labels.id"))
    after_label_id: Mapped[int] = mapped_column(ForeignKey("labels.id"))
    created_at: Mapped[datetime]
