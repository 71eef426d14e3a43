"""The chain: what an event's hash is made of, and how a chain is checked."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any

FIRST = b"\0" * 32
"""What the first event names as the hash before it."""


def event_hash(
    *,
    seq: int,
    at: datetime,
    actor: str,
    verb: str,
    about: str,
    project_id: int | None,
    supplier_id: int | None,
    before: dict[str, Any] | None,
    after: dict[str, Any] | None,
    previous: bytes,
) -> bytes:
    """SHA-256 over everything that the event says and the hash of the event before it; 32 bytes."""
    said = [seq, at.isoformat(), actor, verb, about, project_id, supplier_id, before, after, previous.hex()]
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).digest()
