"""Queries on the activity record."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Select, event, select
from sqlalchemy.orm import Session, SessionTransaction

from workbench.activity.domain import FIRST, Anchor, Link, Unrecordable, canonical, event_hash
from workbench.activity.tables import ActivityCheckRow, EventRow
from workbench.db.locks import take_turn

_PENDING = "activity"
_LENGTHS = {"actor": 254, "verb": 60, "about": 200}


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

    The event takes its place in the chain as the last thing before the commit, so that transactions
    which record something wait for each other for that moment alone; its number is known then.

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

    Raises:
        Unrecordable: A value would not come back from the database as it went in.
    """
    said = {"actor": actor, "verb": verb, "about": about}
    for name, longest in _LENGTHS.items():
        if len(canonical(said[name], name)) > longest:
            raise Unrecordable(f"{name} is longer than {longest} characters: {said[name][:60]}…")
    canonical(at, "at")
    row = EventRow(
        **said,
        at=at,
        project_id=project_id,
        supplier_id=supplier_id,
        before=canonical(before, "before"),
        after=canonical(after, "after"),
    )
    waiting: list[_Waiting] = session.info.setdefault(_PENDING, [])
    waiting.append(_Waiting(session.get_nested_transaction() or session.get_transaction(), row))
    return row


@dataclass
class _Waiting:
    transaction: SessionTransaction | None
    row: EventRow


@event.listens_for(Session, "before_commit")
def _write_waiting(session: Session) -> None:
    """Chain what this transaction recorded, last of all."""
    waiting = session.info.get(_PENDING)
    if not waiting or session.in_nested_transaction():
        return
    session.info[_PENDING] = []
    session.flush()
    take_turn(session, _PENDING)
    last = last_link(session)
    seq, previous = (last.seq, bytes.fromhex(last.hash)) if last else (0, FIRST)
    for one in waiting:
        seq += 1
        row = one.row
        row.seq, row.previous = seq, previous
        row.hash = previous = event_hash(
            seq=seq,
            at=row.at,
            actor=row.actor,
            verb=row.verb,
            about=row.about,
            project_id=row.project_id,
            supplier_id=row.supplier_id,
            before=row.before,
            after=row.after,
            previous=previous,
        )
    session.add_all([one.row for one in waiting])
    session.flush()


@event.listens_for(Session, "after_soft_rollback")
def _forget_undone(session: Session, undone: SessionTransaction) -> None:
    """What was undone was not done: its events go with it."""
    waiting = session.info.get(_PENDING)
    if waiting:
        whole = undone.parent is None
        session.info[_PENDING] = [] if whole else [one for one in waiting if one.transaction is not undone]


def last_link(session: Session) -> Anchor | None:
    """Number and hash of the last event."""
    row = session.execute(select(EventRow.seq, EventRow.hash).order_by(EventRow.seq.desc()).limit(1)).first()
    return None if row is None else Anchor(row[0], bytes(row[1]).hex())


def links(session: Session, *, chunk: int = 2000) -> Generator[Link]:
    """The whole chain in order, read in chunks: memory stays the same however long it is."""
    statement = select(EventRow.__table__).order_by(EventRow.seq).execution_options(yield_per=chunk)
    with session.execute(statement) as rows:
        for row in rows:
            yield Link(row.seq, bytes(row.previous), bytes(row.hash), _computed(row))


def _computed(row: Any) -> bytes:
    try:
        return event_hash(
            seq=row.seq,
            at=row.at,
            actor=row.actor,
            verb=row.verb,
            about=row.about,
            project_id=row.project_id,
            supplier_id=row.supplier_id,
            before=row.before,
            after=row.after,
            previous=bytes(row.previous),
        )
    except Unrecordable:
        return b""


@dataclass(frozen=True)
class EventFilter:
    """Which events are wanted; empty fields want all.

    Attributes:
        actor: Part of the e-mail address, or of the machine's part.
        verb: The verb, or its thing: `policy` finds `policy.activated`.
        about: The thing as `policy:12`, or its kind.
        since, until: From then on; before then.
        people: Leave out what the machine did by itself.
        project_id: One project's; `projects` limits to several (None: all, and the installation's).
        supplier_id: One supplier's.
    """

    actor: str = ""
    verb: str = ""
    about: str = ""
    since: datetime | None = None
    until: datetime | None = None
    people: bool = False
    project_id: int | None = None
    projects: frozenset[int] | None = None
    supplier_id: int | None = None
    machine: tuple[str, ...] = field(default=("items.moved", "items.imported"))


def events(session: Session, wanted: EventFilter, *, before: int | None = None, limit: int) -> list[EventRow]:
    """Events, newest first; `before` is the last number of the page before."""
    statement = _filtered(select(EventRow), wanted)
    if before is not None:
        statement = statement.where(EventRow.seq < before)
    return list(session.scalars(statement.order_by(EventRow.seq.desc()).limit(limit)))


def _filtered(statement: Select[Any], wanted: EventFilter) -> Select[Any]:
    if wanted.project_id is not None:
        statement = statement.where(EventRow.project_id == wanted.project_id)
    if wanted.projects is not None:
        statement = statement.where(EventRow.project_id.in_(sorted(wanted.projects)))
    if wanted.supplier_id is not None:
        statement = statement.where(EventRow.supplier_id == wanted.supplier_id)
    if wanted.actor:
        statement = statement.where(EventRow.actor.icontains(wanted.actor, autoescape=True))
    if wanted.verb:
        exact = "." in wanted.verb
        statement = statement.where(
            EventRow.verb == wanted.verb
            if exact
            else EventRow.verb.startswith(f"{wanted.verb}.", autoescape=True)
        )
    if wanted.about:
        exact = ":" in wanted.about
        statement = statement.where(
            EventRow.about == wanted.about
            if exact
            else EventRow.about.startswith(f"{wanted.about}:", autoescape=True)
        )
    if wanted.since is not None:
        statement = statement.where(EventRow.at >= wanted.since)
    if wanted.until is not None:
        statement = statement.where(EventRow.at < wanted.until)
    if wanted.people:
        statement = statement.where(EventRow.verb.not_in(wanted.machine))
    return statement


def known_verbs(session: Session, project_id: int | None = None) -> list[str]:
    """Every verb on record, in order."""
    statement = select(EventRow.verb).distinct().order_by(EventRow.verb)
    if project_id is not None:
        statement = statement.where(EventRow.project_id == project_id)
    return list(session.scalars(statement))


def last_check(session: Session) -> ActivityCheckRow | None:
    """The newest check of the chain."""
    return session.scalar(select(ActivityCheckRow).order_by(ActivityCheckRow.id.desc()).limit(1))
