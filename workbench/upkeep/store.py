"""Queries on chores: which night's is done, and who does it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from workbench.upkeep.domain import Chore, ChoreState
from workbench.upkeep.tables import ChoreRow


def last_due(session: Session, chore: Chore) -> datetime | None:
    """The newest moment of which it is known what became of the chore."""
    return session.scalar(select(func.max(ChoreRow.due_at)).where(ChoreRow.name == chore))


def begin(session: Session, chore: Chore, due_at: datetime, now: datetime) -> bool:
    """Note that the chore of a night begins; False where somebody did it, or gave it up, before."""
    row = session.get(ChoreRow, (chore, due_at))
    if row is not None and row.state != ChoreState.RUNNING:
        return False
    if row is None:
        session.add(ChoreRow(name=chore, due_at=due_at, state=ChoreState.RUNNING, started_at=now, problem=""))
        session.flush()
    return True


def end(
    session: Session,
    chore: Chore,
    due_at: datetime,
    state: ChoreState,
    now: datetime,
    *,
    outcome: dict[str, Any] | None = None,
    problem: str = "",
) -> None:
    """Note how the chore of a night ended; also for one that nobody began."""
    row = session.get(ChoreRow, (chore, due_at))
    if row is None:
        row = ChoreRow(name=chore, due_at=due_at, problem="")
        session.add(row)
    row.state, row.finished_at, row.outcome, row.problem = state, now, outcome, problem
    session.flush()


def newest(session: Session, chore: Chore) -> ChoreRow | None:
    """The chore's newest night, whatever became of it."""
    return session.scalar(
        select(ChoreRow).where(ChoreRow.name == chore).order_by(ChoreRow.due_at.desc()).limit(1)
    )
