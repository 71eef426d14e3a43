"""The record as pages show it: filtered, page by page, each event as a sentence with its difference."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from workbench.activity import store
from workbench.activity.moves import IMPORTED, MOVED
from workbench.activity.store import EventFilter
from workbench.activity.wording import Changed, changes, sentence_of, thing_of
from workbench.errors import InvalidInput
from workbench.projects.tables import ProjectRow

PAGE = 50
_LONGEST = 200
_LONGEST_NUMBER = 19
_MOVES = frozenset({MOVED, IMPORTED})


@dataclass(frozen=True)
class EventView:
    """One event; `project` is empty for the installation."""

    seq: int
    at: datetime
    actor: str
    verb: str
    sentence: str
    about: str
    thing: str
    project: str
    project_title: str
    changes: tuple[Changed, ...]
    moves: tuple[tuple[str, str, int], ...]
    items: int | None
    hash: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "seq": self.seq,
            "at": self.at.isoformat(),
            "actor": self.actor,
            "verb": self.verb,
            "about": self.about,
            "project": self.project or None,
            "sentence": self.sentence,
            "before": self.before,
            "after": self.after,
            "hash": self.hash,
        }


@dataclass(frozen=True)
class EventPage:
    """Events, newest first, and what `before` gets the next page; None at the end."""

    events: tuple[EventView, ...]
    before: int | None


def filter_of(query: Mapping[str, str], *, zone: str = "UTC") -> EventFilter:
    """What a query string asks for.

    Raises:
        InvalidInput: A day is no date, or a text is too long.
    """
    texts = {name: query.get(name, "").strip() for name in ("actor", "verb", "about")}
    for name, text in texts.items():
        if len(text) > _LONGEST:
            raise InvalidInput(f"{name} is longer than {_LONGEST} characters")
    until = _day(query.get("until", ""), zone, days=1)
    return EventFilter(
        actor=texts["actor"],
        verb=texts["verb"],
        about=texts["about"],
        since=_day(query.get("since", ""), zone),
        until=until,
        people=query.get("people", "") != "",
    )


def place_of(query: Mapping[str, str]) -> int | None:
    """Where the page begins.

    Raises:
        InvalidInput: It is no number of an event.
    """
    given = query.get("before", "")
    if not given:
        return None
    if not given.isdecimal() or len(given) > _LONGEST_NUMBER or int(given) >= 2**63:
        raise InvalidInput("the list cannot begin there; open it anew")
    return int(given)


def _day(given: str, zone: str, *, days: int = 0) -> datetime | None:
    if not given.strip():
        return None
    try:
        day = date.fromisoformat(given.strip()) + timedelta(days=days)
        return datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidInput("give days as year-month-day, such as 2026-03-31") from None


def read_events(
    session: Session,
    wanted: EventFilter,
    *,
    before: int | None = None,
    limit: int = PAGE,
    projects: Collection[int] | None = None,
) -> EventPage:
    """One page of the record.

    Args:
        session: A session.
        wanted: Which events.
        before: The number after which the page begins, going back in time.
        limit: How many.
        projects: Only events of these projects; None for all, and the installation's.
    """
    if projects is not None:
        wanted = replace(wanted, projects=frozenset(projects))
    rows = store.events(session, wanted, before=before, limit=limit + 1)
    shown = rows[:limit]
    names = _projects(session, {row.project_id for row in shown if row.project_id is not None})
    views = tuple(_view(row, names) for row in shown)
    return EventPage(views, shown[-1].seq if len(rows) > limit else None)


def _projects(session: Session, ids: Collection[int]) -> dict[int, tuple[str, str]]:
    rows = session.execute(
        select(ProjectRow.id, ProjectRow.key, ProjectRow.title).where(ProjectRow.id.in_(ids))
    )
    return {project_id: (key, title) for project_id, key, title in rows}


def _view(row: Any, names: Mapping[int, tuple[str, str]]) -> EventView:
    key, title = names.get(row.project_id, ("", ""))
    is_moves = row.verb in _MOVES
    after = row.after or {}
    return EventView(
        seq=row.seq,
        at=row.at,
        actor=row.actor,
        verb=row.verb,
        sentence=sentence_of(row.verb),
        about=row.about,
        thing=thing_of(row.about),
        project=key,
        project_title=title,
        changes=() if is_moves else tuple(changes(row.before, row.after)),
        moves=_moves(after.get("moves") or ()) if is_moves else (),
        items=after.get("items") if is_moves else None,
        hash=bytes(row.hash).hex(),
        before=row.before,
        after=row.after,
    )


def _moves(given: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, str, int], ...]:
    return tuple((str(one["from"]), str(one["to"]), int(one["items"])) for one in given)
