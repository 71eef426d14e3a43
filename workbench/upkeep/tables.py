"""Tables of chores and erasures."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from workbench.db.types import Base, Id, Json


class ChoreRow(Base):
    """One chore of one night: done once, or recorded as missed."""

    __tablename__ = "chores"

    name: Mapped[str] = mapped_column(String(20), primary_key=True)
    due_at: Mapped[datetime] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(String(10))
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    outcome: Mapped[dict[str, Any] | None] = mapped_column(Json)
    problem: Mapped[str] = mapped_column(Text)


class ErasureRow(Base):
    """That something was erased, when, by whom and why; what it said is not kept."""

    __tablename__ = "erasures"
    __table_args__ = (Index("ix_erasures_about", "about"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    about: Mapped[str] = mapped_column(String(200))
    project_id: Mapped[int | None] = mapped_column(Id)
    reason: Mapped[str] = mapped_column(Text)
    by: Mapped[str] = mapped_column(String(254))
    at: Mapped[datetime]
    left: Mapped[list[Any]]
