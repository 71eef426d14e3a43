"""Queries on receivers and deliveries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from workbench.errors import NotFound
from workbench.inbox.tables import DeliveryRow, ReceiverRow


@dataclass(frozen=True)
class InboxCounts:
    """How a server's deliveries stand."""

    waiting: int = 0
    dead: int = 0
    last_at: datetime | None = None


def receivers(session: Session) -> list[ReceiverRow]:
    """Every receiver."""
    return list(session.scalars(select(ReceiverRow).order_by(ReceiverRow.server_id)))


def receiver_of(session: Session, server_id: int) -> ReceiverRow | None:
    """A server's receiver, if it has one yet."""
    return session.get(ReceiverRow, server_id)


def add_deliveries(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Store deliveries; one that came before is left as it is."""
    # The bare table: the mapped class costs as much again per row, and this is the one place where it counts.
    is_postgresql = session.get_bind().dialect.name == "postgresql"
    statement = (postgresql if is_postgresql else sqlite).insert(DeliveryRow.__table__)
    session.connection().execute(
        statement.on_conflict_do_nothing(index_elements=["server_id", "digest"]), list(rows)
    )


def waiting_deliveries(session: Session, now: datetime, limit: int) -> list[DeliveryRow]:
    """Deliveries to be handled now, oldest first."""
    return list(
        session.scalars(
            select(DeliveryRow)
            .where(
                DeliveryRow.handled_at.is_(None),
                DeliveryRow.dead_at.is_(None),
                or_(DeliveryRow.retry_at.is_(None), DeliveryRow.retry_at <= now),
            )
            .order_by(DeliveryRow.id)
            .limit(limit)
        )
    )


def mark_handled(session: Session, delivery_ids: Sequence[int], now: datetime) -> None:
    """Handled: what they said is of no more use and is emptied, since it holds what items say."""
    for start in range(0, len(delivery_ids), 500):
        session.execute(
            update(DeliveryRow)
            .where(DeliveryRow.id.in_(delivery_ids[start : start + 500]))
            .values(handled_at=now, body=b"")
            .execution_options(synchronize_session=False)
        )


def forget_handled(session: Session, before: datetime, limit: int = 5_000) -> int:
    """How many handled deliveries from before that time were removed."""
    ids = session.scalars(select(DeliveryRow.id).where(DeliveryRow.handled_at < before).limit(limit)).all()
    for start in range(0, len(ids), 500):
        session.execute(delete(DeliveryRow).where(DeliveryRow.id.in_(ids[start : start + 500])))
    return len(ids)


def dead_letters(session: Session, server_id: int, limit: int = 50) -> list[DeliveryRow]:
    """Deliveries of a server that could not be handled, newest first."""
    return list(
        session.scalars(
            select(DeliveryRow)
            .where(DeliveryRow.server_id == server_id, DeliveryRow.dead_at.is_not(None))
            .order_by(DeliveryRow.id.desc())
            .limit(limit)
        )
    )


def inbox_counts(session: Session) -> dict[int, InboxCounts]:
    """By server."""
    waiting = dict(
        session.execute(
            select(DeliveryRow.server_id, func.count())
            .where(DeliveryRow.handled_at.is_(None), DeliveryRow.dead_at.is_(None))
            .group_by(DeliveryRow.server_id)
        ).all()
    )
    dead = dict(
        session.execute(
            select(DeliveryRow.server_id, func.count())
            .where(DeliveryRow.dead_at.is_not(None))
            .group_by(DeliveryRow.server_id)
        ).all()
    )
    counts = {}
    for server_id in session.scalars(select(ReceiverRow.server_id)):
        last = session.scalar(
            select(DeliveryRow.received_at)
            .where(DeliveryRow.server_id == server_id)
            .order_by(DeliveryRow.id.desc())
            .limit(1)
        )
        counts[server_id] = InboxCounts(waiting.get(server_id, 0), dead.get(server_id, 0), last)
    return counts


def find_receiver(session: Session, server_id: int) -> ReceiverRow:
    """A server's receiver.

    Raises:
        NotFound: It has none yet.
    """
    row = session.get(ReceiverRow, server_id)
    if row is None:
        raise NotFound(f"server {server_id} has no webhook yet; it gets one with its first lane")
    return row
