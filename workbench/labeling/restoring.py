"""After a server was restored: a person says go on, and a new epoch begins with what is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from integrations.label_studio.interface import LabelStudio, Member, RawAnnotation
from workbench.activity.store import record
from workbench.errors import WrongState
from workbench.incidents.store import heal_incident
from workbench.labeling import store
from workbench.labeling.domain import OPEN_IN_LANE, LaneState, VisitState
from workbench.labeling.lanes import client_of
from workbench.labeling.life import FROZEN, SERVER_RESTORED, life_of
from workbench.labeling.tables import AnnotationRow, LaneRow, VisitRow
from workbench.labeling.visits import send_again
from workbench.outside import Outside
from workbench.people.store import account_rows, find_server, mark_server

SENT_AGAIN = "its task is gone since Label Studio was restored; it will be sent again"


@dataclass
class _Found:
    """What a lane has on the server now."""

    ls_project_id: int | None
    tasks: dict[str, int]
    annotations: dict[int, dict[int, RawAnnotation]]


def resolve_restore(outside: Outside, server_id: int, *, by: str) -> dict[str, int]:
    """Begin a new epoch: adopt what both sides have, send again what is gone there, keep every answer.

    Returns:
        How many tasks were `adopted`, and how many visits wait again (`sent_again`).

    Raises:
        WrongState: The server is not frozen.
        LabelStudioError: It does not answer; nothing was changed.
    """
    with outside.db.read() as session:
        server = find_server(session, server_id)
        if server.state != FROZEN:
            raise WrongState(f"server `{server.name}` is {server.state}: only a frozen one gets a new epoch")
        lanes = store.lanes_on(session, server_id)
        keys = {lane.id: store.keys_sent(session, lane.id) for lane in lanes}
    client = client_of(outside, server)
    found = {lane.id: _look(client, lane, keys[lane.id]) for lane in lanes}
    members = client.members()
    now = outside.now()
    sums = {"adopted": 0, "sent_again": 0}
    with outside.db.write() as session:
        server = find_server(session, server_id)
        if server.state != FROZEN:
            raise WrongState(f"somebody else just began a new epoch of server `{server.name}`")
        life = life_of(outside, session, server)
        life.ended_at, life.ended_by = now, by
        server.epoch += 1
        mark_server(session, server_id, "ready", "", now)
        life_of(outside, session, server)
        _accounts_again(session, server_id, members)
        for lane in store.lanes_on(session, server_id):
            there = found.get(lane.id) or _Found(None, {}, {})
            for name, count in _begin(outside, session, lane, there, server.epoch).items():
                sums[name] += count
        came = f"{sums['adopted']} tasks adopted, {sums['sent_again']} sent again"
        how = f"epoch {server.epoch} begun by {by}: {came}"
        heal_incident(session, SERVER_RESTORED, f"server:{server_id}", how, now=now)
        record(
            session,
            at=now,
            actor=by,
            verb="server.epoch_begun",
            about=f"server:{server_id}",
            before={"epoch": server.epoch - 1, "reason": life.reason},
            after={"epoch": server.epoch, **sums},
        )
    return sums


def _look(client: LabelStudio, lane: LaneRow, keys: list[str]) -> _Found:
    # By its key, never by its number: that may be another project's by now.
    ls_project_id = client.find_lane(lane.public_id)
    if ls_project_id is None:
        return _Found(None, {}, {})
    tasks = {key: min(ids) for key, ids in client.find_tasks(ls_project_id, keys).items() if ids}
    answers = client.read_tasks(ls_project_id, sorted(tasks.values()))
    annotations = {task.task_id: {one.annotation_id: one for one in task.annotations} for task in answers}
    return _Found(ls_project_id, tasks, annotations)


def _begin(outside: Outside, session: Session, lane: LaneRow, there: _Found, epoch: int) -> dict[str, int]:
    """One lane in the new epoch."""
    lane.ls_project_id = there.ls_project_id
    lane.state = LaneState.WANTED if there.ls_project_id is None else LaneState.READY
    lane.problem = ""
    lane.read_up_to = lane.compared_at = lane.checked_at = lane.config_digest = lane.ls_webhook_id = None
    if there.ls_project_id is None:
        lane.description = ""
    adopted, gone = 0, []
    visits = list(session.scalars(select(VisitRow).where(VisitRow.lane_id == lane.id)))
    for visit in visits:
        task_id = there.tasks.get(visit.public_id)
        if task_id is None:
            if visit.state in OPEN_IN_LANE:
                gone.append(visit)
            visit.ls_task_id = visit.ls_updated_at = None
            continue
        adopted += 1
        _adopt_answers(session, visit, there.annotations.get(task_id, {}), task_id, epoch)
        if visit.state in {VisitState.QUEUED, VisitState.PUSHING}:
            # Known to be there only now: it is looked up and taken in like any push in doubt.
            visit.state, visit.push_started_at = VisitState.PUSHING, outside.now()
            visit.ls_task_id = None
        else:
            visit.ls_task_id = task_id
        visit.epoch, visit.ls_updated_at = epoch, None
    session.flush()
    send_again(session, gone, SENT_AGAIN, outside.now())
    return {"adopted": adopted, "sent_again": len(gone)}


def _adopt_answers(
    session: Session, visit: VisitRow, there: dict[int, RawAnnotation], task_id: int, epoch: int
) -> None:
    """Answers that both sides have, in the same words, go on in the new epoch; the others stay in theirs.

    An answer that was edited after the back-up was made stays as it was last said: what the server shows is
    older. It then comes as a second answer by the same person, which is kept and not counted.
    """
    rows = session.scalars(
        select(AnnotationRow).where(AnnotationRow.visit_id == visit.id, AnnotationRow.epoch == visit.epoch)
    )
    for row in rows:
        raw = there.get(row.ls_annotation_id)
        same = raw is not None and (raw.created_at, raw.completed_by) == (row.created_at, row.ls_user_id)
        if raw is not None and same and raw.updated_at >= row.ls_updated_at:
            row.epoch, row.ls_task_id = epoch, task_id


def _accounts_again(session: Session, server_id: int, members: list[Member]) -> None:
    """Numbers of accounts may have been given out again too: the e-mail address says whose they are."""
    by_email = {member.email.lower(): member.user_id for member in members}
    taken = {number: email for email, number in by_email.items()}
    changed = [
        row
        for row in account_rows(session, server_id)
        if by_email.get(row.email.lower(), row.ls_user_id) != row.ls_user_id
        or taken.get(row.ls_user_id, row.email.lower()) != row.email.lower()
    ]
    for row in changed:
        # Out of the way first: two accounts may have changed places. Nobody has a negative number.
        row.ls_user_id = -row.id
    session.flush()
    for row in changed:
        row.ls_user_id = by_email.get(row.email.lower(), -row.id)
    session.flush()


def epochs_of(session: Session, server_id: int) -> list[dict[str, Any]]:
    """The lives of a server's database, newest first."""
    return [
        {
            "epoch": row.epoch,
            "began_at": row.began_at,
            "frozen_at": row.frozen_at,
            "reason": row.reason,
            "ended_at": row.ended_at,
            "ended_by": row.ended_by,
            "high_task_id": row.high_task_id,
            "high_annotation_id": row.high_annotation_id,
        }
        for row in store.lives_of(session, server_id)
    ]
