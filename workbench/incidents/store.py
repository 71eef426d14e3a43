"""Queries on incidents: reported by whoever sees them, healed by whoever sees that they are over."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from workbench.incidents.tables import IncidentRow

Severity = Literal["info", "warn", "bad"]


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
    row = open_incident(session, kind, about)
    if row is None:
        row = IncidentRow(
            kind=kind,
            about=about,
            severity=severity,
            sentence=sentence,
            remedy=remedy,
            project_id=project_id,
            supplier_id=supplier_id,
            count=0,
            opened_at=now,
            seen_at=now,
            how="",
        )
        session.add(row)
    row.count += 1
    row.seen_at, row.sentence, row.remedy, row.severity = now, sentence, remedy, severity
    session.flush()
    return row


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
        select(IncidentRow).where(
            IncidentRow.kind == kind, IncidentRow.about == about, IncidentRow.healed_at.is_(None)
        )
    )


def open_incidents(session: Session) -> list[IncidentRow]:
    """Every open incident, newest first."""
    return list(
        session.scalars(
            select(IncidentRow)
            .where(IncidentRow.healed_at.is_(None))
            .order_by(IncidentRow.seen_at.desc(), IncidentRow.id.desc())
        )
    )


def healed_incidents(session: Session, *, since: datetime, limit: int = 100) -> list[IncidentRow]:
    """Incidents healed since then, newest first."""
    return list(
        session.scalars(
            select(IncidentRow)
            .where(IncidentRow.healed_at >= since)
            .order_by(IncidentRow.healed_at.desc(), IncidentRow.id.desc())
            .limit(limit)
        )
    )
