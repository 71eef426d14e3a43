"""Table of jobs: what was asked, how far it is."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from workbench.db.types import Base, Id, Json


class JobRow(Base):
    """One piece of background work; the job engine holds its steps under the same id."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index("ix_jobs_project", "project_id", "created_at"),
        Index("ix_jobs_state", "state"),
    )

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    kind: Mapped[str] = mapped_column(String(30))
    engine_id: Mapped[str] = mapped_column(String(80))
    project_id: Mapped[int | None] = mapped_column(Id)
    arguments: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(String(20))
    done: Mapped[int]
    total: Mapped[int]
    unit: Mapped[str] = mapped_column(String(20))
    message: Mapped[str] = mapped_column(Text)
    problem: Mapped[str] = mapped_column(Text)
    result: Mapped[Any] = mapped_column(Json, nullable=True)
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(String(200))
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    seen_at: Mapped[datetime | None]
