"""Queries on incidents: reported by whoever sees them, healed by whoever sees that they are over."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Select, case, delete, func, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from workbench.errors import NotFound, WrongState
from workbench.incidents.tables import IncidentRow

Severity = Literal["info", "warn", "bad"]
_LONGEST_ABOUT = 200
_ORDER = case((IncidentRow.severity == "bad", 0), (IncidentRow.severity == "warn", 1), else_=2)


def report_incident(
    session: Session,
    kind: str,
    about: str,
    sentence: str,
    *,
    now: datetime,
    severity: Severity = "warn",
    remedy: str = "",
    project_id: int | None = None,
    supplier_id: int | None = None,
) -> IncidentRow:
    """The open incident of this kind about this thing: opened, or seen once more.

    Reporting is safe from anywhere and as often as one likes: it is one row until it is healed.

    Args:
        session: A writing session.
        kind: What went wrong, in snake case: `answer_lost`, `server_restored`, `dead_letter` …
        about: The thing, as `lane:12`, `server:3`, `job:…`.
        sentence: What happened, for people; no secrets, no item texts.
        now: When it was seen.
        severity: `bad` calls for a person, `warn` is worth a look, `info` healed by itself.
        remedy: What a person can do; empty where nothing need be done.
        project_id: The project it concerns; None for the whole installation.
        supplier_id: The supplier it concerns, where it concerns one alone.
    """
    seen = {
        "seen_at": now,
        "sentence": sentence,
        "remedy": remedy,
        "severity": severity,
        "project_id": project_id,
        "supplier_id": supplier_id,
    }
    statement = _insert(session).values(
        kind=kind, about=about[:_LONGEST_ABOUT], count=1, opened_at=now, how="", **seen
    )
    worse = (IncidentRow.severity != "bad") & (statement.excluded.severity == "bad")
    # One statement: two that see the same at the same moment count twice, and open it once.
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["kind", "about"],
            index_where=IncidentRow.healed_at.is_(None),
            set_={name: statement.excluded[name] for name in seen}
            | {
                "count": IncidentRow.count + 1,
                # Who said "I have seen it" has not seen that it became worse.
                "acknowledged_at": case((worse, None), else_=IncidentRow.acknowledged_at),
                "acknowledged_by": case((worse, None), else_=IncidentRow.acknowledged_by),
            },
        )
    )
    row = open_incident(session, kind, about)
    assert row is not None
    return row


def _insert(session: Session) -> Any:
    name = session.get_bind().dialect.name
    return postgresql.insert(IncidentRow) if name == "postgresql" else sqlite.insert(IncidentRow)


def heal_incident(session: Session, kind: str, about: str, how: str, *, now: datetime) -> bool:
    """Close the open incident of this kind about this thing; False where there is none."""
    row = open_incident(session, kind, about)
    if row is None:
        return False
    row.healed_at, row.how = now, how
    session.flush()
    return True


def open_incident(session: Session, kind: str, about: str) -> IncidentRow | None:
    """The open incident of this kind about this thing, if any."""
    return session.scalar(
        select(IncidentRow)
        .where(
            IncidentRow.kind == kind,
            IncidentRow.about == about[:_LONGEST_ABOUT],
            IncidentRow.healed_at.is_(None),
        )
        .execution_options(populate_existing=True)
    )


def was_open(session: Session, kind: str, about: str, *, since: datetime) -> bool:
    """Whether there was an incident of this kind about this thing at any moment since then."""
    statement = select(IncidentRow.id).where(
        IncidentRow.kind == kind,
        IncidentRow.about == about[:_LONGEST_ABOUT],
        or_(IncidentRow.healed_at.is_(None), IncidentRow.healed_at >= since),
    )
    return session.scalar(statement.limit(1)) is not None


def open_incidents(session: Session, *, projects: Collection[int] | None = None) -> list[IncidentRow]:
    """Every open incident, the worst and newest first.

    Args:
        session: A session.
        projects: Only those of these projects; None for all, and the installation's.
    """
    statement = _within(select(IncidentRow).where(IncidentRow.healed_at.is_(None)), projects)
    return list(
        session.scalars(statement.order_by(_ORDER, IncidentRow.seen_at.desc(), IncidentRow.id.desc()))
    )


def healed_incidents(
    session: Session, *, since: datetime, limit: int = 100, projects: Collection[int] | None = None
) -> list[IncidentRow]:
    """Incidents healed since then, newest first."""
    statement = _within(select(IncidentRow).where(IncidentRow.healed_at >= since), projects)
    return list(
        session.scalars(statement.order_by(IncidentRow.healed_at.desc(), IncidentRow.id.desc()).limit(limit))
    )


def incidents_of_supplier(session: Session, supplier_id: int, *, since: datetime) -> list[IncidentRow]:
    """What the lead of a supplier may know of: its own incidents, open or healed since then."""
    return list(
        session.scalars(
            select(IncidentRow)
            .where(
                IncidentRow.supplier_id == supplier_id,
                or_(IncidentRow.healed_at.is_(None), IncidentRow.healed_at >= since),
            )
            .order_by(IncidentRow.healed_at.is_not(None), _ORDER, IncidentRow.seen_at.desc())
        )
    )


def count_bad(session: Session, *, projects: Collection[int] | None = None) -> int:
    """How many open incidents call for a person."""
    statement = select(func.count()).where(IncidentRow.healed_at.is_(None), IncidentRow.severity == "bad")
    return session.scalar(_within(statement, projects)) or 0


def version(session: Session) -> tuple[object, ...]:
    """A value that differs once any incident was opened, seen again, acknowledged or healed."""
    row = session.execute(
        select(
            func.max(IncidentRow.seen_at),
            func.max(IncidentRow.healed_at),
            func.max(IncidentRow.acknowledged_at),
            func.max(IncidentRow.id),
        )
    ).one()
    return tuple(row)


def acknowledge_incident(session: Session, incident_id: int, *, by: str, now: datetime) -> IncidentRow:
    """Note that somebody has seen an open incident and looks after it; the first to say so stays.

    Raises:
        NotFound: There is none of that id.
        WrongState: It is over.
    """
    row = session.get(IncidentRow, incident_id)
    if row is None:
        raise NotFound(f"there is no incident {incident_id}")
    if row.healed_at is not None:
        raise WrongState(f"incident {incident_id} is over; nothing needs to be done")
    if row.acknowledged_at is None:
        row.acknowledged_at, row.acknowledged_by = now, by
        session.flush()
    return row


def forget_healed(session: Session, *, before: datetime) -> int:
    """Removes incidents that were healed before then; returns how many. Open ones always stay."""
    gone = session.execute(delete(IncidentRow).where(IncidentRow.healed_at < before))
    return int(gone.rowcount)  # type: ignore[attr-defined]


def _within(statement: Select[Any], projects: Collection[int] | None) -> Select[Any]:
    return statement if projects is None else statement.where(IncidentRow.project_id.in_(sorted(projects)))
