"""Tables of the cost ledger and of the counts kept beside each annotation."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from workbench.db.tenancy import Own, Through
from workbench.db.types import Base, Id


class LedgerRow(Base):
    """One amount, never changed; a correction is a further row with the opposite sign."""

    __tablename__ = "ledger"
    __tenant__ = Own()
    __table_args__ = (
        UniqueConstraint("source_kind", "source_id", "rate_card_id", "sequence"),
        Index("ix_ledger_project", "project_id", "at"),
        Index("ix_ledger_item", "item_id"),
        Index("ix_ledger_supplier", "supplier_id", "project_id", "at"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    item_id: Mapped[int | None] = mapped_column(ForeignKey("items.id"))
    person_id: Mapped[int | None] = mapped_column(ForeignKey("persons.id"))
    source_kind: Mapped[str] = mapped_column(String(20))
    source_id: Mapped[str] = mapped_column(String(80))
    rate_card_id: Mapped[int] = mapped_column(Id)
    sequence: Mapped[int]
    kind: Mapped[str] = mapped_column(String(20))
    quantity: Mapped[Decimal]
    unit: Mapped[str] = mapped_column(String(10))
    amount: Mapped[Decimal]
    currency: Mapped[str] = mapped_column(String(3))
    at: Mapped[datetime]
    note: Mapped[str] = mapped_column(String(300))
    supplier_id: Mapped[int | None] = mapped_column(Id)


class CostTallyRow(Base):
    """Sum of the ledger by project and kind."""

    __tablename__ = "tally_costs"

    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(20), primary_key=True)
    currency: Mapped[str] = mapped_column(String(3), primary_key=True)
    amount: Mapped[Decimal]
    entries: Mapped[int]


class HourTallyRow(Base):
    """What one person (0: the machine) did in one UTC hour of a project."""

    __tablename__ = "tally_hours"
    __tenant__ = Through(("person_id",), "persons")

    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"), primary_key=True)
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(Id, primary_key=True)
    annotations: Mapped[int]
    counted: Mapped[int]
    above_overlap: Mapped[int]
    skipped: Mapped[int]
    not_counted: Mapped[int]
    lead_time_ms: Mapped[int] = mapped_column(Id)
    timed: Mapped[int]
    resolved: Mapped[int]


class PatternTallyRow(Base):
    """How many items have just these blind answers: `pattern` is answers per label, as "0,2,1"."""

    __tablename__ = "tally_patterns"

    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"), primary_key=True)
    pattern: Mapped[str] = mapped_column(String(400), primary_key=True)
    items: Mapped[int]


class PairTallyRow(Base):
    """How often two persons (lower id first) gave these two blind answers to the same item."""

    __tablename__ = "tally_pairs"
    __tenant__ = Through(("person_a", "person_b"), "persons")

    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"), primary_key=True)
    person_a: Mapped[int] = mapped_column(Id, primary_key=True)
    person_b: Mapped[int] = mapped_column(Id, primary_key=True)
    label_a: Mapped[str] = mapped_column(String(200), primary_key=True)
    label_b: Mapped[str] = mapped_column(String(200), primary_key=True)
    items: Mapped[int]


class ModelTallyRow(Base):
    """How often people answered `given` where a model version predicted `predicted`."""

    __tablename__ = "tally_models"

    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"), primary_key=True)
    model_version_id: Mapped[int] = mapped_column(ForeignKey("model_versions.id"), primary_key=True)
    blind: Mapped[bool] = mapped_column(primary_key=True)
    predicted: Mapped[str] = mapped_column(String(200), primary_key=True)
    given: Mapped[str] = mapped_column(String(200), primary_key=True)
    answers: Mapped[int]
