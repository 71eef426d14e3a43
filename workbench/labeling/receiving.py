"""Answers come back: polled, judged, stored with everything that counts on them in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy.orm import Session

from integrations.label_studio.errors import LabelStudioRejected
from integrations.label_studio.interface import LabelStudio, TaskAnswers, TaskStamp
from integrations.label_studio.label_config import parse
from workbench.labeling import store
from workbench.labeling.copies import settle_copies
from workbench.labeling.domain import LaneState, VisitState
from workbench.labeling.hints import forget_hints, hints_of
from workbench.labeling.judging import LaneContext, blind_answers, judge_task
from workbench.labeling.lanes import client_of
from workbench.labeling.life import check_answers, check_tasks_gone, raise_marks, seen_in
from workbench.labeling.tables import LaneRow, VisitRow
from workbench.labeling.visits import send_again
from workbench.outside import Outside
from workbench.people.accounts import adopt_accounts
from workbench.people.store import accounts_in_pool, find_pool, find_server, persons_by_account, rate_cards_of
from workbench.people.tables import ServerRow
from workbench.projects.store import label_values, project_by_id
from workbench.tallies.domain import ItemAnswers, Rate, Status
from workbench.tallies.service import record_annotations

# The server stamps a change before it commits it, so a later look may find an earlier stamp.
OVERLAP = timedelta(seconds=10)
TASKS_A_STEP = 300
RESTORED = (
    "a task of this lane now belongs to another item: Label Studio seems to have been restored from an older "
    "state. Answers to such tasks are left unread; compare the two, then start a new lane."
)
_NOT_FOUND = 404


def read_lane(outside: Outside, lane_id: int) -> dict[str, Any]:
    """Read what changed in a lane since the last look, oldest change first, a chunk at a time."""
    with outside.db.read() as session:
        lane = store.find_lane(session, lane_id)
        server = find_server(session, lane.server_id)
    if lane.ls_project_id is None:
        return {"read": 0, "more": False}
    client = client_of(outside, server)
    since = lane.read_up_to - OVERLAP if lane.read_up_to else None
    stamps = client.changed_tasks(lane.ls_project_id, since)
    with outside.db.read() as session:
        visits = store.visits_by_task(session, lane_id, [stamp.task_id for stamp in stamps])
    fresh = [
        stamp
        for stamp in stamps
        if (visit := visits.get(stamp.task_id)) and visit.ls_updated_at != stamp.updated_at
    ]
    chunk = fresh[:TASKS_A_STEP]
    answers = client.read_tasks(lane.ls_project_id, [stamp.task_id for stamp in chunk]) if chunk else []
    check_answers(outside, client, lane, answers)
    unknown = _unknown_accounts(outside, server, answers)
    if unknown:
        adopt_accounts(outside, server.id, client.members())
    # The mark only goes as far as what has been read; strangers' tasks don't hold it back.
    mark = (
        chunk[-1].updated_at if len(chunk) < len(fresh) else max((s.updated_at for s in stamps), default=None)
    )
    with outside.db.write(project=lane.project_id) as session:
        withdrawn = _receive(outside, session, lane_id, chunk, answers)
        raise_marks(outside, session, server, seen_in(answers))
        row = store.find_lane(session, lane_id)
        if mark is not None and (row.read_up_to is None or mark > row.read_up_to):
            row.read_up_to = mark
        row.synced_at = outside.now()
    for task_id in withdrawn:
        _unless_gone(client.close_task, task_id)
    return {"read": len(chunk), "more": len(chunk) < len(fresh)}


def read_hinted(outside: Outside, lane_id: int) -> dict[str, Any]:
    """Read the tasks that the server told something about, and only those; what it told is not believed."""
    with outside.db.read() as session:
        lane = store.find_lane(session, lane_id)
        server = find_server(session, lane.server_id)
        hints = hints_of(session, lane_id, TASKS_A_STEP)
        visits = store.visits_by_task(session, lane_id, [hint.ls_task_id for hint in hints])
    client = client_of(outside, server)
    answers = client.read_tasks(lane.ls_project_id or 0, sorted(visits)) if visits else []
    check_answers(outside, client, lane, answers)
    if _unknown_accounts(outside, server, answers):
        adopt_accounts(outside, server.id, client.members())
    stamps = [TaskStamp(task.task_id, task.updated_at, task.visit_key) for task in answers]
    with outside.db.write(project=lane.project_id) as session:
        withdrawn = _receive(outside, session, lane_id, stamps, answers)
        raise_marks(outside, session, server, seen_in(answers))
        forget_hints(session, hints)
    for task_id in withdrawn:
        _unless_gone(client.close_task, task_id)
    return {"read": len(answers), "hints": len(hints)}


def reopen_tasks(outside: Outside, lane_id: int) -> dict[str, int]:
    """Put back into the queue what the server thinks is done but still wants an answer."""
    with outside.db.read() as session:
        lane = store.find_lane(session, lane_id)
        server = find_server(session, lane.server_id)
        visits = store.visits_in(session, lane_id, VisitState.REOPEN)
        given = store.annotations_of_items(session, [visit.item_id for visit in visits])
    client = client_of(outside, server)
    for visit in visits:
        rows = [
            row for row in given.get(visit.item_id, []) if row.visit_id == visit.id and not row.deleted_at
        ]
        usable = sum(row.status in {Status.COUNTED, Status.ABOVE_OVERLAP} for row in rows)
        here = [row for row in rows if row.ls_task_id in {None, visit.ls_task_id}]
        shown = sum(row.status != Status.SKIPPED for row in here)
        if visit.ls_task_id is not None:
            _unless_gone(client.reopen_task, visit.ls_task_id, shown + max(visit.overlap - usable, 1))
        with outside.db.write(project=lane.project_id) as session:
            store.set_visits(session, [visit.id], only_in=[VisitState.REOPEN], state=VisitState.IN_LANE)
    return {"reopened": len(visits)}


def _unless_gone(change: Callable[..., None], *arguments: int) -> None:
    try:
        change(*arguments)
    except LabelStudioRejected as problem:
        # A task that was deleted is found, and sent again, by the next comparison.
        if problem.status != _NOT_FOUND:
            raise


def compare_lane(outside: Outside, lane_id: int) -> dict[str, int]:
    """Find tasks that were deleted in Label Studio; their visits are queued again, answers given are kept."""
    with outside.db.read() as session:
        lane = store.find_lane(session, lane_id)
        server = find_server(session, lane.server_id)
        open_visits = [
            visit
            for state in (VisitState.IN_LANE, VisitState.REOPEN)
            for visit in store.visits_in(session, lane_id, state)
        ]
    if lane.ls_project_id is None:
        return {"lost": 0}
    client = client_of(outside, server)
    stamps = client.changed_tasks(lane.ls_project_id, None)
    there = {stamp.task_id for stamp in stamps}
    lost = [visit for visit in open_visits if visit.ls_task_id not in there]
    check_tasks_gone(outside, client, lane, [visit.ls_task_id or 0 for visit in lost], there)
    read_again = _check_older(outside, client, lane, stamps)
    settle_copies(outside, client, lane_id, lane.ls_project_id, there)
    now = outside.now()
    with outside.db.write(project=lane.project_id) as session:
        send_again(session, lost, "its task was deleted in Label Studio; it will be sent again", now)
        row = store.find_lane(session, lane_id)
        row.compared_at = now
        if read_again:
            row.read_up_to = None
    return {"lost": len(lost)}


def _check_older(outside: Outside, client: LabelStudio, lane: LaneRow, stamps: Sequence[TaskStamp]) -> bool:
    """Whether tasks changed before what we have seen of them: a clock was set back, or (raised) a restore."""
    with outside.db.read() as session:
        visits = store.visits_by_task(session, lane.id, [stamp.task_id for stamp in stamps])
    older = [
        stamp.task_id
        for stamp in stamps
        if (visit := visits.get(stamp.task_id))
        and visit.ls_updated_at is not None
        and stamp.updated_at < visit.ls_updated_at
    ]
    for start in range(0, len(older), TASKS_A_STEP):
        chunk = older[start : start + TASKS_A_STEP]
        check_answers(outside, client, lane, client.read_tasks(lane.ls_project_id or 0, chunk))
    if older:
        with outside.db.write(project=lane.project_id) as session:
            store.set_visits(session, [visits[task_id].id for task_id in older], ls_updated_at=None)
    # What was given while the server's clock was set back: newer than what we saw, older than where we stand.
    stands = lane.read_up_to - OVERLAP if lane.read_up_to else None
    missed = stands is not None and any(
        stamp.updated_at < stands
        and (visit := visits.get(stamp.task_id))
        and visit.ls_updated_at != stamp.updated_at
        for stamp in stamps
    )
    return bool(older) or missed


def _unknown_accounts(outside: Outside, server: ServerRow, answers: Sequence[TaskAnswers]) -> set[int]:
    accounts = {annotation.completed_by for task in answers for annotation in task.annotations}
    with outside.db.read() as session:
        return accounts - set(persons_by_account(session, server.id, sorted(accounts)))


def _context(outside: Outside, session: Session, lane_id: int, answers: Sequence[TaskAnswers]) -> LaneContext:
    lane = store.find_lane(session, lane_id)
    project = project_by_id(session, lane.project_id)
    pool = find_pool(session, lane.pool_id)
    now = outside.now()
    accounts = sorted({annotation.completed_by for task in answers for annotation in task.annotations})
    return LaneContext(
        project=project,
        server=find_server(session, lane.server_id),
        row=lane,
        config=parse(project.label_config),
        labels=label_values(session, project.id),
        rates=[
            Rate(card.id, card.unit, card.price, card.currency, rank, card.valid_from, card.valid_to)
            for rank, card in rate_cards_of(session, project.id, pool)
        ],
        persons=persons_by_account(session, lane.server_id, accounts),
        pool=frozenset(accounts_in_pool(session, lane.pool_id, lane.server_id)),
        now=now,
    )


def _receive(
    outside: Outside,
    session: Session,
    lane_id: int,
    stamps: Sequence[TaskStamp],
    answers: Sequence[TaskAnswers],
) -> list[int]:
    """Judge and store what was read; returns tasks that nobody should be asked any more."""
    context = _context(outside, session, lane_id, answers)
    visits = store.visits_by_task(session, lane_id, [task.task_id for task in answers])
    stamped = {stamp.task_id: stamp.updated_at for stamp in stamps}
    item_ids = [visit.item_id for visit in visits.values()]
    before = blind_answers(session, item_ids)
    items_named = _items_named(session, lane_id, answers)
    withdrawn = []
    for task in answers:
        visit = visits.get(task.task_id)
        if visit is not None and items_named.get(task.visit_key or "", visit.item_id) != visit.item_id:
            lane = store.find_lane(session, lane_id)
            lane.state, lane.problem = LaneState.SUSPECT, RESTORED
        elif visit is not None:
            judge_task(outside, session, context, visit, task.annotations, is_labeled=task.is_labeled)
            visit.ls_updated_at = stamped[task.task_id]
            if not task.is_labeled and _is_over(session, visit):
                withdrawn.append(task.task_id)
    session.flush()
    _record(session, context, before, item_ids)
    return withdrawn


def _is_over(session: Session, visit: VisitRow) -> bool:
    """Whether nobody need be asked, though the server asks: sent elsewhere, or answered before a restore."""
    if visit.state in {VisitState.WITHDRAWN, VisitState.RECALLED}:
        return True
    given = store.annotations_of_items(session, [visit.item_id]).get(visit.item_id, [])
    return visit.state == VisitState.ANSWERED and any(
        row.visit_id == visit.id and row.epoch != visit.epoch and row.deleted_at is None for row in given
    )


def _items_named(session: Session, lane_id: int, answers: Sequence[TaskAnswers]) -> dict[str, int]:
    """Which item each task says it shows; 0 where the lane knows no such visit."""
    keys = [task.visit_key for task in answers if task.visit_key]
    named = store.visits_by_key(session, lane_id, keys)
    return {key: named[key].item_id if key in named else 0 for key in keys}


def _record(
    session: Session,
    context: LaneContext,
    before: dict[int, tuple[tuple[int, str], ...]],
    item_ids: Sequence[int],
) -> None:
    session.flush()
    after = blind_answers(session, item_ids)
    record_annotations(
        session,
        context.project.id,
        context.changes,
        [ItemAnswers(before.get(item_id, ()), after.get(item_id, ())) for item_id in set(item_ids)],
        labels=context.labels,
        rates=context.rates,
        lead_time_cap_s=context.project.lead_time_cap_s,
        now=context.now,
    )
