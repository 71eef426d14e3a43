"""Table of model versions."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from workbench.db.types import Base, Id


class ModelVersionRow(Base):
    """One immutable version; only its stage changes, and at most one of a project is live."""

    __tablename__ = "model_versions"
    __table_args__ = (
        UniqueConstraint("project_id", "name", "version"),
        Index(
            "uq_model_versions_live",
            "project_id",
            unique=True,
            sqlite_where=text("stage = 'live'"),
            postgresql_where=text("stage = 'live'"),
        ),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    name: Mapped[str] = mapped_column(String(100))
    version: Mapped[int]
    kind: Mapped[str] = mapped_column(String(30))
    specification: Mapped[dict[str, Any]]
    card: Mapped[dict[str, Any]]
    stage: Mapped[str] = mapped_column(String(20))
    price_per_hour: Mapped[Decimal]
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(String(200))
    live_since: Mapped[datetime | None]
    retired_at: Mapped[datetime | None]
