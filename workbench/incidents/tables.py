"""Table of incidents."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from workbench.db.tenancy import Own
from workbench.db.types import Base, Id


class IncidentRow(Base):
    """Something that went wrong with one thing; at most one is open for each (kind, about)."""

    __tablename__ = "incidents"
    __tenant__ = Own()
    __table_args__ = (
        Index(
            "uq_incidents_open",
            "kind",
            "about",
            unique=True,
            sqlite_where=text("healed_at IS NULL"),
            postgresql_where=text("healed_at IS NULL"),
        ),
        Index("ix_incidents_seen", "seen_at"),
        Index("ix_incidents_healed", "healed_at"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    kind: Mapped[str] = mapped_column(String(40))
    about: Mapped[str] = mapped_column(String(200))
    severity: Mapped[str] = mapped_column(String(8))
    sentence: Mapped[str] = mapped_column(Text)
    remedy: Mapped[str] = mapped_column(Text)
    project_id: Mapped[int | None] = mapped_column(Id)
    supplier_id: Mapped[int | None] = mapped_column(Id)
    count: Mapped[int]
    opened_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    healed_at: Mapped[datetime | None]
    how: Mapped[str] = mapped_column(Text)
    acknowledged_at: Mapped[datetime | None]
    acknowledged_by: Mapped[str | None] = mapped_column(String(200))
