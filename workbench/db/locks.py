"""Taking turns between processes: advisory locks on PostgreSQL; SQLite has one writer anyway."""

from __future__ import annotations

import hashlib

from sqlalchemy import text
from sqlalchemy.orm import Session


def take_turn(session: Session, name: str) -> None:
    """Wait until no other transaction holds the turn of this name; given back when this one ends."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": lock_number(name)})


def lock_number(name: str) -> int:
    """The advisory lock's number: one of 2**64 by name, the same in every process."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
