"""Tables of events and of checks of their chain."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from workbench.db.tenancy import Own
from workbench.db.types import Base, Id, Json


class EventRow(Base):
    """Who did what to what, with the state before and after; rows are never changed or removed."""

    __tablename__ = "activity"
    __tenant__ = Own()
    __table_args__ = (
        Index("ix_activity_about", "about", "seq"),
        Index("ix_activity_project", "project_id", "seq"),
        Index("ix_activity_at", "at"),
    )

    seq: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(String(254))
    verb: Mapped[str] = mapped_column(String(60))
    about: Mapped[str] = mapped_column(String(200))
    project_id: Mapped[int | None] = mapped_column(Id)
    supplier_id: Mapped[int | None] = mapped_column(Id)
    before: Mapped[dict[str, Any] | None] = mapped_column(Json)
    after: Mapped[dict[str, Any] | None] = mapped_column(Json)
    previous: Mapped[bytes] = mapped_column(LargeBinary(32))
    hash: Mapped[bytes] = mapped_column(LargeBinary(32))


class ActivityCheckRow(Base):
    """One time that the chain was checked, and what came out."""

    __tablename__ = "activity_checks"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    at: Mapped[datetime]
    events: Mapped[int] = mapped_column(Id)
    last_seq: Mapped[int] = mapped_column(Id)
    last_hash: Mapped[str] = mapped_column(String(64))
    deep: Mapped[bool]
    broken_seq: Mapped[int | None] = mapped_column(Id)
    problem: Mapped[str] = mapped_column(Text)
    seconds: Mapped[float]
