"""Tables of routing policies and decisions."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from workbench.db.types import Base, Id


class RoutingPolicyRow(Base):
    """A version of a project's rule document; rows are never changed except to be activated or replaced."""

    __tablename__ = "routing_policies"
    __table_args__ = (
        UniqueConstraint("project_id", "version"),
        Index(
            "uq_routing_policies_active",
            "project_id",
            unique=True,
            sqlite_where=text("state = 'active'"),
            postgresql_where=text("state = 'active'"),
        ),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    version: Mapped[int]
    document: Mapped[dict[str, Any]]
    digest: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(20))
    note: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(String(200))
    activated_at: Mapped[datetime | None]
    activated_by: Mapped[str] = mapped_column(String(200))


class LotteryKeyRow(Base):
    """A project's lottery key, encrypted; its SHA-256 is on record before the first draw."""

    __tablename__ = "lottery_keys"

    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"), primary_key=True)
    key: Mapped[bytes]
    sha256: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]


class DecisionRow(Base):
    """Where an item goes in one round, and why."""

    __tablename__ = "decisions"
    __table_args__ = (
        UniqueConstraint("item_id", "round"),
        Index("ix_decisions_project", "project_id", "id"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"))
    round: Mapped[int]
    policy_id: Mapped[int] = mapped_column(ForeignKey("routing_policies.id"))
    model_version_id: Mapped[int | None] = mapped_column(ForeignKey("model_versions.id"))
    outcome: Mapped[str] = mapped_column(String(10))
    purpose: Mapped[str] = mapped_column(String(16))
    rule: Mapped[str] = mapped_column(String(100))
    reason: Mapped[str] = mapped_column(Text)
    public_reason: Mapped[str] = mapped_column(Text)
    stage: Mapped[str] = mapped_column(String(16))
    pool_id: Mapped[int | None] = mapped_column(ForeignKey("pools.id"))
    overlap: Mapped[int]
    show_suggestion: Mapped[bool]
    priority: Mapped[int]
    decided_at: Mapped[datetime]
