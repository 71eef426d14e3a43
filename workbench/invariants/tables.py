"""Table of the invariants' runs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from workbench.db.types import Base, Id


class InvariantRunRow(Base):
    """How one invariant stood in one run."""

    __tablename__ = "invariant_runs"
    __table_args__ = (Index("ix_invariant_runs_at", "at"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    run_id: Mapped[str] = mapped_column(String(32), index=True)
    at: Mapped[datetime]
    invariant: Mapped[str] = mapped_column(String(8))
    checked: Mapped[int] = mapped_column(Id)
    violations: Mapped[int]
    sentences: Mapped[list[Any]]
    left_out: Mapped[str] = mapped_column(String(500))
