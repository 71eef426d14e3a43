"""Table of final labels."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from sqlalchemy import Float, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from workbench.db.types import Base, Id


class LabelRow(Base):
    """The label an item ends with; a later one supersedes it, none is changed.

    `cost` is what the item had cost when it got the label; the ledger goes on, and is what reports add up.
    """

    __tablename__ = "labels"
    __table_args__ = (
        UniqueConstraint("item_id", "revision"),
        Index(
            "uq_labels_current",
            "item_id",
            unique=True,
            sqlite_where=text("superseded_at IS NULL"),
            postgresql_where=text("superseded_at IS NULL"),
        ),
        Index("ix_labels_project", "project_id", "id"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"))
    revision: Mapped[int]
    label: Mapped[str] = mapped_column(String(200))
    source: Mapped[str] = mapped_column(String(10))
    method: Mapped[str] = mapped_column(String(40))
    annotations: Mapped[int]
    share: Mapped[float] = mapped_column(Float)
    reason: Mapped[str] = mapped_column(Text)
    decision_id: Mapped[int | None] = mapped_column(ForeignKey("decisions.id"))
    policy_id: Mapped[int | None] = mapped_column(ForeignKey("routing_policies.id"))
    model_version_id: Mapped[int | None] = mapped_column(ForeignKey("model_versions.id"))
    guideline_version_id: Mapped[int | None] = mapped_column(ForeignKey("guideline_versions.id"))
    confidence: Mapped[float | None] = mapped_column(Float)
    cost: Mapped[Decimal]
    resolved_at: Mapped[datetime]
    superseded_at: Mapped[datetime | None]
