"""What the machine does by the thousand: one event for each chunk of moves, with a digest over them."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections import Counter
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import BigInteger, String, Text, column, select, table
from sqlalchemy.orm import Session

from workbench.activity.domain import Broken, canonical_text
from workbench.activity.store import record
from workbench.activity.tables import EventRow
from workbench.db.types import Json, Utc

_PLAIN = re.compile(r"[a-z_0-9]+").fullmatch
MOVED, IMPORTED = "items.moved", "items.imported"
_MOVES = table(
    "item_moves",
    column("id", BigInteger()),
    column("project_id", BigInteger()),
    column("item_id", BigInteger()),
    column("from_state", String()),
    column("to_state", String()),
    column("at", Utc()),
    column("actor", String()),
    column("reason", Text()),
    column("because", Json),
    column("chunk", BigInteger()),
)


@dataclass
class _Chunk:
    """What one transaction moves in a project for one actor, as its event will say it."""

    number: int
    event: EventRow
    states: Counter[tuple[str, str]] = field(default_factory=Counter)
    whole: Any = field(default_factory=hashlib.sha256)


def seal_moves(session: Session, moves: Sequence[dict[str, Any]], *, verb: str = MOVED) -> None:
    """Give moves about to be written the number of their chunk; its event tells how many, and their digest.

    All that a transaction moves in a project for one actor is one chunk and one event.

    Args:
        session: The transaction that writes them, in this order.
        moves: Rows of item_moves; each gets its `chunk`.
        verb: What was done.
    """
    changed: dict[tuple[int, str], _Chunk] = {}
    for move in moves:
        place = (move["project_id"], move["actor"])
        chunk = changed.get(place)
        if chunk is None:
            chunk = changed[place] = _chunk_for(session, move, verb)
        move["chunk"] = chunk.number
        chunk.states[move["from_state"], move["to_state"]] += 1
        chunk.whole.update(_line(move))
    for chunk in changed.values():
        # The event is written with the commit: until then it can say more.
        chunk.event.after = {
            "items": chunk.states.total(),
            "moves": [
                {"from": str(old), "to": str(new), "items": n}
                for (old, new), n in sorted(chunk.states.items())
            ],
            "digest": chunk.whole.hexdigest(),
        }


def _chunk_for(session: Session, move: dict[str, Any], verb: str) -> _Chunk:
    chunks: dict[Any, _Chunk] = session.info.setdefault("chunks", {})
    # What a savepoint takes back must not be in the chunk of what stays.
    place = session.get_nested_transaction() or session.get_transaction()
    key = (place, move["project_id"], move["actor"], verb)
    if key not in chunks:
        number = secrets.randbits(62) + 1
        event = record(
            session,
            at=move["at"],
            actor=move["actor"],
            verb=verb,
            about=f"moves:{number}",
            project_id=move["project_id"],
        )
        chunks[key] = _Chunk(number, event)
    return chunks[key]


def _line(move: Any) -> bytes:
    """A move as its digest takes it; lengths stand before texts, so that no two moves look alike."""
    actor, reason = move["actor"], move["reason"]
    said = (
        f"{move['project_id']} {move['item_id']} {move['from_state']}>{move['to_state']} {_time(move['at'])} "
        f"{len(actor)} {actor} {len(reason)} {reason} {_because(move['because'])}\n"
    )
    return said.encode("utf-8", "surrogatepass")


@lru_cache(maxsize=64)
def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()


def _because(because: dict[str, Any]) -> str:
    """The same text as `canonical_text` gives, made faster for the common case of a few ids."""
    if all(type(value) is int for value in because.values()) and all(map(_PLAIN, because)):
        return "{" + ",".join(f'"{name}":{because[name]}' for name in sorted(because)) + "}"
    return canonical_text(because)


def first_broken_chunk(session: Session) -> Broken | None:
    """The first chunk whose moves are not those that its event speaks of; None where all are.

    Moves from before there were chunks are left out. Reads every move once, in order of id.
    """
    with closing(_all_moves(session)) as moves:
        return _first_broken(moves, _chunk_events(session))


def _first_broken(moves: Iterable[Any], events: dict[int, tuple[int, int, str]]) -> Broken | None:
    open_chunks: dict[int, tuple[int, Any]] = {}
    sealed = False
    for move in moves:
        if move["chunk"] is None:
            if sealed:
                return _broken(0, f"{_named(move)} belongs to no chunk on record")
            continue
        sealed = True
        known = events.get(move["chunk"])
        if known is None:
            return _broken(0, f"{_named(move)} belongs to a chunk that no event speaks of")
        count, whole = open_chunks.get(move["chunk"]) or (0, hashlib.sha256())
        whole.update(_line(move))
        open_chunks[move["chunk"]] = (count + 1, whole)
        seq, items, digest = known
        if count + 1 == items:
            if whole.hexdigest() != digest:
                return _broken(seq, f"the {items} moves of event {seq} do not say what they said")
            del open_chunks[move["chunk"]], events[move["chunk"]]
    if events:
        seq, items, _ = min(events.values())
        return _broken(seq, f"of the {items} moves that event {seq} speaks of, some are gone")
    return None


def _chunk_events(session: Session) -> dict[int, tuple[int, int, str]]:
    rows = session.execute(
        select(EventRow.seq, EventRow.about, EventRow.after)
        .where(EventRow.verb.in_([MOVED, IMPORTED]), EventRow.about.startswith("moves:"))
        .execution_options(yield_per=2000)
    )
    return {
        int(about.partition(":")[2]): (seq, int(after["items"]), str(after["digest"]))
        for seq, about, after in rows
    }


def _all_moves(session: Session) -> Generator[Any]:
    statement = select(_MOVES).order_by(_MOVES.c.id).execution_options(yield_per=2000)
    with session.execute(statement) as rows:
        yield from rows.mappings()


def _named(move: Any) -> str:
    return f"move {move['id']} of item {move['item_id']}"


def _broken(seq: int, what: str) -> Broken:
    return Broken(
        seq,
        "moves",
        what,
        "Compare the item's history with the newest backup whose moves fit (`workbench activity verify "
        "--deep` on a restored copy), and find out who could write to the database.",
    )
