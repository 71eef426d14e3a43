"""Table of predictions."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Float, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from workbench.db.types import Base


class PredictionRow(Base):
    """A model version's answer on an item; `label` is empty and `failure` says why where it had none."""

    __tablename__ = "predictions"
    __table_args__ = (Index("ix_predictions_model_confidence", "model_version_id", "confidence"),)

    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"), primary_key=True)
    model_version_id: Mapped[int] = mapped_column(ForeignKey("model_versions.id"), primary_key=True)
    label: Mapped[str] = mapped_column(String(200))
    confidence: Mapped[float | None] = mapped_column(Float)
    margin: Mapped[float | None] = mapped_column(Float)
    entropy: Mapped[float | None] = mapped_column(Float)
    distribution: Mapped[list[Any]]
    failure: Mapped[str] = mapped_column(Text)
    cost: Mapped[Decimal]
    created_at: Mapped[datetime]
