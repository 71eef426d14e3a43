"""Lanes: chosen, made in Label Studio, kept topped up."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from integrations.label_studio.convert import to_result
from integrations.label_studio.errors import LabelStudioError, LabelStudioRejected
from integrations.label_studio.interface import LabelStudio, LaneSpec, NewTask
from integrations.label_studio.label_config import parse
from workbench.errors import WrongState
from workbench.items.domain import ItemState, Purpose, Stage
from workbench.items.store import move_items, states_of
from workbench.labeling import store
from workbench.labeling.domain import (
    OPEN_IN_LANE,
    LaneState,
    VisitState,
    lane_description,
    lane_title,
    queue_score,
)
from workbench.labeling.tables import LaneRow, VisitRow
from workbench.outside import Outside
from workbench.people.store import find_pool, find_server, members_of
from workbench.people.tables import ServerRow
from workbench.projects.store import guideline_at, project_by_id
from workbench.projects.tables import ProjectRow

# A push whose answer never came may still be at work in the server; only then is it asked what it has.
LOOK_AFTER = timedelta(seconds=20)
LONGEST_PUSH = timedelta(minutes=10)
CAREFUL = 10
"""Visits sent one by one after a bulk import was refused."""


def client_of(outside: Outside, server: ServerRow) -> LabelStudio:
    """A client for a server, its token decrypted."""
    return outside.label_studio(server.url, outside.vault.unlock(server.token).decode())


def ensure_lane(
    outside: Outside, session: Session, project: ProjectRow, pool_id: int, stage: str, overlap: int
) -> LaneRow:
    """The lane's row, made where it is missing; Label Studio hears of it later."""
    if project.server_id is None:
        raise WrongState(
            f"project `{project.key}` has no Label Studio server; connect one on its Settings page"
        )
    lane = store.lane_for(session, project.id, project.server_id, pool_id, stage, overlap)
    if lane is None:
        pool = find_pool(session, pool_id)
        lane = LaneRow(
            public_id=outside.new_id(),
            project_id=project.id,
            server_id=project.server_id,
            pool_id=pool_id,
            stage=stage,
            overlap=overlap,
            title=lane_title(project.title, pool.name, stage, overlap),
            description="",
            state=LaneState.WANTED,
            problem="",
            created_at=outside.now(),
        )
        session.add(lane)
        session.flush()
    return lane


def make_visits(outside: Outside, project_id: int) -> dict[str, Any]:
    """Visits for items that were sent to people: a chunk of them, in one transaction."""
    now = outside.now()
    with outside.db.write() as session:
        project = project_by_id(session, project_id)
        waiting = store.items_without_visit(session, project_id, outside.settings.chunk_items)
        guideline = guideline_at(session, project_id, now)
        rows = []
        problem = ""
        for item, decision in waiting:
            pool_id = decision.pool_id or project.pool_id
            if pool_id is None:
                problem = f"project `{project.key}` has no pool of annotators; add one on its People page"
                continue
            lane = ensure_lane(outside, session, project, pool_id, decision.stage, decision.overlap)
            rows.append(
                {
                    "public_id": outside.new_id(),
                    "project_id": project_id,
                    "item_id": item.id,
                    "lane_id": lane.id,
                    "decision_id": decision.id,
                    "model_version_id": decision.model_version_id,
                    "guideline_version_id": guideline.id if guideline else None,
                    "purpose": decision.purpose,
                    "round": item.round,
                    "attempt": 1,
                    "show_suggestion": decision.show_suggestion,
                    "priority": decision.priority,
                    "overlap": decision.overlap,
                    "state": VisitState.QUEUED,
                    "epoch": 0,
                    "created_at": now,
                }
            )
        store.add_visits(session, rows)
    return {"visits": len(rows), "problem": problem}


def add_adjudication(
    outside: Outside, session: Session, project: ProjectRow, visit: VisitRow, attempt: int
) -> VisitRow:
    """A further visit, by the adjudicators (or the same pool where the project has none)."""
    lane = store.find_lane(session, visit.lane_id)
    pool_id = project.adjudication_pool_id or lane.pool_id
    target = ensure_lane(outside, session, project, pool_id, Stage.ADJUDICATE, 1)
    row = VisitRow(
        public_id=outside.new_id(),
        project_id=project.id,
        item_id=visit.item_id,
        lane_id=target.id,
        decision_id=visit.decision_id,
        model_version_id=visit.model_version_id,
        guideline_version_id=visit.guideline_version_id,
        purpose=Purpose.ADJUDICATION,
        round=visit.round,
        attempt=attempt,
        show_suggestion=False,
        priority=min(visit.priority + 10, 100),
        overlap=1,
        state=VisitState.QUEUED,
        epoch=0,
        created_at=outside.now(),
    )
    session.add(row)
    session.flush()
    return row


def set_up_lane(outside: Outside, lane_id: int) -> dict[str, Any]:
    """The lane's Label Studio project, made where it is missing, its card saying whose it is."""
    with outside.db.read() as session:
        lane = store.find_lane(session, lane_id)
        project = project_by_id(session, lane.project_id)
        server = find_server(session, lane.server_id)
        description = lane_description([person.name for person in members_of(session, lane.pool_id)])
    client = client_of(outside, server)
    ls_project_id = lane.ls_project_id
    if ls_project_id is None:
        spec = LaneSpec(
            key=lane.public_id,
            title=lane.title,
            label_config=project.label_config,
            overlap=lane.overlap,
            instruction=project.instruction,
            description=description,
        )
        ls_project_id = client.create_lane(spec)
    elif lane.description != description:
        client.update_lane(ls_project_id, description=description)
    with outside.db.write() as session:
        row = store.find_lane(session, lane_id)
        row.ls_project_id, row.description = ls_project_id, description
        row.state, row.problem = LaneState.READY, ""
    return {"ls_project_id": ls_project_id}


def top_up(outside: Outside, lane_id: int) -> dict[str, int]:
    """Send the most urgent waiting visits until the lane holds its limit; nothing is ever sent twice."""
    settle_doubts(outside, lane_id)
    now = outside.now()
    is_careful = False
    with outside.db.write() as session:
        lane = store.find_lane(session, lane_id)
        project = project_by_id(session, lane.project_id)
        server = find_server(session, lane.server_id)
        room = project.lane_limit - store.count_visits(session, lane_id, OPEN_IN_LANE)
        if lane.state == LaneState.BROKEN:
            room = min(room, CAREFUL)
            is_careful = True
        visits = store.visits_in(session, lane_id, VisitState.QUEUED, room) if room > 0 else []
        ids = [visit.id for visit in visits]
        store.set_visits(session, ids, state=VisitState.PUSHING, push_started_at=now, epoch=server.epoch)
        tasks = _tasks(session, project, visits)
        ls_project_id = lane.ls_project_id
    if not tasks or ls_project_id is None:
        return {"pushed": 0}
    client = client_of(outside, server)
    if is_careful:
        return _push_singly(outside, client, lane_id, visits, tasks)
    try:
        task_ids = client.push(ls_project_id, tasks)
    except LabelStudioRejected as problem:
        with outside.db.write() as session:
            lane = store.find_lane(session, lane_id)
            lane.state, lane.problem = LaneState.BROKEN, str(problem)
        # The server has answered, so what it has now is what it will have: an earlier part may be there.
        _settle(outside, lane_id, visits, client.find_tasks(ls_project_id, [v.public_id for v in visits]))
        raise
    except LabelStudioError:
        # It may be at work for as long again as we waited: the wait before asking begins now.
        with outside.db.write() as session:
            store.set_visits(session, ids, push_started_at=outside.now())
        raise
    with outside.db.write() as session:
        _arrived(outside, session, {visit.id: task_ids[visit.public_id] for visit in visits})
        lane = store.find_lane(session, lane_id)
        if lane.state == LaneState.BROKEN:
            lane.state, lane.problem = LaneState.READY, ""
    return {"pushed": len(tasks)}


def _push_singly(
    outside: Outside, client: LabelStudio, lane_id: int, visits: list[VisitRow], tasks: list[NewTask]
) -> dict[str, int]:
    """Send one by one what a bulk import was refused for, to find the one that Label Studio does not take.

    Raises:
        LabelStudioRejected: It takes none of them, so the fault is the lane's and not an item's.
    """
    with outside.db.read() as session:
        ls_project_id = store.find_lane(session, lane_id).ls_project_id or 0
    refused: list[VisitRow] = []
    problem: LabelStudioRejected | None = None
    for visit, task in zip(visits, tasks, strict=True):
        try:
            task_ids = client.push(ls_project_id, [task])
        except LabelStudioRejected as found:
            problem = found
            refused.append(visit)
            continue
        with outside.db.write() as session:
            _arrived(outside, session, {visit.id: task_ids[visit.public_id]})
    is_lane = len(refused) == len(visits)
    with outside.db.write() as session:
        state = VisitState.QUEUED if is_lane else VisitState.REFUSED
        store.set_visits(session, [visit.id for visit in refused], state=state, push_started_at=None)
        lane = store.find_lane(session, lane_id)
        if not is_lane:
            lane.state, lane.problem = LaneState.READY, ""
    if problem is not None and is_lane:
        raise problem
    return {"pushed": len(visits) - len(refused)}


def settle_doubts(outside: Outside, lane_id: int) -> None:
    """Ask the server what became of pushes that never answered, before anything is sent again."""
    with outside.db.read() as session:
        lane = store.find_lane(session, lane_id)
        server = find_server(session, lane.server_id)
        doubtful = store.visits_in(session, lane_id, VisitState.PUSHING)
    settled = [v for v in doubtful if outside.now() - (v.push_started_at or v.created_at) > LOOK_AFTER]
    if not doubtful or lane.ls_project_id is None:
        return
    client = client_of(outside, server)
    there = client.find_tasks(lane.ls_project_id, [visit.public_id for visit in doubtful])
    doubled = [task for tasks in there.values() for task in sorted(tasks)[1:]]
    # One that people answered stays; the next comparison finds it and keeps what they said.
    unanswered = [
        task.task_id for task in client.read_tasks(lane.ls_project_id, doubled) if not task.annotations
    ]
    if unanswered:
        client.delete_tasks(lane.ls_project_id, unanswered)
    lost_or_found = [visit for visit in doubtful if visit in settled or there.get(visit.public_id)]
    _settle(outside, lane_id, lost_or_found, there)


def _settle(outside: Outside, lane_id: int, visits: list[VisitRow], there: dict[str, list[int]]) -> None:
    """Visits that the server has are in the lane, the others wait again."""
    found = {v.id: min(there[v.public_id]) for v in visits if there.get(v.public_id)}
    with outside.db.write() as session:
        _arrived(outside, session, found)
        if found:
            # People may have answered them before they were known to be ours: all is looked at again.
            store.find_lane(session, lane_id).read_up_to = None
        lost = [visit.id for visit in visits if visit.id not in found]
        store.set_visits(session, lost, state=VisitState.QUEUED, push_started_at=None)


def send_again(session: Session, visits: list[VisitRow], reason: str, now: datetime) -> None:
    """Let visits wait again whose task is gone from Label Studio; answers that came are kept."""
    store.set_visits(
        session,
        [visit.id for visit in visits],
        state=VisitState.QUEUED,
        ls_task_id=None,
        ls_updated_at=None,
        push_started_at=None,
    )
    states = states_of(session, [visit.item_id for visit in visits])
    move_items(
        session,
        [item_id for item_id, (_, state) in states.items() if state is ItemState.IN_LABELING],
        ItemState.QUEUED,
        at=now,
        actor="reconcile",
        reason=reason,
    )


def _arrived(outside: Outside, session: Session, task_ids: dict[int, int]) -> None:
    """Record which task each visit became, and move the items."""
    now = outside.now()
    items = []
    for visit_id, task_id in task_ids.items():
        visit = session.get(VisitRow, visit_id)
        if visit is not None and visit.state == VisitState.PUSHING:
            visit.state, visit.ls_task_id, visit.pushed_at = VisitState.IN_LANE, task_id, now
            items.append(visit.item_id)
    session.flush()
    # Another visit of the same item may have brought it there already.
    states = states_of(session, items)
    waiting = [item_id for item_id, (_, state) in states.items() if state is ItemState.QUEUED]
    move_items(
        session,
        waiting,
        ItemState.IN_LABELING,
        at=now,
        actor="push",
        reason="shown to people in Label Studio",
    )


def _tasks(session: Session, project: ProjectRow, visits: list[VisitRow]) -> list[NewTask]:
    """What Label Studio is sent: the shown fields, the place in the queue, a suggestion where wanted."""
    item_ids = [visit.item_id for visit in visits]
    texts = store.texts_of(session, item_ids, project.text_field)
    keys = store.public_ids(session, item_ids)
    predictions = store.predictions_of(session, [(v.item_id, v.model_version_id) for v in visits])
    config = parse(project.label_config)
    tasks = []
    for visit in visits:
        prediction = predictions.get(visit.item_id) if visit.show_suggestion else None
        shown = bool(prediction and prediction.label)
        tasks.append(
            NewTask(
                visit_key=visit.public_id,
                item_key=keys[visit.item_id],
                data={project.text_field: texts.get(visit.item_id, "")},
                queue_score=queue_score(visit.priority, visit.id),
                result=to_result(config, [prediction.label], prediction.confidence, control=project.control)
                if prediction and shown
                else [],
            )
        )
    return tasks
