"""Second copies of a task: a push that was given up may still take effect in the server, long after."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import structlog
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from integrations.label_studio.interface import LabelStudio, TaskAnswers
from workbench.incidents.store import heal_incident, open_incident, report_incident
from workbench.items.domain import Purpose
from workbench.items.tables import ItemRow
from workbench.labeling import store
from workbench.labeling.domain import VisitState
from workbench.labeling.tables import VisitRow
from workbench.outside import Outside
from workbench.people.store import find_server

log = structlog.get_logger(__name__)

UNKNOWN_TASKS = "unknown_tasks"


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
        lane = store.find_lane(session, lane_id)
        strangers = there - store.tasks_of(session, lane_id)
    found = client.read_tasks(ls_project_id, sorted(strangers)) if strangers else []
    left_over = adopt_keys(outside, lane_id, found)
    with outside.db.read() as session:
        visits = store.visits_by_key(session, lane_id, [task.visit_key for task in found if task.visit_key])
    copies = [
        (visits[task.visit_key], task)
        for task in found
        if task.visit_key in visits
        and visits[task.visit_key].state != VisitState.PUSHING
        # One whose own was forgotten and has just been given a visit is no copy.
        and visits[task.visit_key].ls_task_id != task.task_id
    ]
    given_up = [visit.id for visit, _ in copies if visit.state == VisitState.QUEUED]
    copies = [(visit, task) for visit, task in copies if visit.state != VisitState.QUEUED]
    with outside.db.write(project=lane.project_id) as session:
        for visit, copy in copies:
            _settle(outside, session, visit.id, copy)
        # What was given up and not sent again yet is looked up like any push.
        store.set_visits(
            session,
            given_up,
            only_in=[VisitState.QUEUED],
            state=VisitState.PUSHING,
            push_started_at=outside.now(),
        )
        if copies:
            store.find_lane(session, lane_id).read_up_to = None
    unanswered = [copy for _, copy in copies if not copy.annotations] + left_over
    # Somebody may have it on the screen just now: it is taken out of the queue first, removed the next time.
    for copy in unanswered:
        if not copy.is_labeled:
            client.close_task(copy.task_id)
    closed = [copy.task_id for copy in unanswered if copy.is_labeled]
    if closed:
        client.delete_tasks(ls_project_id, closed)
    return len(copies)


def adopt_keys(outside: Outside, lane_id: int, found: Sequence[TaskAnswers]) -> list[TaskAnswers]:
    """Take over tasks that we sent and forgot: our database was restored from a back-up, the server is ahead.

    A visit that waits for the same item takes the task's key, so that it is found there and not sent again. A
    task with answers and no such visit gets a visit of its own. Returns tasks that nobody wants.
    """
    with outside.db.read() as session:
        lane = store.find_lane(session, lane_id)
        keys = [task.visit_key for task in found if task.visit_key and task.item_key]
        known = (
            set(session.scalars(select(VisitRow.public_id).where(VisitRow.public_id.in_(keys))))
            if keys
            else set()
        )
    forgotten = [task for task in found if task.visit_key and task.item_key and task.visit_key not in known]
    now = outside.now()
    if not forgotten:
        with outside.db.read() as session:
            is_told = open_incident(session, UNKNOWN_TASKS, f"lane:{lane_id}") is not None
        if is_told:
            with outside.db.write(project=lane.project_id) as session:
                _no_longer_unknown(session, lane_id, now)
        return []
    left_over = []
    with outside.db.write(project=lane.project_id) as session:
        server = find_server(session, lane.server_id)
        unknown = taken = 0
        for task in forgotten:
            item = store.item_with_key(session, lane.project_id, task.item_key or "")
            visit = store.waiting_visit(session, lane_id, item.id) if item else None
            if visit is not None:
                visit.public_id = task.visit_key or ""
                visit.state, visit.push_started_at, visit.epoch = VisitState.PUSHING, now, server.epoch
                taken += 1
            elif not task.annotations:
                left_over.append(task)
            elif item is None:
                unknown += 1
            else:
                session.add(_forgotten_visit(outside, session, lane_id, item, task, server.epoch))
                taken += 1
            session.flush()
        if unknown:
            report_incident(
                session,
                UNKNOWN_TASKS,
                f"lane:{lane_id}",
                f"lane `{lane.title}` has {unknown} answered tasks of items that are not known here: "
                "it was restored from a back-up made before they were imported",
                now=now,
                remedy="Import those items again; answers stay in Label Studio until you delete the tasks.",
                project_id=lane.project_id,
                supplier_id=lane.supplier_id,
            )
        else:
            _no_longer_unknown(session, lane_id, now)
        if taken:
            log.warning("tasks that we had forgotten were taken over", lane=lane_id, tasks=taken)
            store.find_lane(session, lane_id).read_up_to = None
    return left_over


def _no_longer_unknown(session: Session, lane_id: int, now: datetime) -> None:
    how = "all tasks that the lane has are of items known here"
    heal_incident(session, UNKNOWN_TASKS, f"lane:{lane_id}", how, now=now)


def _forgotten_visit(
    outside: Outside, session: Session, lane_id: int, item: ItemRow, task: TaskAnswers, epoch: int
) -> VisitRow:
    """A visit for answers whose own is lost: kept and paid, nobody else is asked."""
    lane = store.find_lane(session, lane_id)
    same = (VisitRow.item_id == item.id, VisitRow.purpose == Purpose.ORDINARY, VisitRow.round == item.round)
    last = session.scalar(select(func.max(VisitRow.attempt)).where(*same)) or 1
    return VisitRow(
        public_id=task.visit_key,
        project_id=lane.project_id,
        item_id=item.id,
        lane_id=lane_id,
        purpose=Purpose.ORDINARY,
        round=item.round,
        attempt=last + 1,
        show_suggestion=True,
        priority=50,
        overlap=lane.overlap,
        state=VisitState.WITHDRAWN,
        epoch=epoch,
        ls_task_id=task.task_id,
        created_at=outside.now(),
        pushed_at=outside.now(),
        supplier_id=lane.supplier_id,
    )


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
