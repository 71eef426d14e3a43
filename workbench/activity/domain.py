"""The chain: what an event's hash is made of, and how a chain is checked."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

FIRST = b"\0" * 32
"""What the first event names as the hash before it."""
_DEEPEST = 32
_LARGEST = 1 << 1024
"""Beyond every float, and within what both databases keep digit for digit."""


class Unrecordable(TypeError):
    """A value would not come back from the database as it went in; the message says where it stands."""


def canonical(value: Any, where: str = "value") -> Any:
    """The value as it comes back from any of the databases, so that its hash can be computed again.

    PostgreSQL's JSONB orders keys anew, writes 1e20 as an integer and has no negative zero. So floats
    without fraction become integers, and what would be lost or refused is refused here already. Decimals and
    times become text.

    Raises:
        Unrecordable: A NaN or infinity, a zero byte or half a surrogate pair, a key that is no text, an
            object, or more than 32 levels.

    >>> canonical({"b": 1e20, "a": -0.0})
    {'b': 100000000000000000000, 'a': 0}
    """
    return _canonical(value, where, 0)


def _canonical(value: Any, where: str, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(str(value), where)
    if isinstance(value, int | float):
        return _number(value, where)
    if isinstance(value, Decimal | datetime | date):
        return _as_text(value, where)
    if depth >= _DEEPEST:
        raise Unrecordable(f"{where}: more than {_DEEPEST} levels deep")
    if isinstance(value, Mapping):
        return {_key(key, where): _canonical(one, f"{where}.{key}", depth + 1) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(one, f"{where}[{i}]", depth + 1) for i, one in enumerate(value)]
    raise Unrecordable(f"{where}: a {type(value).__name__} cannot be recorded; give JSON values")


def _number(value: float, where: str) -> int | float:
    if isinstance(value, float) and not math.isfinite(value):
        raise Unrecordable(f"{where}: {value} cannot be recorded; say what it means in words")
    if abs(value) > _LARGEST:
        raise Unrecordable(f"{where}: a number of more than 308 digits cannot be recorded")
    return value if isinstance(value, float) and not value.is_integer() else int(value)


def _as_text(value: Decimal | date, where: str) -> str:
    if isinstance(value, datetime):
        return _moment(value, where)
    return value.isoformat() if isinstance(value, date) else format(value, "f")


def _key(key: object, where: str) -> str:
    if not isinstance(key, str):
        raise Unrecordable(f"{where}: the key {key!r} is not text")
    return _text(key, where)


def _text(value: str, where: str) -> str:
    if "\0" in value:
        raise Unrecordable(f"{where}: a zero byte cannot be recorded")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Unrecordable(f"{where}: half a surrogate pair cannot be recorded") from None
    return value


def _moment(value: datetime, where: str) -> str:
    if value.tzinfo is None:
        raise Unrecordable(f"{where}: a time without zone cannot be recorded; give it as UTC")
    return value.astimezone(UTC).isoformat()


def canonical_text(value: Any) -> str:
    """A value as the one text that its hash is taken of."""
    return json.dumps(
        canonical(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )


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
    said = [seq, at, actor, verb, about, project_id, supplier_id, before, after, previous.hex()]
    return hashlib.sha256(canonical_text(said).encode("ascii")).digest()


@dataclass(frozen=True)
class Link:
    """What checking needs of an event: its place, the two hashes it holds, and the hash it should have."""

    seq: int
    previous: bytes
    hash: bytes
    computed: bytes


@dataclass(frozen=True)
class Anchor:
    """Number and hash of the last event at some time, kept outside the database."""

    seq: int
    hash: str

    def __str__(self) -> str:
        """As `verify --expect` takes it."""
        return f"{self.seq}:{self.hash}"


@dataclass(frozen=True)
class Broken:
    """The first place at which the chain does not hold.

    Attributes:
        seq: The event.
        kind: `altered`, `removed`, `inserted`, `cut`, `rewritten` or `unreadable`.
        sentence: What is wrong there.
        remedy: What to do.
    """

    seq: int
    kind: str
    sentence: str
    remedy: str


_COMPARE = (
    "Compare this event with the newest backup whose chain holds (`workbench activity verify` on a restored "
    "copy), and find out who could write to the database; what came before it can be trusted."
)


class ChainCheck:
    """Walks a chain event by event and finds the first place at which it does not hold."""

    def __init__(self, anchors: Iterable[Anchor] = ()) -> None:
        self.last: Anchor | None = None
        self.events = 0
        self._anchors: dict[int, set[str]] = {}
        for anchor in anchors:
            self._anchors.setdefault(anchor.seq, set()).add(anchor.hash.lower())
        self._hash = FIRST

    def take(self, link: Link) -> Broken | None:
        """The next event in order of number; what is wrong with it, if anything is."""
        expected = self.last.seq + 1 if self.last else 1
        broken = self._misplaced(link, expected) or self._altered(link) or self._against_anchor(link)
        if broken is None:
            self.last, self._hash = Anchor(link.seq, link.hash.hex()), link.hash
            self.events += 1
        return broken

    def end(self) -> Broken | None:
        """What is missing behind the last event, as far as anchors tell."""
        newest = max(self._anchors, default=0)
        last = self.last.seq if self.last else 0
        if newest <= last:
            return None
        return Broken(
            last + 1,
            "cut",
            f"the record ends with event {last}, but event {newest} was there when an anchor was taken: "
            f"events {last + 1} to {newest} at least were removed from the end",
            "If the database was restored from a backup older than the anchor, say so by keeping the anchor "
            "file of that time; else restore the newest backup and find out who could write to the database.",
        )

    def _misplaced(self, link: Link, expected: int) -> Broken | None:
        if link.seq > expected:
            gone = (
                f"event {expected} is"
                if link.seq == expected + 1
                else f"events {expected} to {link.seq - 1} are"
            )
            return Broken(expected, "removed", f"{gone} missing before event {link.seq}", _COMPARE)
        if link.seq < expected:
            return Broken(
                link.seq, "inserted", f"event {link.seq} stands before the first event, 1", _COMPARE
            )
        return None

    def _altered(self, link: Link) -> Broken | None:
        if link.hash != link.computed:
            return Broken(
                link.seq,
                "altered",
                f"event {link.seq} does not say what it said when it was written: its hash does not fit it",
                _COMPARE,
            )
        if link.previous != self._hash:
            return Broken(
                link.seq,
                "inserted",
                f"event {link.seq} follows another event than the one before it: one of the two was "
                "inserted, put in another place or written anew",
                _COMPARE,
            )
        return None

    def _against_anchor(self, link: Link) -> Broken | None:
        known = self._anchors.get(link.seq)
        if known is None or known == {link.hash.hex()}:
            return None
        return Broken(
            link.seq,
            "rewritten",
            f"event {link.seq} has another hash than when an anchor was taken: the record was written anew, "
            f"with event {link.seq} or one before it changed",
            _COMPARE,
        )


def read_anchor(text: str) -> Anchor:
    """An anchor from `SEQ:HASH`.

    Raises:
        ValueError: It is not of that form.
    """
    seq, colon, made = text.strip().partition(":")
    if not (colon and seq.isdecimal() and len(made) == 2 * len(FIRST)):
        raise ValueError("an anchor is SEQ:HASH, a number and 64 hexadecimal digits")
    bytes.fromhex(made)
    return Anchor(int(seq), made.lower())
