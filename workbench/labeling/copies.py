"""Second copies of a task: a push that was given up may still take effect in the server, long after."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import structlog
from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from integrations.label_studio.interface import LabelStudio, TaskAnswers
from workbench.labeling import store
from workbench.labeling.domain import VisitState
from workbench.labeling.tables import VisitRow
from workbench.outside import Outside

log = structlog.get_logger(__name__)

# A request may wait so long in a server that is overloaded.
LATE = timedelta(minutes=10)


def sent_lately(outside: Outside, session: Session, lane_id: int) -> bool:
    """Whether something was sent to the lane so lately that a copy of it may still turn up."""
    found = exists().where(VisitRow.lane_id == lane_id, VisitRow.pushed_at > outside.now() - LATE)
    return bool(session.scalar(select(found)))


def settle_copies(
    outside: Outside, client: LabelStudio, lane_id: int, ls_project_id: int, there: set[int]
) -> int:
    """How many visits had a second task; one with answers is never removed and gets a visit of its own.

    Args:
        outside: The outside world.
        client: The lane's server.
        lane_id: The lane.
        ls_project_id: Its Label Studio project.
        there: All tasks that the server has in it.
    """
    with outside.db.read() as session:
        strangers = there - store.tasks_of(session, lane_id)
    found = client.read_tasks(ls_project_id, sorted(strangers)) if strangers else []
    with outside.db.read() as session:
        visits = store.visits_by_key(session, lane_id, [task.visit_key for task in found if task.visit_key])
    copies = [
        (visits[task.visit_key], task)
        for task in found
        if task.visit_key in visits and visits[task.visit_key].state != VisitState.PUSHING
    ]
    own = (
        {
            task.task_id: task
            for task in client.read_tasks(
                ls_project_id, [visit.ls_task_id for visit, _ in copies if visit.ls_task_id is not None]
            )
        }
        if copies
        else {}
    )
    extra: list[int] = []
    with outside.db.write() as session:
        for visit, copy in copies:
            extra.extend(_settle(outside, session, visit.id, copy, own.get(visit.ls_task_id or 0)))
        if copies:
            store.find_lane(session, lane_id).read_up_to = None
    if extra:
        client.delete_tasks(ls_project_id, extra)
    return len(copies)


def _settle(
    outside: Outside, session: Session, visit_id: int, copy: TaskAnswers, own: TaskAnswers | None
) -> Sequence[int]:
    """Choose the task that stays; returns those to remove."""
    visit = session.get_one(VisitRow, visit_id)
    if visit.state == VisitState.QUEUED:
        # It was given up and not sent again yet: what has come after all is looked up like any push.
        visit.state, visit.push_started_at = VisitState.PUSHING, outside.now()
        return []
    if own is None:
        return []
    if not copy.annotations:
        return [copy.task_id]
    if not own.annotations:
        visit.ls_task_id, visit.ls_updated_at = copy.task_id, None
        return [own.task_id]
    log.warning("a visit has two answered tasks", visit=visit.public_id, task=copy.task_id)
    session.add(_further_visit(outside, session, visit, copy))
    return []


def _further_visit(outside: Outside, session: Session, visit: VisitRow, copy: TaskAnswers) -> VisitRow:
    """A visit of its own for a copy that people answered: kept and paid, nobody else is asked."""
    same = (
        VisitRow.item_id == visit.item_id,
        VisitRow.purpose == visit.purpose,
        VisitRow.round == visit.round,
    )
    last = session.scalar(select(func.max(VisitRow.attempt)).where(*same)) or visit.attempt
    kept = {
        column.key: getattr(visit, column.key)
        for column in VisitRow.__table__.columns
        if column.key not in {"id", "public_id", "ls_updated_at", "answered_at"}
    }
    return VisitRow(
        **kept
        | {
            "public_id": outside.new_id(),
            "attempt": last + 1,
            "state": VisitState.WITHDRAWN,
            "ls_task_id": copy.task_id,
        }
    )
