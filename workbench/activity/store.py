"""Queries on the activity record."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from workbench.activity.domain import FIRST, event_hash
from workbench.activity.tables import EventRow
from workbench.db.locks import take_turn


def record(
    session: Session,
    *,
    at: datetime,
    actor: str,
    verb: str,
    about: str,
    project_id: int | None = None,
    supplier_id: int | None = None,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> EventRow:
    """Write down who did what to what, in the transaction that does it.

    Args:
        session: The writing session of the change itself.
        at: When, aware UTC.
        actor: E-mail address of the user, or the part of the machine that acted: `machine`, `reconcile` …
        verb: What was done, thing first: `policy.activated`, `user.role_changed`, `export.made` …
        about: The thing, as `policy:12`, `user:3`, `item:ab12…`.
        project_id: The project it belongs to; None for the installation.
        supplier_id: The supplier whose lead may read the event.
        before: What it was, JSON values only; no secrets, no item texts.
        after: What it is now, likewise.
    """
    take_turn(session, "activity")
    last = session.execute(select(EventRow.seq, EventRow.hash).order_by(EventRow.seq.desc()).limit(1)).first()
    seq, previous = (last[0] + 1, last[1]) if last else (1, FIRST)
    row = EventRow(
        seq=seq,
        at=at,
        actor=actor,
        verb=verb,
        about=about,
        project_id=project_id,
        supplier_id=supplier_id,
        before=before,
        after=after,
        previous=previous,
        hash=event_hash(
            seq=seq,
            at=at,
            actor=actor,
            verb=verb,
            about=about,
            project_id=project_id,
            supplier_id=supplier_id,
            before=before,
            after=after,
            previous=previous,
        ),
    )
    session.add(row)
    session.flush()
    return row
