"""Tables of projects, their labels, guidelines and batches."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from workbench.db.tenancy import Through
from workbench.db.types import Base, Id


class ProjectRow(Base):
    """One project; `specification` is the document it was last applied from."""

    __tablename__ = "projects"
    __tenant__ = Through(
        ("id",),
        "supplier_projects",
        "project_id",
        only=frozenset({"id", "state", "time_zone", "currency", "due_at"}),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    key: Mapped[str] = mapped_column(String(64), unique=True)
    title: Mapped[str] = mapped_column(String(200))
    modality: Mapped[str] = mapped_column(String(20))
    state: Mapped[str] = mapped_column(String(20))
    time_zone: Mapped[str] = mapped_column(String(64))
    label_config: Mapped[str] = mapped_column(Text)
    control: Mapped[str] = mapped_column(String(100))
    text_field: Mapped[str] = mapped_column(String(100))
    instruction: Mapped[str] = mapped_column(Text)
    server_id: Mapped[int | None] = mapped_column(ForeignKey("label_studio_servers.id"))
    currency: Mapped[str] = mapped_column(String(3))
    baseline_price: Mapped[Decimal]
    baseline_overlap: Mapped[int]
    lead_time_cap_s: Mapped[int]
    lane_limit: Mapped[int]
    overlap_limit: Mapped[int]
    without_model: Mapped[str] = mapped_column(String(10))
    pool_id: Mapped[int | None] = mapped_column(ForeignKey("pools.id"))
    adjudication_pool_id: Mapped[int | None] = mapped_column(ForeignKey("pools.id"))
    due_at: Mapped[datetime | None]
    retention_days: Mapped[int | None]
    note: Mapped[str] = mapped_column(Text)
    specification: Mapped[dict[str, Any]]
    specification_version: Mapped[int]
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(String(200))


class ProjectLabelRow(Base):
    """One label of a project, in the order annotators see."""

    __tablename__ = "project_labels"
    __tenant__ = Through(
        ("project_id",),
        "supplier_projects",
        "project_id",
        only=frozenset({"project_id", "position", "value"}),
    )
    __table_args__ = (UniqueConstraint("project_id", "value"), UniqueConstraint("project_id", "position"))

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    position: Mapped[int]
    value: Mapped[str] = mapped_column(String(200))
    title: Mapped[dict[str, Any]]
    hotkey: Mapped[str] = mapped_column(String(10))
    severity: Mapped[str] = mapped_column(String(20))
    miss_cost: Mapped[Decimal]
    sensitive: Mapped[bool]


class GuidelineVersionRow(Base):
    """What annotators were told, from when on."""

    __tablename__ = "guideline_versions"
    __table_args__ = (UniqueConstraint("project_id", "version"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    version: Mapped[str] = mapped_column(String(40))
    uri: Mapped[str] = mapped_column(Text)
    text: Mapped[str] = mapped_column(Text)
    effective_at: Mapped[datetime]
    created_at: Mapped[datetime]


class BatchRow(Base):
    """A frozen list of items under one promise."""

    __tablename__ = "batches"
    __table_args__ = (UniqueConstraint("project_id", "name"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    name: Mapped[str] = mapped_column(String(100))
    state: Mapped[str] = mapped_column(String(20))
    promise: Mapped[dict[str, Any]]
    opened_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
