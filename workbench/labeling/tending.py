"""Looking after one lane: what goes wrong in it stays in it, with a sentence on its row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from integrations.errors import IntegrationError
from integrations.label_studio.errors import (
    LabelStudioRefused,
    LabelStudioRejected,
    LabelStudioUnavailable,
)
from workbench.errors import WorkbenchError
from workbench.incidents.store import heal_incident, report_incident
from workbench.labeling import store
from workbench.labeling.domain import LaneState, VisitState
from workbench.labeling.keeping import keep_lane
from workbench.labeling.lanes import client_of, project_of, set_up_lane
from workbench.labeling.life import FROZEN, Replaced, check_lane_gone, freeze
from workbench.labeling.planning import is_unseen
from workbench.labeling.recalling import take_back
from workbench.labeling.receiving import compare_lane, read_hinted, read_lane, reopen_tasks
from workbench.labeling.sending import top_up
from workbench.labeling.visits import send_again
from workbench.outside import Outside
from workbench.people.store import find_server, mark_server


def _push(outside: Outside, lane_id: int) -> dict[str, Any]:
    """Send what is wanted next; first of all, in a new process, what the lane has is compared."""
    with outside.db.read() as session:
        is_new = is_unseen(outside, store.find_lane(session, lane_id))
    if is_new:
        compare_lane(outside, lane_id)
    return top_up(outside, lane_id)


ACTIONS: dict[str, Callable[[Outside, int], dict[str, Any]]] = {
    "hints": read_hinted,
    "read": read_lane,
    "reopen": reopen_tasks,
    "compare": compare_lane,
    "set_up": set_up_lane,
    "keep": keep_lane,
    "recall": take_back,
    "push": _push,
}
NOT_FOUND = 404
SERVER_UNREACHABLE = "server_unreachable"
LANE_REPAIRED = "lane_repaired"


def tend(outside: Outside, action: str, lane_id: int) -> dict[str, Any]:
    """Do one thing for one lane; a failure is told, not raised, so that the other lanes go on.

    Returns:
        `done` (what the action told), `problem` (a sentence, or empty) and `server` (whether the problem is
        the whole server's: it does not answer, or does not take the token).
    """
    try:
        done = ACTIONS[action](outside, lane_id)
    except Replaced as found:
        return _frozen(outside, lane_id, str(found))
    except (LabelStudioUnavailable, LabelStudioRefused) as problem:
        state = "unreachable" if isinstance(problem, LabelStudioUnavailable) else "refused"
        _tell_server(outside, lane_id, state, str(problem))
        return {"done": {}, "problem": str(problem), "server": True}
    except LabelStudioRejected as problem:
        if problem.status == NOT_FOUND and _is_gone(outside, lane_id):
            return _made_again(outside, lane_id)
        return _noted(outside, lane_id, problem)
    except (IntegrationError, WorkbenchError) as problem:
        return _noted(outside, lane_id, problem)
    _tell_server(outside, lane_id, "ready", "")
    return {"done": done, "problem": "", "server": False}


def _tell_server(outside: Outside, lane_id: int, state: str, problem: str) -> None:
    """Show on the server's row how it answers; an earlier process may have written what is there."""
    with outside.db.read() as session:
        server = find_server(session, store.find_lane(session, lane_id).server_id)
    if server.state == FROZEN or (server.state, server.problem) == (state, problem):
        return
    now = outside.now()
    about = f"server:{server.id}"
    with outside.db.write() as session:
        if find_server(session, server.id).state == FROZEN:
            return  # By another lane, meanwhile.
        mark_server(session, server.id, state, problem, now)
        if state == "ready":
            heal_incident(session, SERVER_UNREACHABLE, about, "it answers again", now=now)
        else:
            report_incident(
                session,
                SERVER_UNREACHABLE,
                about,
                f"Label Studio `{server.name}` cannot be worked with: {problem}",
                now=now,
                severity="warn" if state == "unreachable" else "bad",
                remedy="" if state == "unreachable" else "Give the server a new token on its page.",
            )


def _frozen(outside: Outside, lane_id: int, reason: str) -> dict[str, Any]:
    with outside.db.read() as session:
        server_id = store.find_lane(session, lane_id).server_id
    freeze(outside, server_id, reason)
    return {"done": {}, "problem": reason, "server": False, "frozen": True}


def all_well(outside: Outside, lane_id: int) -> dict[str, Any]:
    """Take back what the lane's row says is wrong: a whole round over it went well."""
    with outside.db.write(project=project_of(outside, lane_id)) as session:
        lane = store.find_lane(session, lane_id)
        if lane.state == LaneState.BROKEN and lane.ls_project_id is not None:
            lane.state, lane.problem = LaneState.READY, ""
    return {}


def _noted(outside: Outside, lane_id: int, problem: Exception) -> dict[str, Any]:
    with outside.db.write(project=project_of(outside, lane_id)) as session:
        lane = store.find_lane(session, lane_id)
        lane.state, lane.problem = LaneState.BROKEN, str(problem)
    return {"done": {}, "problem": str(problem), "server": False}


def _is_gone(outside: Outside, lane_id: int) -> bool:
    """Whether somebody deleted the lane's project in Label Studio: every member may."""
    with outside.db.read() as session:
        lane = store.find_lane(session, lane_id)
        server = find_server(session, lane.server_id)
    return lane.ls_project_id is None or not client_of(outside, server).lane_exists(lane.ls_project_id)


def _made_again(outside: Outside, lane_id: int) -> dict[str, Any]:
    try:
        return {"done": _make_again(outside, lane_id), "problem": "", "server": False}
    except Replaced as found:
        return _frozen(outside, lane_id, str(found))


def _make_again(outside: Outside, lane_id: int) -> dict[str, Any]:
    """Forget the lane's deleted project: what was open in it waits again, answers that came are kept."""
    now = outside.now()
    with outside.db.read() as session:
        lane = store.find_lane(session, lane_id)
        server = find_server(session, lane.server_id)
    check_lane_gone(outside, client_of(outside, server), lane)
    with outside.db.write(project=project_of(outside, lane_id)) as session:
        lane = store.find_lane(session, lane_id)
        lane.ls_project_id, lane.state, lane.problem = None, LaneState.WANTED, ""
        lane.read_up_to = lane.compared_at = None
        lane.description = ""
        report_incident(
            session,
            LANE_REPAIRED,
            f"lane:{lane_id}",
            f"lane `{lane.title}`: its project was deleted in Label Studio",
            now=now,
            project_id=lane.project_id,
            supplier_id=lane.supplier_id,
        )
        visits = [
            visit
            for state in (VisitState.PUSHING, VisitState.IN_LANE, VisitState.REOPEN)
            for visit in store.visits_in(session, lane_id, state)
        ]
        send_again(session, visits, "its lane was deleted in Label Studio; it will be sent again", now)
    return {"made_again": len(visits)}
