"""Checking the record, and anchoring it outside the database."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from workbench.activity import store
from workbench.activity.anchors import read_anchors, write_anchor
from workbench.activity.domain import Anchor, Broken, ChainCheck
from workbench.activity.moves import first_broken_chunk
from workbench.activity.tables import ActivityCheckRow
from workbench.outside import Outside


@dataclass(frozen=True)
class Verified:
    """What checking the record came to.

    Attributes:
        events: How many events hold, from the first on.
        last: The last of them; None for an empty record.
        broken: The first place that does not hold.
        anchors: How many anchors it was held against.
        seconds: How long it took.
    """

    events: int
    last: Anchor | None
    broken: Broken | None
    anchors: int
    seconds: float

    def sentence(self) -> str:
        """The outcome for people."""
        if self.broken is not None:
            return self.broken.sentence
        if self.last is None:
            return "the record is empty"
        against = f", held against {self.anchors} anchors" if self.anchors else ""
        return f"{self.events:,} events hold{against}; the last is {self.last}"


def verify(session: Session, anchors: Sequence[Anchor] = (), *, deep: bool = False) -> Verified:
    """Whether the chain holds from the first event to the last, and ends where the anchors say.

    Args:
        session: A reading session: one moment's record.
        anchors: What was known of it at earlier times.
        deep: Also compare every item's moves with the events that sealed them.
    """
    began = time.perf_counter()
    check, broken = ChainCheck(anchors), None
    with closing(store.links(session)) as chain:
        for link in chain:
            broken = check.take(link)
            if broken is not None:
                break
    broken = broken or check.end() or (first_broken_chunk(session) if deep else None)
    return Verified(check.events, check.last, broken, len(anchors), time.perf_counter() - began)


def verify_installation(
    outside: Outside, *, expected: Sequence[Anchor] = (), deep: bool = False, keep: bool = True
) -> Verified:
    """`verify` against this installation's own anchors and those given; the outcome is kept for its page.

    Raises:
        InvalidInput: The anchor file cannot be read.
    """
    with outside.db.read() as session:
        anchors = [*read_anchors(outside.settings.data_dir), *expected, *_seen_before(session)]
        found = verify(session, anchors, deep=deep)
    if keep:
        with outside.db.write() as session:
            _keep(session, outside, found, deep=deep)
    return found


def anchor_now(outside: Outside, why: str) -> Anchor | None:
    """Write the last event's number and hash to the anchor file; None while the record is empty."""
    with outside.db.read() as session:
        last = store.last_link(session)
    if last is not None:
        write_anchor(outside.settings.data_dir, last, at=outside.now(), why=why)
    return last


def verify_and_anchor(outside: Outside, why: str, *, deep: bool = False) -> Verified:
    """The check of each night and backup: anchored only if it holds."""
    found = verify_installation(outside, deep=deep)
    if found.broken is None and found.last is not None:
        write_anchor(outside.settings.data_dir, found.last, at=outside.now(), why=why)
    return found


def _seen_before(session: Session) -> list[Anchor]:
    """The end of the record at the last check that found it whole: a tail cut since then shows."""
    row = session.scalar(
        select(ActivityCheckRow)
        .where(ActivityCheckRow.broken_seq.is_(None), ActivityCheckRow.last_seq > 0)
        .order_by(ActivityCheckRow.last_seq.desc())
        .limit(1)
    )
    return [Anchor(row.last_seq, row.last_hash)] if row is not None else []


def _keep(session: Session, outside: Outside, found: Verified, *, deep: bool) -> None:
    session.add(
        ActivityCheckRow(
            at=outside.now(),
            events=found.events,
            last_seq=found.last.seq if found.last else 0,
            last_hash=found.last.hash if found.last else "",
            deep=deep,
            broken_seq=found.broken.seq if found.broken else None,
            problem=f"{found.broken.sentence}. {found.broken.remedy}" if found.broken else "",
            seconds=found.seconds,
        )
    )
