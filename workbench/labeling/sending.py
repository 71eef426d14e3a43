"""Sending: a lane topped up with the most urgent visits, nothing twice, and doubts settled by asking."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from integrations.label_studio.convert import to_result
from integrations.label_studio.errors import LabelStudioError, LabelStudioRejected
from integrations.label_studio.interface import LabelStudio, NewTask
from integrations.label_studio.label_config import parse
from workbench.incidents.store import heal_incident, open_incident, open_incidents, report_incident, was_open
from workbench.items.domain import ItemState
from workbench.items.store import move_items, states_of
from workbench.labeling import store
from workbench.labeling.domain import OPEN_IN_LANE, LaneState, VisitState, queue_score
from workbench.labeling.lanes import client_of, leave_wrong_place, project_of
from workbench.labeling.life import Marks, Replaced, check_pushed, marks_of, raise_marks
from workbench.labeling.tables import LaneRow, VisitRow
from workbench.outside import Outside
from workbench.people.belonging import check_place
from workbench.people.store import find_server
from workbench.projects.store import project_by_id
from workbench.projects.tables import ProjectRow

# A push whose answer never came may still be at work in the server; only then is it asked what it has.
LOOK_AFTER = timedelta(seconds=20)
LONGEST_PUSH = timedelta(minutes=10)
"""A push that was given up may take effect in the server for so long."""
ANSWER_LOST = "answer_lost"
ITEM_REFUSED = "item_refused"
MOST_REFUSALS = 5
"""After so many refusals a visit is refused for good, though it is alone in its lane."""
CAREFUL = 10
"""Visits sent one by one after a bulk import was refused."""


def top_up(outside: Outside, lane_id: int) -> dict[str, int]:
    """Send the most urgent waiting visits until the lane holds its limit; nothing is ever sent twice."""
    settle_doubts(outside, lane_id)
    now = outside.now()
    is_careful = False
    with outside.db.write(project=project_of(outside, lane_id)) as session:
        lane = store.find_lane(session, lane_id)
        project = project_by_id(session, lane.project_id)
        server = find_server(session, lane.server_id)
        if leave_wrong_place(outside, session, project, lane):
            return {"pushed": 0}
        check_place(server, lane.supplier_id)
        room = project.lane_limit - store.count_visits(session, lane_id, OPEN_IN_LANE)
        if lane.state == LaneState.BROKEN:
            room = min(room, CAREFUL)
            is_careful = True
        visits = store.visits_in(session, lane_id, VisitState.QUEUED, room) if room > 0 else []
        ids = [visit.id for visit in visits]
        store.set_visits(session, ids, state=VisitState.PUSHING, push_started_at=now, epoch=server.epoch)
        tasks = _tasks(session, project, visits)
        ls_project_id = lane.ls_project_id
        before = marks_of(session, server)
    if not tasks or ls_project_id is None:
        return {"pushed": 0}
    client = client_of(outside, server)
    if is_careful:
        return _push_singly(outside, client, lane_id, visits, tasks)
    try:
        outside.db.check_lease()
        task_ids = client.push(ls_project_id, tasks)
    except LabelStudioRejected as problem:
        with outside.db.write(project=project_of(outside, lane_id)) as session:
            lane = store.find_lane(session, lane_id)
            lane.state, lane.problem = LaneState.BROKEN, str(problem)
        # The server has answered, so what it has now is what it will have: an earlier part may be there.
        _settle(outside, lane_id, visits, _find(outside, client, lane, visits))
        raise
    except LabelStudioError as problem:
        # It may be at work for as long again as we waited: the wait before asking begins now.
        with outside.db.write(project=project_of(outside, lane_id)) as session:
            store.set_visits(session, ids, push_started_at=outside.now())
            _doubt(
                outside, session, lane_id, f"{len(ids)} tasks were sent and no good answer came: {problem}"
            )
        raise
    check_pushed(outside, client, server.id, before, set(task_ids.values()))
    _check_new(outside, lane_id, task_ids.values())
    with outside.db.write(project=project_of(outside, lane_id)) as session:
        raise_marks(outside, session, server, Marks(ls_project_id, max(task_ids.values())))
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
            outside.db.check_lease()
            task_ids = client.push(ls_project_id, [task])
        except LabelStudioRejected as found:
            problem = found
            refused.append(visit)
            continue
        _check_new(outside, lane_id, task_ids.values())
        with outside.db.write(project=project_of(outside, lane_id)) as session:
            _arrived(outside, session, {visit.id: task_ids[visit.public_id]})
    is_lane = len(refused) == len(visits)
    with outside.db.write(project=project_of(outside, lane_id)) as session:
        state = VisitState.QUEUED if is_lane else VisitState.REFUSED
        ids = [visit.id for visit in refused]
        store.set_visits(session, ids, only_in=[VisitState.PUSHING], state=state, push_started_at=None)
        lane = store.find_lane(session, lane_id)
        for visit in refused:
            _count_refusal(outside, session, lane, visit.id, str(problem))
        if not is_lane:
            lane.state, lane.problem = LaneState.READY, ""
    if problem is not None and is_lane:
        raise problem
    return {"pushed": len(visits) - len(refused)}


def _count_refusal(outside: Outside, session: Session, lane: LaneRow, visit_id: int, problem: str) -> None:
    """An item that was refused often enough is left alone, even where nothing else tells item from lane."""
    visit = session.get_one(VisitRow, visit_id)
    visit.refusals += 1
    visit.problem = problem
    if visit.refusals >= MOST_REFUSALS:
        visit.state = VisitState.REFUSED
    if visit.state != VisitState.REFUSED:
        return
    key = store.public_ids(session, [visit.item_id])[visit.item_id]
    report_incident(
        session,
        ITEM_REFUSED,
        f"item:{key}",
        f"lane `{lane.title}`: Label Studio does not take item {key}: {problem}",
        now=outside.now(),
        remedy="Open the item; mend its data and import it again, or route it elsewhere.",
        project_id=lane.project_id,
        supplier_id=lane.supplier_id,
    )


def heal_refusals(session: Session, project_id: int, *, now: datetime) -> None:
    """Close the incidents of items that no lane refuses any more: sent elsewhere, taken after all, erased."""
    open_ = [one for one in open_incidents(session, projects=[project_id]) if one.kind == ITEM_REFUSED]
    refused = store.refused_items(session, project_id) if open_ else set()
    for incident in open_:
        if incident.about.removeprefix("item:") not in refused:
            how = "the item is no longer where it was refused"
            heal_incident(session, ITEM_REFUSED, incident.about, how, now=now)


def settle_doubts(outside: Outside, lane_id: int) -> None:
    """Ask the server what became of pushes that never answered, before anything is sent again."""
    with outside.db.read() as session:
        lane = store.find_lane(session, lane_id)
        server = find_server(session, lane.server_id)
        doubtful = store.visits_in(session, lane_id, VisitState.PUSHING)
        is_told = open_incident(session, ANSWER_LOST, f"lane:{lane_id}") is not None
    settled = [v for v in doubtful if outside.now() - (v.push_started_at or v.created_at) > LOOK_AFTER]
    if not doubtful or lane.ls_project_id is None:
        return
    if not is_told:
        # Whoever sent them was stopped in the middle and could not say so.
        with outside.db.write(project=lane.project_id) as session:
            said = f"{len(doubtful)} tasks were being sent when their sender was stopped"
            _doubt(outside, session, lane_id, said)
    client = client_of(outside, server)
    there = _find(outside, client, lane, doubtful)
    doubled = [task for tasks in there.values() for task in sorted(tasks)[1:]]
    # One that people answered stays; the next comparison finds it and keeps what they said.
    unanswered = [
        task.task_id for task in client.read_tasks(lane.ls_project_id, doubled) if not task.annotations
    ]
    if unanswered:
        client.delete_tasks(lane.ls_project_id, unanswered)
    lost_or_found = [visit for visit in doubtful if visit in settled or there.get(visit.public_id)]
    _settle(outside, lane_id, lost_or_found, there)
    if len(lost_or_found) == len(doubtful):
        found = sum(bool(there.get(visit.public_id)) for visit in doubtful)
        rest = "" if found == len(doubtful) else "; the others are sent again"
        with outside.db.write(project=lane.project_id) as session:
            how = f"found {found} of {len(doubtful)} there{rest}"
            heal_incident(session, ANSWER_LOST, f"lane:{lane_id}", how, now=outside.now())


def may_be_doubled(outside: Outside, session: Session, lane_id: int) -> bool:
    """Whether a push to the lane was in doubt a while ago: a second copy of its tasks may still appear."""
    since = outside.now() - LONGEST_PUSH
    return was_open(session, ANSWER_LOST, f"lane:{lane_id}", since=since)


def _check_new(outside: Outside, lane_id: int, task_ids: Iterable[int]) -> None:
    """Nothing, if none of these new tasks has the number of another.

    Raises:
        Replaced: One has.
    """
    with outside.db.read() as session:
        held = store.visits_by_task(session, lane_id, list(task_ids))
    if held:
        raise Replaced(f"a new task got number {min(held)}, which was given out before")


def _find(
    outside: Outside, client: LabelStudio, lane: LaneRow, doubtful: Sequence[VisitRow]
) -> dict[str, list[int]]:
    """Which tasks the server has for visits that may have been sent, by the visits' keys.

    Raises:
        Replaced: One has the number of another item's task: the server gives its numbers out again.
    """
    found = client.find_tasks(lane.ls_project_id or 0, [visit.public_id for visit in doubtful])
    with outside.db.read() as session:
        numbers = [number for tasks in found.values() for number in tasks]
        held = store.visits_by_task(session, lane.id, numbers)
    items = {visit.public_id: visit.item_id for visit in doubtful}
    for key, tasks in found.items():
        for number in tasks:
            if number in held and held[number].item_id != items[key]:
                raise Replaced(f"task {number} is another item's than the task of that number was")
    # A copy that people answered has a visit of its own by now.
    left = {key: [number for number in tasks if number not in held] for key, tasks in found.items()}
    return {key: tasks for key, tasks in left.items() if tasks}


def _doubt(outside: Outside, session: Session, lane_id: int, what: str) -> None:
    """Say that nobody knows what became of a push; the lane is asked before anything is sent again."""
    lane = store.find_lane(session, lane_id)
    report_incident(
        session,
        ANSWER_LOST,
        f"lane:{lane_id}",
        f"lane `{lane.title}`: {what}. Label Studio is asked what it has before anything is sent again.",
        now=outside.now(),
        project_id=lane.project_id,
        supplier_id=lane.supplier_id,
    )


def _settle(outside: Outside, lane_id: int, visits: list[VisitRow], there: dict[str, list[int]]) -> None:
    """Visits that the server has are in the lane, the others wait again."""
    found = {v.id: min(there[v.public_id]) for v in visits if there.get(v.public_id)}
    with outside.db.write(project=project_of(outside, lane_id)) as session:
        _arrived(outside, session, found)
        if found:
            # People may have answered them before they were known to be ours: all is looked at again.
            store.find_lane(session, lane_id).read_up_to = None
        lost = [visit.id for visit in visits if visit.id not in found]
        store.set_visits(
            session, lost, only_in=[VisitState.PUSHING], state=VisitState.QUEUED, push_started_at=None
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
