"""Tables of jobs: what was asked, how far it is, who works."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, String, Text, text
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
    worker_id: Mapped[str | None] = mapped_column(String(80))
    """Who runs it, or ran it last."""
    fence: Mapped[int] = mapped_column(server_default=text("0"), default=0)
    """Counts its owners: what an earlier one still writes is refused."""
    cut_off: Mapped[int] = mapped_column(server_default=text("0"), default=0)
    """How often in a row a worker ended in the middle of it."""


class WorkerRow(Base):
    """A process that runs jobs, by the name that it keeps when it is started again."""

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(String(80), primary_key=True)
    epoch: Mapped[int]
    """Counts its lives: whoever was declared dead, or replaced, has an earlier one."""
    state: Mapped[str] = mapped_column(String(8))
    host: Mapped[str] = mapped_column(String(200))
    process_space: Mapped[str] = mapped_column(String(60))
    """Processes of the same space see one another's numbers."""
    pid: Mapped[int]
    client: Mapped[str] = mapped_column(String(64))
    """The name of its connections to PostgreSQL."""
    version: Mapped[str] = mapped_column(String(40))
    started_at: Mapped[datetime]
    beat_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class LeaseRow(Base):
    """What one worker at a time may do, until a moment unless it says again that it lives."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    holder: Mapped[str] = mapped_column(String(80))
    number: Mapped[int]
    until_at: Mapped[datetime]
