"""Recall: items taken back from people, and sent elsewhere or back to the decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from integrations.label_studio.errors import LabelStudioRejected
from workbench.activity.store import record
from workbench.errors import InvalidInput, NotFound
from workbench.items.domain import ItemState, Purpose, Stage
from workbench.items.store import move_items, states_of
from workbench.items.tables import ItemRow
from workbench.labeling import store
from workbench.labeling.domain import VisitState
from workbench.labeling.lanes import client_of, ensure_lane
from workbench.labeling.sending import heal_refusals
from workbench.labeling.tables import LaneRow, VisitRow
from workbench.outside import Outside
from workbench.people.store import find_server, pool_with_key
from workbench.prelabeling.tables import PredictionRow
from workbench.projects.store import project_by_id

MOST_AT_ONCE = 5_000
HANDFUL = 200
GRACE = timedelta(minutes=10)
"""How long a recalled task stays, out of the queue, for whoever has it on the screen."""
_RECALLABLE = (VisitState.QUEUED, VisitState.IN_LANE, VisitState.REOPEN, VisitState.REFUSED)
_NOT_FOUND = 404
WITH_PEOPLE = (ItemState.QUEUED, ItemState.IN_LABELING)
"""Items that are with people, or on their way to them."""


@dataclass(frozen=True)
class Route:
    """Where recalled items go.

    Attributes:
        pool: Key of the pool that labels them instead; empty for none.
        stage: What is done there.
        to_decision: Let the policy decide once more, in a new round.
    """

    pool: str = ""
    stage: Stage = Stage.LABEL
    to_decision: bool = False


@dataclass(frozen=True)
class Recalled:
    """What a recall came to.

    Attributes:
        recalled: Items taken back.
        busy: Items being sent at this moment: try those again in a minute.
        left: Items with no open visit: nothing to take back.
    """

    recalled: int
    busy: int
    left: int


def recall(
    outside: Outside,
    session: Session,
    project_id: int,
    keys: Sequence[str],
    *,
    route: Route,
    by: str,
    reason: str = "",
) -> Recalled:
    """Take items back from people and send them where they should go; answers that came or come are kept.

    Args:
        outside: The clock and fresh ids.
        session: A writing session.
        project_id: Whose items.
        keys: Their opaque ids.
        route: Where they go.
        by: Who asks.
        reason: Why, for the item's history.

    Raises:
        InvalidInput: No items, too many, or a route to nowhere.
        NotFound: One of them is not an item of this project, or there is no such pool.
    """
    items = _checked(session, project_id, keys, route)
    pool = pool_with_key(session, route.pool) if route.pool else None
    project = project_by_id(session, project_id)
    sums = {"recalled": 0, "busy": 0, "left": 0}
    states = states_of(session, [item.id for item in items])
    taken: list[tuple[ItemRow, list[VisitRow]]] = []
    for item in items:
        visits = store.open_visits(session, item.id)
        if any(visit.state == VisitState.PUSHING for visit in visits):
            sums["busy"] += 1
            continue
        visits = [visit for visit in visits if visit.state in _RECALLABLE]
        is_undecidable = route.to_decision and not _has_prediction(session, item.id)
        if not visits or is_undecidable or states[item.id][1] not in WITH_PEOPLE:
            sums["left"] += 1
            continue
        taken.append((item, visits))
        _note(outside, session, item, visits, route, by)
    for _, visits in taken:
        for visit in visits:
            _take(visit)
    session.flush()
    why = reason.strip() or ("recalled for a new decision" if route.to_decision else f"sent to {route.pool}")
    move = partial(move_items, session, at=outside.now(), actor=by, reason=why)
    move([i.id for i, _ in taken if states[i.id][1] is ItemState.IN_LABELING], ItemState.QUEUED)
    if pool is not None:
        lasts = [max(visits, key=lambda visit: visit.id) for _, visits in taken]
        lanes = {
            overlap: ensure_lane(outside, session, project, pool.id, route.stage, overlap)
            for overlap in {last.overlap for last in lasts}
        }
        session.add_all(
            _next_visit(outside, session, last, lanes[last.overlap], route.stage) for last in lasts
        )
    else:
        for item, _ in taken:
            session.refresh(item)
            item.round += 1
        session.flush()
        move([item.id for item, _ in taken], ItemState.PREDICTED)
    heal_refusals(session, project_id, now=outside.now())
    return Recalled(**sums | {"recalled": len(taken)})


def recall_many(
    outside: Outside, project_id: int, keys: Sequence[str], *, route: Route, by: str, reason: str
) -> Recalled:
    """The same in handfuls, each in a transaction of its own: others are let in between."""
    with outside.db.read() as session:
        items = [item.public_id for item in _checked(session, project_id, keys, route)]
    sums = Recalled(0, 0, 0)
    for start in range(0, len(items), HANDFUL):
        some = items[start : start + HANDFUL]
        with outside.db.write(project=project_id) as session:
            done = recall(outside, session, project_id, some, route=route, by=by, reason=reason)
        sums = Recalled(sums.recalled + done.recalled, sums.busy + done.busy, sums.left + done.left)
    return sums


def _checked(session: Session, project_id: int, keys: Sequence[str], route: Route) -> list[ItemRow]:
    wanted = list(dict.fromkeys(keys))
    if not wanted or len(wanted) > MOST_AT_ONCE:
        raise InvalidInput(f"choose 1 to {MOST_AT_ONCE:,} items")
    if bool(route.pool) == route.to_decision:
        raise InvalidInput("say where they go: to a pool, or back to the decision")
    items = store.items_with_keys(session, project_id, wanted)
    if len(items) != len(wanted):
        raise NotFound(f"{len(wanted) - len(items)} of these are not items of this project")
    return items


def _note(
    outside: Outside, session: Session, item: ItemRow, visits: Sequence[VisitRow], route: Route, by: str
) -> None:
    record(
        session,
        at=outside.now(),
        actor=by,
        verb="item.rerouted" if route.pool else "item.recalled",
        about=f"item:{item.public_id}",
        project_id=item.project_id,
        before={
            "visits": [
                {"visit": visit.public_id, "lane": visit.lane_id, "state": visit.state} for visit in visits
            ]
        },
        after={
            "pool": route.pool,
            "stage": route.stage if route.pool else "",
            "to_decision": route.to_decision,
        },
    )


def words_of(done: Recalled, *, to_decision: bool) -> str:
    """What a recall came to, in a sentence or two."""
    said = f"{done.recalled:,} {'item' if done.recalled == 1 else 'items'} taken back."
    if done.busy:
        said += f" {done.busy:,} are being sent just now: try those again in a minute."
    if done.left:
        why = " or have no prediction to decide on" if to_decision else ""
        said += f" {done.left:,} were with nobody{why}, and stay where they are."
    return said


def _take(visit: VisitRow) -> None:
    if visit.ls_task_id is None:
        visit.state = VisitState.WITHDRAWN
    else:
        visit.state, visit.push_started_at = VisitState.RECALLED, None


def _has_prediction(session: Session, item_id: int) -> bool:
    return bool(
        session.scalar(select(PredictionRow.item_id).where(PredictionRow.item_id == item_id).limit(1))
    )


def _next_visit(outside: Outside, session: Session, last: VisitRow, lane: LaneRow, stage: Stage) -> VisitRow:
    purpose = Purpose.ADJUDICATION if stage is Stage.ADJUDICATE else Purpose(last.purpose)
    same = (VisitRow.item_id == last.item_id, VisitRow.purpose == purpose, VisitRow.round == last.round)
    attempt = (session.scalar(select(func.max(VisitRow.attempt)).where(*same)) or 0) + 1
    return VisitRow(
        public_id=outside.new_id(),
        project_id=last.project_id,
        item_id=last.item_id,
        lane_id=lane.id,
        decision_id=last.decision_id,
        model_version_id=last.model_version_id,
        guideline_version_id=last.guideline_version_id,
        purpose=purpose,
        round=last.round,
        attempt=attempt,
        show_suggestion=last.show_suggestion and stage is not Stage.ADJUDICATE,
        priority=last.priority,
        overlap=last.overlap,
        state=VisitState.QUEUED,
        epoch=0,
        created_at=outside.now(),
        supplier_id=lane.supplier_id,
    )


def recalled_now(outside: Outside, session: Session, lane_id: int) -> list[VisitRow]:
    """Recalled visits of a lane with something to do: just recalled, or closed long enough ago."""
    rows = store.visits_in(session, lane_id, VisitState.RECALLED)
    due = outside.now() - GRACE
    return [row for row in rows if row.push_started_at is None or row.push_started_at <= due]


def take_back(outside: Outside, lane_id: int) -> dict[str, Any]:
    """Take recalled tasks out of the queue, then, a while later, remove those that nobody answered."""
    with outside.db.read() as session:
        lane = store.find_lane(session, lane_id)
        server = find_server(session, lane.server_id)
        visits = recalled_now(outside, session, lane_id)
    if lane.ls_project_id is None or not visits:
        return {"taken_back": 0}
    client = client_of(outside, server)
    fresh = [visit for visit in visits if visit.push_started_at is None]
    for visit in fresh:
        try:
            client.close_task(visit.ls_task_id or 0)
        except LabelStudioRejected as problem:
            if problem.status != _NOT_FOUND:
                raise
    old = [visit for visit in visits if visit.push_started_at is not None]
    there = {t.task_id: t for t in client.read_tasks(lane.ls_project_id, [v.ls_task_id or 0 for v in old])}
    empty = [v for v in old if v.ls_task_id not in there or not there[v.ls_task_id].annotations]
    present = [v.ls_task_id for v in empty if v.ls_task_id in there]
    if present:
        client.delete_tasks(lane.ls_project_id, [task_id for task_id in present if task_id is not None])
    with outside.db.write(project=lane.project_id) as session:
        # The time of the closing; the visit is sent no more, so the column is free for it.
        store.set_visits(session, [visit.id for visit in fresh], push_started_at=outside.now())
        gone = [visit.id for visit in empty]
        store.set_visits(session, gone, state=VisitState.WITHDRAWN, ls_task_id=None, ls_updated_at=None)
        kept = [visit.id for visit in old if visit not in empty]
        store.set_visits(session, kept, state=VisitState.WITHDRAWN)
        # What was answered at the last moment is read with the next look.
        store.find_lane(session, lane_id).read_up_to = None
    return {"taken_back": len(fresh) + len(old)}
