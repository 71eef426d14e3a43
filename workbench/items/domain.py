"""States of an item and the moves between them: one table."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class ItemState(StrEnum):
    """Where an item stands."""

    IMPORTED = "imported"
    PREDICTED = "predicted"
    ACCEPTED = "accepted"
    QUEUED = "queued"
    IN_LABELING = "in_labeling"
    ANNOTATED = "annotated"
    RESOLVED = "resolved"
    DELIVERED = "delivered"
    ERASED = "erased"
    """What it said was erased before it had a label; erased items that have one keep their state."""


class Purpose(StrEnum):
    """Why an item visits a lane."""

    ORDINARY = "ordinary"
    AUDIT = "audit"
    GOLD = "gold"
    BLIND = "blind"
    REVIEW = "review"
    ADJUDICATION = "adjudication"
    REWORK = "rework"


class Stage(StrEnum):
    """What is done in a lane."""

    LABEL = "label"
    REVIEW = "review"
    ADJUDICATE = "adjudicate"
    QUALIFY = "qualify"


S = ItemState

MOVES: dict[ItemState, frozenset[ItemState]] = {
    # An item without a live model can go straight to people.
    S.IMPORTED: frozenset({S.PREDICTED, S.QUEUED}),
    S.PREDICTED: frozenset({S.ACCEPTED, S.QUEUED}),
    S.ACCEPTED: frozenset({S.RESOLVED}),
    # Back to the decision when somebody recalls it for another one.
    S.QUEUED: frozenset({S.IN_LABELING, S.PREDICTED}),
    # Back to the queue when its task was deleted or taken back.
    S.IN_LABELING: frozenset({S.ANNOTATED, S.QUEUED}),
    # Back to the queue for another opinion (a tie) or because an answer was withdrawn.
    S.ANNOTATED: frozenset({S.RESOLVED, S.QUEUED, S.IN_LABELING}),
    S.RESOLVED: frozenset({S.DELIVERED, S.QUEUED, S.ANNOTATED}),
    S.DELIVERED: frozenset({S.QUEUED, S.ANNOTATED}),
    S.ERASED: frozenset(),
}
UNLABELED = (S.IMPORTED, S.PREDICTED, S.ACCEPTED, S.QUEUED, S.IN_LABELING, S.ANNOTATED)
for _state in UNLABELED:
    MOVES[_state] |= {S.ERASED}


def may_move(from_state: ItemState, to_state: ItemState) -> bool:
    """Whether the table allows this move."""
    return to_state in MOVES[from_state]


@dataclass(frozen=True)
class Part:
    """One part of an item: `text` for what is read, `data` for metadata or a file's facts."""

    kind: str
    name: str
    text: str = ""
    data: dict[str, Any] | None = None


def content_hash(parts: list[Part]) -> bytes:
    """SHA-256 over the parts, the same for the same content whatever the order of metadata keys."""
    canonical = json.dumps(
        [[part.kind, part.name, part.text, part.data or {}] for part in parts],
        sort_keys=True,
        ensure_ascii=False,
        separators=(",", ":"),
    )
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).digest()
