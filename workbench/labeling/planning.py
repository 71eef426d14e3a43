"""What each lane wants done now."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy.orm import Session

from workbench.labeling import store
from workbench.labeling.domain import OPEN_IN_LANE, LaneState, VisitState, lane_description
from workbench.labeling.tables import LaneRow
from workbench.outside import Outside
from workbench.people.store import members_of
from workbench.projects.store import project_by_id
from workbench.projects.tables import ProjectRow

COMPARE_EVERY = timedelta(seconds=30)
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


def _wants(outside: Outside, session: Session, lane: LaneRow, project: ProjectRow) -> list[str]:
    wants = []
    limit = project.lane_limit
    names = [person.name for person in members_of(session, lane.pool_id)]
    if lane.ls_project_id is None or lane.description != lane_description(names):
        wants.append("set_up")
    if lane.ls_project_id is not None:
        wants.append("read")
        if store.count_visits(session, lane.id, [VisitState.REOPEN]):
            wants.append("reopen")
        if lane.compared_at is None or outside.now() - lane.compared_at > COMPARE_EVERY:
            wants.append("compare")
    in_lane = store.count_visits(session, lane.id, OPEN_IN_LANE)
    doubtful = store.count_visits(session, lane.id, [VisitState.PUSHING])
    # Sent in handfuls, not one by one: a bulk import costs the server the same for one as for fifty.
    room = limit - in_lane
    waiting = store.count_visits(session, lane.id, [VisitState.QUEUED])
    if project.state != ACTIVE:
        # Answers that people give meanwhile are still read; nothing new is sent.
        return [want for want in wants if want != "set_up"]
    if doubtful or (waiting and (room >= max(limit // 4, 1) or (room > 0 and waiting <= room))):
        wants.append("push")
    return wants
