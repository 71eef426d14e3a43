"""What each lane wants done now."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy.orm import Session

from workbench.db.database import Database
from workbench.labeling import store
from workbench.labeling.domain import OPEN_IN_LANE, LaneState, VisitState, lane_description
from workbench.labeling.hints import is_hinted
from workbench.labeling.life import FROZEN
from workbench.labeling.recalling import recalled_now
from workbench.labeling.sending import may_be_doubled
from workbench.labeling.tables import LaneRow
from workbench.outside import Outside
from workbench.people.belonging import is_at_work
from workbench.people.store import find_server, members_of
from workbench.projects.store import project_by_id
from workbench.projects.tables import ProjectRow

COMPARE_EVERY = timedelta(seconds=30)
KEEP_EVERY = timedelta(seconds=40)
IDLE_EVERY = timedelta(minutes=10)
ACTIVE = "active"


def look(outside: Outside, project_id: int) -> dict[str, Any]:
    """What each lane wants done now."""
    with outside.db.read() as session:
        project = project_by_id(session, project_id)
        lanes = [
            {
                "id": lane.id,
                "server_id": lane.server_id,
                "is_broken": lane.state == LaneState.BROKEN,
                "wants": _wants(outside, session, lane, project),
            }
            for lane in store.lanes_of(session, project_id)
        ]
        is_active = project.state == ACTIVE
        new = is_active and bool(store.items_without_visit(session, project_id, 1))
    return {"lanes": [lane for lane in lanes if lane["wants"]], "new_visits": new}


def wants_of(outside: Outside, lane_id: int) -> list[str]:
    """What one lane wants done now."""
    with outside.db.read() as session:
        lane = store.find_lane(session, lane_id)
        return _wants(outside, session, lane, project_by_id(session, lane.project_id))


_begun: WeakKeyDictionary[Database, datetime] = WeakKeyDictionary()


def is_unseen(outside: Outside, lane: LaneRow) -> bool:
    """Whether this process has not compared the lane yet.

    Before the first push it must: our database may have been restored while nobody ran, and the server may
    have what we do not remember to have sent.
    """
    begun = _begun.setdefault(outside.db, outside.now())
    return lane.compared_at is None or lane.compared_at < begun


def _wants(outside: Outside, session: Session, lane: LaneRow, project: ProjectRow) -> list[str]:
    if lane.state == LaneState.FROZEN or find_server(session, lane.server_id).state == FROZEN:
        return []
    wants = []
    limit = project.lane_limit
    names = [person.name for person in members_of(session, lane.pool_id)]
    if lane.ls_project_id is None or lane.description != lane_description(names):
        wants += ["set_up"] if lane.ls_project_id is not None else ["set_up", "keep"]
    if lane.ls_project_id is not None:
        wants += _looks(outside, session, lane)
    in_lane = store.count_visits(session, lane.id, OPEN_IN_LANE)
    doubtful = store.count_visits(session, lane.id, [VisitState.PUSHING])
    # Sent in handfuls, not one by one: a bulk import costs the server the same for one as for fifty.
    room = limit - in_lane
    waiting = store.count_visits(session, lane.id, [VisitState.QUEUED])
    if project.state != ACTIVE or not is_at_work(session, lane.supplier_id):
        # Answers that people give meanwhile are still read; nothing new is sent.
        return [want for want in wants if want != "set_up" and (want != "keep" or lane.ls_project_id)]
    if doubtful or (waiting and (room >= max(limit // 4, 1) or (room > 0 and waiting <= room))):
        wants.append("push")
    return wants


def _looks(outside: Outside, session: Session, lane: LaneRow) -> list[str]:
    """What is to be looked at in a lane that its server has."""
    wants = []
    if is_hinted(session, lane.id):
        wants.append("hints")
    wants.append("read")
    if store.count_visits(session, lane.id, [VisitState.REOPEN]):
        wants.append("reopen")
    is_open = store.count_visits(session, lane.id, OPEN_IN_LANE) > 0
    is_watched = is_open or may_be_doubled(outside, session, lane.id)
    every = COMPARE_EVERY if is_watched else IDLE_EVERY
    if is_unseen(outside, lane) or outside.now() - (lane.compared_at or outside.now()) > every:
        wants.append("compare")
    every = KEEP_EVERY if is_open else IDLE_EVERY
    if lane.checked_at is None or outside.now() - lane.checked_at > every:
        wants.append("keep")
    if recalled_now(outside, session, lane.id):
        wants.append("recall")
    return wants
