"""Tables of webhook receivers and of what arrived."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, LargeBinary, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from workbench.db.types import Base, Id


class ReceiverRow(Base):
    """Where one Label Studio server may tell us things, and with which secret; secrets are encrypted."""

    __tablename__ = "webhook_receivers"

    server_id: Mapped[int] = mapped_column(
        ForeignKey("label_studio_servers.id"), primary_key=True, autoincrement=False
    )
    path_key: Mapped[str] = mapped_column(String(64), unique=True)
    secret: Mapped[bytes] = mapped_column(LargeBinary)
    previous: Mapped[bytes | None] = mapped_column(LargeBinary)
    rotated_at: Mapped[datetime | None]
    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(Text)
    tried_at: Mapped[datetime | None]
    created_at: Mapped[datetime]


class DeliveryRow(Base):
    """One delivery as it arrived, less its tokens; the body is emptied once it is handled."""

    __tablename__ = "inbox"
    __table_args__ = (
        Index("uq_inbox_digest", "server_id", "digest", unique=True),
        Index(
            "ix_inbox_waiting",
            "id",
            sqlite_where=text("handled_at IS NULL AND dead_at IS NULL"),
            postgresql_where=text("handled_at IS NULL AND dead_at IS NULL"),
        ),
        Index("ix_inbox_handled", "handled_at"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    server_id: Mapped[int] = mapped_column(ForeignKey("label_studio_servers.id"))
    action: Mapped[str] = mapped_column(String(40))
    digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    body: Mapped[bytes] = mapped_column(LargeBinary)
    received_at: Mapped[datetime]
    handled_at: Mapped[datetime | None]
    tries: Mapped[int]
    retry_at: Mapped[datetime | None]
    dead_at: Mapped[datetime | None]
    problem: Mapped[str] = mapped_column(Text)
