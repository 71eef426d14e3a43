"""The drain: what servers told becomes tasks to read again, and nothing more."""

from __future__ import annotations

from datetime import timedelta

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from workbench.db.upsert import replace_rows
from workbench.inbox import store as inbox
from workbench.inbox.domain import MOST_TRIES, Hint, NotAHint, read_hint, try_again_after
from workbench.inbox.service import DEAD_LETTER
from workbench.inbox.tables import DeliveryRow
from workbench.incidents.store import report_incident
from workbench.labeling.domain import LaneState
from workbench.labeling.tables import AnnotationRow, LaneHintRow, LaneRow
from workbench.outside import Outside
from workbench.people.store import find_server

log = structlog.get_logger(__name__)

AT_ONCE = 1_000
WHOLE_LANE = 0
"""In place of a task: look at the lane itself."""


def drain(outside: Outside, limit: int = AT_ONCE) -> int:
    """How many deliveries were handled: each makes its lane due, none is believed."""
    now = outside.now()
    with outside.db.read() as session:
        waiting = inbox.waiting_deliveries(session, now, limit)
    if not waiting:
        return 0
    hints = [(row, _read(row)) for row in waiting]
    with outside.db.write() as session:
        handled = [
            row.id for row, hint in hints if isinstance(hint, Hint) and _take(outside, session, row, hint)
        ]
        inbox.mark_handled(session, handled, now)
        done = set(handled)
        for row, hint in hints:
            if row.id not in done:
                problem = hint if isinstance(hint, str) else "no lane of this server has the project it names"
                _put_back(outside, session, row.id, problem)
    return len(waiting)


def _read(row: DeliveryRow) -> Hint | str:
    try:
        return read_hint(row.body)
    except NotAHint as odd:
        return str(odd)


def _take(outside: Outside, session: Session, row: DeliveryRow, hint: Hint) -> bool:
    """Make the lane due; False where no lane is meant."""
    lane = session.scalar(
        select(LaneRow).where(LaneRow.server_id == row.server_id, LaneRow.ls_project_id == hint.ls_project_id)
    )
    if lane is None:
        return False
    tasks = set(hint.task_ids)
    if hint.annotation_ids:
        server = find_server(session, row.server_id)
        known = session.scalars(
            select(AnnotationRow.ls_task_id).where(
                AnnotationRow.server_id == server.id,
                AnnotationRow.epoch == server.epoch,
                AnnotationRow.ls_annotation_id.in_(hint.annotation_ids),
            )
        )
        tasks |= {task_id for task_id in known if task_id is not None}
    if hint.is_deletion:
        lane.compared_at = None
    if hint.is_about_lane:
        lane.checked_at = None
    if hint.is_deletion or hint.is_about_lane or not tasks:
        tasks.add(WHOLE_LANE)
    rows = [
        {"lane_id": lane.id, "ls_task_id": task_id, "hinted_at": outside.now()} for task_id in sorted(tasks)
    ]
    replace_rows(session, LaneHintRow, rows, keys=("lane_id", "ls_task_id"), values=("hinted_at",))
    return True


def _put_back(outside: Outside, session: Session, delivery_id: int, problem: str) -> None:
    """Let a delivery that could not be handled wait; the fifth time it is a dead letter, and told."""
    row = session.get_one(DeliveryRow, delivery_id)
    row.tries += 1
    row.problem = problem
    now = outside.now()
    if row.tries < MOST_TRIES:
        row.retry_at = now + try_again_after(row.tries)
        return
    row.dead_at = now
    server = find_server(session, row.server_id)
    log.warning("a webhook delivery could not be handled", server=server.name, problem=problem)
    report_incident(
        session,
        DEAD_LETTER,
        f"server:{row.server_id}",
        f"Label Studio `{server.name}` sent what could not be handled: {problem}. Nothing is lost by this: "
        "answers are read from the server itself.",
        now=now,
        remedy="Look at the server's page; put the letters aside when you know what they are.",
    )


def tidy_inbox(outside: Outside) -> int:
    """How many old handled deliveries were forgotten."""
    before = outside.now() - timedelta(days=outside.settings.inbox_days)
    with outside.db.write() as session:
        return inbox.forget_handled(session, before)


def hinted_projects(session: Session) -> set[int]:
    """Projects with a lane that something was told about."""
    rows = session.scalars(
        select(LaneRow.project_id)
        .join(LaneHintRow, LaneHintRow.lane_id == LaneRow.id)
        .where(LaneRow.state != LaneState.FROZEN)
        .distinct()
    )
    return set(rows)


def hints_of(session: Session, lane_id: int, limit: int) -> list[LaneHintRow]:
    """What was told about a lane, oldest first."""
    return list(
        session.scalars(
            select(LaneHintRow)
            .where(LaneHintRow.lane_id == lane_id)
            .order_by(LaneHintRow.hinted_at, LaneHintRow.ls_task_id)
            .limit(limit)
        )
    )


def is_hinted(session: Session, lane_id: int) -> bool:
    """Whether something was told about a lane."""
    return bool(hints_of(session, lane_id, 1))


def forget_hints(session: Session, hints: list[LaneHintRow]) -> None:
    """They were looked into; one that was told again meanwhile stays."""
    for hint in hints:
        row = session.get(LaneHintRow, (hint.lane_id, hint.ls_task_id))
        if row is not None and row.hinted_at == hint.hinted_at:
            session.delete(row)
