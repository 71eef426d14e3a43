"""Tables of items, their parts, imports, moves and counts by state."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from workbench.db.tenancy import Through
from workbench.db.types import Base, Id


class ImportRow(Base):
    """One uploaded file and what became of its rows; rejected rows stand in a file beside it.

    `state` is how far its own steps came; whether the work was cancelled or resumed since, its job says.
    """

    __tablename__ = "imports"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"), index=True)
    job_id: Mapped[str] = mapped_column(String(64), unique=True)
    file_name: Mapped[str] = mapped_column(String(300))
    path: Mapped[str] = mapped_column(Text)
    format: Mapped[str] = mapped_column(String(10))
    mapping: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(String(20))
    rows_read: Mapped[int]
    rows_added: Mapped[int]
    rows_known: Mapped[int]
    rows_conflicting: Mapped[int]
    rows_rejected: Mapped[int]
    rejects_path: Mapped[str] = mapped_column(Text)
    problem: Mapped[str] = mapped_column(Text)
    created_by: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class ItemRow(Base):
    """The thing to be labeled; `key64` is the 64-bit number that lotteries hash."""

    __tablename__ = "items"
    __tenant__ = Through(("id",), "visits", "item_id", only=frozenset({"id", "public_id"}))
    __table_args__ = (
        UniqueConstraint("project_id", "external_id"),
        Index("ix_items_project_state", "project_id", "state", "id"),
        Index("ix_items_project_content", "project_id", "content_hash"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    public_id: Mapped[str] = mapped_column(String(32), unique=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    import_id: Mapped[int] = mapped_column(ForeignKey("imports.id"))
    batch_id: Mapped[int | None] = mapped_column(ForeignKey("batches.id"))
    external_id: Mapped[str] = mapped_column(String(200))
    content_hash: Mapped[bytes] = mapped_column(LargeBinary(32))
    state: Mapped[str] = mapped_column(String(16))
    language: Mapped[str] = mapped_column(String(20))
    region: Mapped[str] = mapped_column(String(20))
    sensitivity: Mapped[str] = mapped_column(String(20))
    round: Mapped[int]
    created_at: Mapped[datetime]
    state_at: Mapped[datetime]
    erased_at: Mapped[datetime | None]


class ItemPartRow(Base):
    """One part of an item: a text, a file's address, or its metadata."""

    __tablename__ = "item_parts"

    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    name: Mapped[str] = mapped_column(String(100))
    text: Mapped[str] = mapped_column(Text)
    data: Mapped[dict[str, Any]]


class ReferenceLabelRow(Base):
    """A label known from elsewhere, used only to report errors: never by models or routing."""

    __tablename__ = "reference_labels"

    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"), primary_key=True)
    label: Mapped[str] = mapped_column(String(200))
    source: Mapped[str] = mapped_column(String(200))


class ItemMoveRow(Base):
    """One move of an item from state to state: who, when, why; an event of the record seals `chunk`."""

    __tablename__ = "item_moves"
    __table_args__ = (Index("ix_item_moves_item", "item_id", "id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"))
    from_state: Mapped[str] = mapped_column(String(16))
    to_state: Mapped[str] = mapped_column(String(16))
    at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(String(200))
    reason: Mapped[str] = mapped_column(Text)
    because: Mapped[dict[str, Any]]
    chunk: Mapped[int | None] = mapped_column(Id)


class ItemCountRow(Base):
    """How many items of a project stand in a state, kept in the transaction of each move."""

    __tablename__ = "item_counts"

    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"), primary_key=True)
    state: Mapped[str] = mapped_column(String(16), primary_key=True)
    items: Mapped[int]


class RevealRow(Base):
    """Somebody opened a blurred part: pages expose people too."""

    __tablename__ = "reveals"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"), index=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    at: Mapped[datetime]
