"""I4, I5: what Label Studio has is what we have, lane by lane, task by task, answer by answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from integrations.errors import IntegrationError
from integrations.label_studio.interface import LabelStudio, TaskAnswers
from workbench.invariants.domain import MOST_SHOWN, Collected, Found
from workbench.labeling.domain import LaneState, VisitState
from workbench.labeling.lanes import client_of
from workbench.labeling.store import item_with_key, visits_by_key
from workbench.labeling.tables import AnnotationRow, LaneRow, VisitRow
from workbench.outside import Outside
from workbench.people.tables import ServerRow

_UNSENT = (VisitState.QUEUED, VisitState.PUSHING, VisitState.REFUSED)
_OPEN = (VisitState.IN_LANE, VisitState.REOPEN)
_JUDGED = frozenset({LaneState.WANTED, LaneState.READY, LaneState.BROKEN})
TASKS_A_LANE = 2000
"""Tasks of one lane whose answers are compared; the newest, where there are more."""
_PAGE = 100


@dataclass(frozen=True)
class _Lane:
    row: LaneRow
    epoch: int
    ls_project_id: int
    client: LabelStudio


def tasks(session: Session, outside: Outside) -> Found:
    """I4: the tasks of a lane in Label Studio are the visits we have sent there, each once.

    A task that carries none of our keys is somebody's own and left alone; one that somebody deleted after it
    was answered leaves its answers here. A visit that is being sent is I3's.
    """
    seen = Collected()
    for lane in _lanes(session, outside, seen):
        try:
            there = lane.client.task_ids(lane.ls_project_id)
            known = {number for number in _sent(session, lane) if number in there}
            strangers = lane.client.read_tasks(lane.ls_project_id, sorted(there - known)[:MOST_SHOWN])
        except IntegrationError as problem:
            seen.left_out = f"lane {lane.row.id}: {problem}"
            continue
        seen.checked += len(there)
        _compare_tasks(session, lane, there, strangers, seen)
    _asked_twice(session, seen)
    return seen.found()


def _sent(session: Session, lane: _Lane) -> dict[int, Any]:
    """Visits of a lane by the task that they became."""
    rows = session.execute(
        select(VisitRow.id, VisitRow.item_id, VisitRow.state, VisitRow.ls_task_id).where(
            VisitRow.lane_id == lane.row.id,
            VisitRow.ls_task_id.is_not(None),
            VisitRow.state.not_in(_UNSENT),
        )
    )
    return {row.ls_task_id: row for row in rows}


def _lanes(session: Session, outside: Outside, seen: Collected) -> Iterator[_Lane]:
    """Lanes that can be compared: a frozen one waits for a person."""
    rows = session.execute(
        select(LaneRow, ServerRow)
        .join(ServerRow, ServerRow.id == LaneRow.server_id)
        .where(LaneRow.ls_project_id.is_not(None))
        .order_by(LaneRow.id)
    ).all()
    clients: dict[int, LabelStudio] = {}
    for lane, server in rows:
        if lane.state not in _JUDGED:
            seen.left_out = f"lane {lane.id} is {lane.state}: a person has to decide about it first"
            continue
        if server.id not in clients:
            clients[server.id] = client_of(outside, server)
        yield _Lane(lane, server.epoch, lane.ls_project_id or 0, clients[server.id])


def _compare_tasks(
    session: Session, lane: _Lane, there: set[int], strangers: Sequence[TaskAnswers], seen: Collected
) -> None:
    remedy = "the next comparison of the lane mends this; if it stays, a worker is not running"
    ours = visits_by_key(session, lane.row.id, [one.visit_key for one in strangers if one.visit_key])
    shown = {sent.item_id for number, sent in _sent(session, lane).items() if number in there}
    for task in strangers:
        visit = ours.get(task.visit_key or "")
        if visit is not None:
            item_id = visit.item_id if visit.state != VisitState.PUSHING else None
        else:
            # Sent by us and forgotten, as after a restore of this database, or copied by a member.
            item = item_with_key(session, lane.row.project_id, task.item_key or "")
            item_id = item.id if item is not None and item.id in shown else None
        if item_id is not None:
            sentence = f"task {task.task_id} of lane {lane.row.id} shows item {item_id} once more"
            seen.add(f"task:{lane.row.id}:{task.task_id}", "shown_twice", sentence, remedy)
    for task_id, sent in _sent(session, lane).items():
        if task_id not in there and sent.state in _OPEN:
            sentence = f"visit {sent.id} waits in lane {lane.row.id}, whose task {task_id} is gone"
            seen.add(f"visit:{sent.id}", "task_gone", sentence, remedy)


def _asked_twice(session: Session, seen: Collected) -> None:
    open_states = (VisitState.QUEUED, VisitState.PUSHING, *_OPEN)
    same = (VisitRow.item_id, VisitRow.purpose, VisitRow.round)
    twice = select(*same).where(VisitRow.state.in_(open_states)).group_by(*same).having(func.count() > 1)
    for item_id, purpose, number in session.execute(twice.limit(MOST_SHOWN)):
        sentence = f"item {item_id} waits in two lanes for the same purpose ({purpose}, round {number})"
        seen.add(f"item:{item_id}", "asked_twice", sentence, "take one of its tasks back on the item's page")


def answers(session: Session, outside: Outside) -> Found:
    """I5: every answer there is here as it stands there; what was deleted there is struck out here."""
    seen = Collected()
    same = (AnnotationRow.server_id, AnnotationRow.epoch, AnnotationRow.ls_annotation_id)
    for _, _, number in session.execute(
        select(*same).group_by(*same).having(func.count() > 1).limit(MOST_SHOWN)
    ):
        seen.add(f"annotation:{number}", "doubled", f"Label Studio's annotation {number} is here twice", "")
    for lane in _lanes(session, outside, seen):
        visits = {
            visit.ls_task_id: visit
            for visit in session.scalars(
                select(VisitRow)
                .where(
                    VisitRow.lane_id == lane.row.id,
                    VisitRow.ls_task_id.is_not(None),
                    VisitRow.state.not_in(_UNSENT),
                )
                .order_by(VisitRow.id.desc())
                .limit(TASKS_A_LANE)
            )
        }
        ids = [task_id for task_id in visits if task_id is not None]
        for start in range(0, len(ids), _PAGE):
            page = ids[start : start + _PAGE]
            try:
                found = lane.client.read_tasks(lane.ls_project_id, page)
            except IntegrationError as problem:
                seen.left_out = f"lane {lane.row.id}: {problem}"
                break
            kept = _kept(session, lane.row.id, page)
            _compare_items(session, lane, visits, found, seen)
            for task in found:
                _compare_answers(lane, task, kept.get(task.task_id, {}), seen)
    return seen.found()


def _compare_items(
    session: Session, lane: _Lane, visits: dict[int | None, VisitRow], found: Sequence[Any], seen: Collected
) -> None:
    named = visits_by_key(session, lane.row.id, [task.visit_key for task in found if task.visit_key])
    for task in found:
        other = named.get(task.visit_key or "")
        if other is not None and other.item_id != visits[task.task_id].item_id:
            sentence = (
                f"task {task.task_id} of lane {lane.row.id} belongs to another item than the one we sent"
            )
            remedy = "Label Studio seems restored from an older state: open the lane's page"
            seen.add(f"task:{lane.row.id}:{task.task_id}", "another_item", sentence, remedy)


def _kept(session: Session, lane_id: int, task_ids: Sequence[int]) -> dict[int, dict[int, AnnotationRow]]:
    kept: dict[int, dict[int, AnnotationRow]] = {}
    rows = session.scalars(
        select(AnnotationRow)
        .join(VisitRow, VisitRow.id == AnnotationRow.visit_id)
        .where(
            VisitRow.lane_id == lane_id,
            AnnotationRow.ls_task_id.in_(task_ids),
            AnnotationRow.epoch == VisitRow.epoch,
            # In a new epoch the number may be another task's.
            AnnotationRow.ls_task_id == VisitRow.ls_task_id,
        )
    )
    for row in rows:
        kept.setdefault(row.ls_task_id or 0, {})[row.ls_annotation_id] = row
    return kept


def _compare_answers(lane: _Lane, task: Any, kept: dict[int, AnnotationRow], seen: Collected) -> None:
    remedy = "the next reading of the lane mends this; if it stays, a worker is not running"
    there = {one.annotation_id: one for one in task.annotations}
    seen.checked += len(there)
    for number, one in there.items():
        row = kept.get(number)
        where = f"annotation:{lane.row.server_id}:{number}"
        name = f"annotation {number} on task {task.task_id} of lane {lane.row.id}"
        if row is None:
            seen.add(where, "unread", f"{name} is not here", remedy)
        elif row.deleted_at is not None:
            seen.add(where, "struck_out", f"{name} is struck out here, but still there", remedy)
        elif row.ls_updated_at != one.updated_at or row.result != (one.result or []):
            seen.add(where, "other_words", f"{name} says something else there than here", remedy)
    for number, row in kept.items():
        if number not in there and row.deleted_at is None:
            sentence = f"annotation {number} on task {task.task_id} was deleted there and still counts here"
            seen.add(f"annotation:{lane.row.server_id}:{number}", "not_struck_out", sentence, remedy)
