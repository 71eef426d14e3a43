"""Queries on the invariants' runs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from workbench.invariants.domain import Result
from workbench.invariants.tables import InvariantRunRow

_SENTENCES = 5
_LEFT_OUT = 500


def keep_run(session: Session, run_id: str, results: Sequence[Result], *, at: datetime) -> None:
    """Store how each invariant stood."""
    session.add_all(
        InvariantRunRow(
            run_id=run_id,
            at=at,
            invariant=one.key,
            checked=one.checked,
            violations=len(one.violations),
            sentences=[violation.sentence for violation in one.violations[:_SENTENCES]],
            left_out=one.left_out[:_LEFT_OUT],
        )
        for one in results
    )
    session.flush()


def last_run(session: Session) -> list[InvariantRunRow]:
    """How each invariant stood when it was last looked at, in the order of their numbers."""
    newest: dict[str, InvariantRunRow] = {}
    rows = session.scalars(select(InvariantRunRow).order_by(InvariantRunRow.id.desc()).limit(200))
    for row in rows:
        newest.setdefault(row.invariant, row)
    return sorted(newest.values(), key=lambda row: int(row.invariant.removeprefix("I")))


def forget_runs(session: Session, *, before: datetime) -> None:
    """Drop runs older than this."""
    session.execute(delete(InvariantRunRow).where(InvariantRunRow.at < before))
