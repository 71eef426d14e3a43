"""Second copies of a task: a push that was given up may still take effect in the server, long after."""

from __future__ import annotations

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
    given_up = [visit.id for visit, _ in copies if visit.state == VisitState.QUEUED]
    copies = [(visit, task) for visit, task in copies if visit.state != VisitState.QUEUED]
    with outside.db.write() as session:
        for visit, copy in copies:
            _settle(outside, session, visit.id, copy)
        # What was given up and not sent again yet is looked up like any push.
        store.set_visits(session, given_up, state=VisitState.PUSHING, push_started_at=outside.now())
        if copies:
            store.find_lane(session, lane_id).read_up_to = None
    unanswered = [copy for _, copy in copies if not copy.annotations]
    # Somebody may have it on the screen just now: it is taken out of the queue first, removed the next time.
    for copy in unanswered:
        if not copy.is_labeled:
            client.close_task(copy.task_id)
    closed = [copy.task_id for copy in unanswered if copy.is_labeled]
    if closed:
        client.delete_tasks(ls_project_id, closed)
    return len(copies)


def _settle(outside: Outside, session: Session, visit_id: int, copy: TaskAnswers) -> None:
    visit = session.get_one(VisitRow, visit_id)
    if copy.annotations:
        log.warning("a visit has two tasks", visit=visit.public_id, task=copy.task_id)
        session.add(_further_visit(outside, session, visit, copy))


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
