"""Tables of lanes, visits, annotations and answers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Float, ForeignKey, Index, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from workbench.db.tenancy import Own
from workbench.db.types import Base, Id


class LaneRow(Base):
    """One Label Studio project for one (project, pool, stage, overlap)."""

    __tablename__ = "lanes"
    __tenant__ = Own()
    __table_args__ = (UniqueConstraint("project_id", "server_id", "pool_id", "stage", "overlap"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    public_id: Mapped[str] = mapped_column(String(32), unique=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    server_id: Mapped[int] = mapped_column(ForeignKey("label_studio_servers.id"))
    pool_id: Mapped[int] = mapped_column(ForeignKey("pools.id"))
    stage: Mapped[str] = mapped_column(String(16))
    overlap: Mapped[int]
    title: Mapped[str] = mapped_column(String(50))
    description: Mapped[str] = mapped_column(Text)
    ls_project_id: Mapped[int | None]
    state: Mapped[str] = mapped_column(String(20))
    problem: Mapped[str] = mapped_column(Text)
    read_up_to: Mapped[datetime | None]
    synced_at: Mapped[datetime | None]
    compared_at: Mapped[datetime | None]
    checked_at: Mapped[datetime | None]
    config_digest: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    ls_webhook_id: Mapped[int | None]
    supplier_id: Mapped[int | None] = mapped_column(Id)
    created_at: Mapped[datetime]


class LaneHintRow(Base):
    """A task that a server says is worth reading again."""

    __tablename__ = "lane_hints"

    lane_id: Mapped[int] = mapped_column(ForeignKey("lanes.id"), primary_key=True, autoincrement=False)
    ls_task_id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=False)
    hinted_at: Mapped[datetime]


class ServerLifeRow(Base):
    """The highest that one epoch of a server has shown us; a fall means that its database was replaced."""

    __tablename__ = "server_lives"

    server_id: Mapped[int] = mapped_column(
        ForeignKey("label_studio_servers.id"), primary_key=True, autoincrement=False
    )
    epoch: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    high_project_id: Mapped[int]
    high_task_id: Mapped[int]
    high_annotation_id: Mapped[int]
    high_updated_at: Mapped[datetime | None]
    began_at: Mapped[datetime]
    frozen_at: Mapped[datetime | None]
    reason: Mapped[str] = mapped_column(Text)
    ended_at: Mapped[datetime | None]
    ended_by: Mapped[str] = mapped_column(String(200))


class VisitRow(Base):
    """Why an item is in a lane; at most one Label Studio task belongs to it at a time."""

    __tablename__ = "visits"
    __tenant__ = Own()
    __table_args__ = (
        UniqueConstraint("item_id", "purpose", "round", "attempt"),
        UniqueConstraint("lane_id", "epoch", "ls_task_id"),
        Index("ix_visits_lane_state", "lane_id", "state", "priority", "id"),
        Index("ix_visits_item", "item_id"),
        Index("ix_visits_supplier", "supplier_id", "project_id", "state"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    public_id: Mapped[str] = mapped_column(String(32), unique=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"))
    lane_id: Mapped[int] = mapped_column(ForeignKey("lanes.id"))
    decision_id: Mapped[int | None] = mapped_column(ForeignKey("decisions.id"))
    model_version_id: Mapped[int | None] = mapped_column(ForeignKey("model_versions.id"))
    guideline_version_id: Mapped[int | None] = mapped_column(ForeignKey("guideline_versions.id"))
    purpose: Mapped[str] = mapped_column(String(16))
    round: Mapped[int]
    attempt: Mapped[int]
    show_suggestion: Mapped[bool]
    priority: Mapped[int]
    overlap: Mapped[int]
    state: Mapped[str] = mapped_column(String(16))
    epoch: Mapped[int]
    ls_task_id: Mapped[int | None]
    ls_updated_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    push_started_at: Mapped[datetime | None]
    pushed_at: Mapped[datetime | None]
    answered_at: Mapped[datetime | None]
    refusals: Mapped[int] = mapped_column(server_default="0", default=0)
    problem: Mapped[str | None] = mapped_column(Text)
    supplier_id: Mapped[int | None] = mapped_column(Id)


class AnnotationRow(Base):
    """A person's answer as Label Studio holds it now, and how it counts here."""

    __tablename__ = "annotations"
    __tenant__ = Own()
    __table_args__ = (
        UniqueConstraint("server_id", "epoch", "ls_annotation_id"),
        Index("ix_annotations_visit", "visit_id"),
        Index("ix_annotations_item", "item_id"),
        Index("ix_annotations_supplier", "supplier_id", "project_id", "id"),
        Index("ix_annotations_project_person", "project_id", "person_id", "created_at"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"))
    visit_id: Mapped[int] = mapped_column(ForeignKey("visits.id"))
    server_id: Mapped[int] = mapped_column(ForeignKey("label_studio_servers.id"))
    epoch: Mapped[int]
    ls_annotation_id: Mapped[int]
    ls_task_id: Mapped[int | None]
    ls_user_id: Mapped[int]
    ls_updated_by: Mapped[int | None]
    person_id: Mapped[int | None] = mapped_column(ForeignKey("persons.id"))
    status: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(Text)
    label: Mapped[str] = mapped_column(String(200))
    blind: Mapped[bool]
    predicted: Mapped[str] = mapped_column(String(200))
    model_version_id: Mapped[int | None] = mapped_column(ForeignKey("model_versions.id"))
    lead_time_s: Mapped[float | None] = mapped_column(Float)
    result: Mapped[list[Any]]
    revision: Mapped[int]
    created_at: Mapped[datetime]
    ls_updated_at: Mapped[datetime]
    received_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]
    supplier_id: Mapped[int | None] = mapped_column(Id)


class AnswerRow(Base):
    """One answer of an annotation in normal form: a kind and a value, whatever the task type."""

    __tablename__ = "answers"
    __tenant__ = Own()

    annotation_id: Mapped[int] = mapped_column(ForeignKey("annotations.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    control: Mapped[str] = mapped_column(String(100))
    kind: Mapped[str] = mapped_column(String(30))
    value: Mapped[str] = mapped_column(Text)
    supplier_id: Mapped[int | None] = mapped_column(Id)


class AnnotationRevisionRow(Base):
    """What an annotation said before it was edited or deleted."""

    __tablename__ = "annotation_revisions"
    __tenant__ = Own()

    annotation_id: Mapped[int] = mapped_column(ForeignKey("annotations.id"), primary_key=True)
    revision: Mapped[int] = mapped_column(primary_key=True)
    status: Mapped[str] = mapped_column(String(16))
    label: Mapped[str] = mapped_column(String(200))
    result: Mapped[list[Any]]
    ls_updated_at: Mapped[datetime]
    replaced_at: Mapped[datetime]
    supplier_id: Mapped[int | None] = mapped_column(Id)
