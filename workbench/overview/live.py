"""What changes when a project's page is no longer current."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from workbench.items.tables import ItemCountRow
from workbench.jobs.tables import JobRow
from workbench.outside import Outside
from workbench.projects.tables import ProjectRow
from workbench.tallies.tables import CostTallyRow, HourTallyRow


def version(outside: Outside, project_id: int) -> tuple[object, ...]:
    """A value that differs once anything on the project's overview does; cheap to ask each second."""
    with outside.db.read() as session:
        return (*_counts(session, project_id), *_jobs(session, project_id))


def _counts(session: Session, project_id: int) -> tuple[object, ...]:
    states = session.execute(
        select(ItemCountRow.state, ItemCountRow.items)
        .where(ItemCountRow.project_id == project_id)
        .order_by(ItemCountRow.state)
    ).all()
    hours = session.execute(
        select(func.sum(HourTallyRow.annotations), func.sum(HourTallyRow.resolved), func.count()).where(
            HourTallyRow.project_id == project_id
        )
    ).one()
    entries = session.scalar(
        select(func.sum(CostTallyRow.entries)).where(CostTallyRow.project_id == project_id)
    )
    state = session.scalar(select(ProjectRow.state).where(ProjectRow.id == project_id))
    return tuple(map(tuple, states)), tuple(hours), entries, state


def _jobs(session: Session, project_id: int) -> tuple[object, ...]:
    rows = session.execute(
        select(JobRow.id, JobRow.state, JobRow.done, JobRow.total, JobRow.message)
        .where(JobRow.project_id == project_id, JobRow.kind != "sync")
        .order_by(JobRow.created_at.desc())
        .limit(10)
    )
    return tuple(tuple(row) for row in rows)
