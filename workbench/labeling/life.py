"""Whether a server's database still is the one we worked with, or an older one was put in its place.

Ids and times that a server gives out only rise while its database lives on. Before anything that is missing
there is read as deleted, the server proves that it lives on: something newer is still there, or the next ids
it gives out are above those that are missing. Where they are not, its lanes freeze until a person decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from integrations.label_studio.interface import HighIds, LabelStudio, TaskAnswers
from workbench.db.upsert import insert_new
from workbench.incidents.store import report_incident
from workbench.labeling import store
from workbench.labeling.domain import LaneState
from workbench.labeling.tables import AnnotationRow, LaneRow, ServerLifeRow, VisitRow
from workbench.outside import Outside
from workbench.people.store import find_server, mark_server
from workbench.people.tables import ServerRow

log = structlog.get_logger(__name__)

FROZEN = "frozen"
SERVER_RESTORED = "server_restored"
REMEDY = (
    "Find out whether it was restored from a back-up. When it will stay as it is, start a new epoch on the "
    "server's page or with `workbench ls resolve-restore NAME --start-new-epoch`: what is missing there is "
    "sent again, every answer that came before is kept. If its own database comes back, do the same: nothing "
    "is sent twice."
)


class Replaced(Exception):
    """The server's database is not the one we worked with; the message says what shows it."""


@dataclass(frozen=True)
class Marks:
    """The highest that an epoch of a server has shown."""

    project_id: int = 0
    task_id: int = 0
    annotation_id: int = 0
    updated_at: datetime | None = None


def life_of(outside: Outside, session: Session, server: ServerRow) -> ServerLifeRow:
    """The server's present epoch, begun where nothing is known of it."""
    key = (server.id, server.epoch)
    # Projects share a server: each waits for the other's marks, so that none is overwritten by a lower one.
    row = session.get(ServerLifeRow, key, with_for_update=True, populate_existing=True)
    if row is None:
        new = {
            "server_id": server.id,
            "epoch": server.epoch,
            "high_project_id": 0,
            "high_task_id": 0,
            "high_annotation_id": 0,
            "began_at": outside.now(),
            "reason": "",
            "ended_by": "",
        }
        insert_new(session, ServerLifeRow, [new], keys=("server_id", "epoch"))
        row = session.get_one(ServerLifeRow, key, with_for_update=True)
    return row


def raise_marks(outside: Outside, session: Session, server: ServerRow, seen: Marks) -> None:
    """Remember what the server has shown; marks never fall."""
    row = life_of(outside, session, server)
    row.high_project_id = max(row.high_project_id, seen.project_id)
    row.high_task_id = max(row.high_task_id, seen.task_id)
    row.high_annotation_id = max(row.high_annotation_id, seen.annotation_id)
    if seen.updated_at is not None and (row.high_updated_at is None or seen.updated_at > row.high_updated_at):
        row.high_updated_at = seen.updated_at


def marks_of(session: Session, server: ServerRow) -> Marks:
    """The marks of the server's present epoch."""
    row = session.get(ServerLifeRow, (server.id, server.epoch))
    if row is None:
        return Marks()
    return Marks(row.high_project_id, row.high_task_id, row.high_annotation_id, row.high_updated_at)


def seen_in(answers: Sequence[TaskAnswers]) -> Marks:
    """What a reading of tasks has shown."""
    return Marks(
        task_id=max((task.task_id for task in answers), default=0),
        annotation_id=max((one.annotation_id for task in answers for one in task.annotations), default=0),
        updated_at=max((task.updated_at for task in answers), default=None),
    )


def check_tasks_gone(
    outside: Outside, client: LabelStudio, lane: LaneRow, gone: Sequence[int], there: set[int]
) -> None:
    """Nothing, if those tasks were deleted by somebody on a server that lives on.

    Raises:
        Replaced: The server never had them.
    """
    if not gone:
        return
    with outside.db.read() as session:
        ours = store.tasks_of(session, lane.id) & there
    if any(task_id > max(gone) for task_id in ours):
        return
    next_ids = client.probe_ids()
    if next_ids.task_id <= max(gone):
        raise Replaced(
            f"{len(gone)} tasks are gone, up to number {max(gone)}, and the next task there gets number "
            f"{next_ids.task_id}"
        )
    _remember(outside, lane.server_id, next_ids)


def check_lane_gone(outside: Outside, client: LabelStudio, lane: LaneRow) -> None:
    """Nothing, if the lane's project was deleted by somebody on a server that lives on.

    Raises:
        Replaced: The server never had it.
    """
    with outside.db.read() as session:
        known = marks_of(session, find_server(session, lane.server_id))
        tasks = store.tasks_of(session, lane.id)
    next_ids = client.probe_ids()
    if next_ids.project_id <= (lane.ls_project_id or 0) or next_ids.task_id <= max(
        tasks | {known.task_id}, default=0
    ):
        raise Replaced(
            f"project {lane.ls_project_id} is gone, and the next one there gets number {next_ids.project_id}"
        )
    _remember(outside, lane.server_id, next_ids)


def check_pushed(outside: Outside, client: LabelStudio, server_id: int, before: Marks, new: set[int]) -> None:
    """Nothing, if the numbers of new tasks go on from those before.

    Raises:
        Replaced: They began again at a lower one.
    """
    if new and min(new) > before.task_id:
        return
    # On SQLite the numbers of deleted tasks are given out again: only the check tells the two apart.
    next_ids = client.probe_ids()
    if next_ids.task_id <= before.task_id:
        raise Replaced(
            f"new tasks got numbers from {min(new, default=0)}, though {before.task_id} was given out before"
        )
    _remember(outside, server_id, next_ids)


def check_answers(
    outside: Outside, client: LabelStudio, lane: LaneRow, answers: Sequence[TaskAnswers]
) -> None:
    """Nothing, if what is missing or other than before was changed by people on a server that lives on.

    Raises:
        Replaced: The server never had what we know.
    """
    with outside.db.read() as session:
        visits = store.visits_by_task(session, lane.id, [task.task_id for task in answers])
        known = _known(session, visits)
        named = store.visits_by_key(session, lane.id, [t.visit_key for t in answers if t.visit_key])
        _check_places(session, find_server(session, lane.server_id), answers)
    missing: list[int] = []
    present: set[int] = set()
    swapped = False
    for task in answers:
        visit = visits.get(task.task_id)
        if visit is None:
            continue
        owner = named.get(task.visit_key or "")
        if task.visit_key and (owner is None or owner.item_id != visit.item_id):
            swapped = True
            continue
        rows = known.get(visit.id, {})
        heard = {one.annotation_id: one for one in task.annotations}
        for number, row in rows.items():
            if number in heard and heard[number].created_at != row.created_at:
                raise Replaced(
                    f"answer {number} was written at another time than the one of that number here"
                )
            if number in heard:
                present.add(number)
            elif row.deleted_at is None:
                missing.append(number)
                if visit.ls_updated_at is not None and task.updated_at < visit.ls_updated_at:
                    raise Replaced(
                        f"answer {number} is gone, and its task {task.task_id} was last changed at "
                        f"{task.updated_at:%d %b %H:%M:%S}, before the change that we have seen"
                    )
    top = max(missing, default=0)
    is_proved = not missing or any(number > top for number in present)
    if is_proved and not (swapped and lane.state != LaneState.SUSPECT):
        return
    _prove_by_probe(outside, client, lane, top)


def _check_places(session: Session, server: ServerRow, answers: Sequence[TaskAnswers]) -> None:
    """Nothing, if every answer is on the task where it was before: its number is given out once.

    Raises:
        Replaced: One has the number of another answer, on another task.
    """
    places = {one.annotation_id: task.task_id for task in answers for one in task.annotations}
    numbers = sorted(places)
    for start in range(0, len(numbers), 500):
        rows = session.execute(
            select(AnnotationRow.ls_annotation_id, AnnotationRow.ls_task_id).where(
                AnnotationRow.server_id == server.id,
                AnnotationRow.epoch == server.epoch,
                AnnotationRow.ls_annotation_id.in_(numbers[start : start + 500]),
            )
        )
        for number, task_id in rows:
            if task_id not in {None, places[number]}:
                raise Replaced(
                    f"answer {number} is on task {places[number]}, and the one of that number was on "
                    f"task {task_id}"
                )


def _prove_by_probe(outside: Outside, client: LabelStudio, lane: LaneRow, top: int) -> None:
    with outside.db.read() as session:
        known = marks_of(session, find_server(session, lane.server_id))
    next_ids = client.probe_ids()
    if next_ids.annotation_id <= max(top, known.annotation_id) or next_ids.task_id <= known.task_id:
        raise Replaced(
            f"answers or tasks that we know are gone, and the next answer there gets number "
            f"{next_ids.annotation_id} where number {max(top, known.annotation_id)} was given out before"
        )
    _remember(outside, lane.server_id, next_ids)


def freeze(outside: Outside, server_id: int, reason: str) -> None:
    """Stop all work with a server whose database was replaced: nothing is sent, nothing read as deleted."""
    now = outside.now()
    with outside.db.write() as session:
        server = find_server(session, server_id)
        if server.state == FROZEN:
            return
        sentence = f"Label Studio `{server.name}` seems to have been restored from an older state: {reason}"
        row = life_of(outside, session, server)
        row.frozen_at, row.reason = now, reason
        mark_server(session, server_id, FROZEN, sentence, now)
        session.execute(
            update(LaneRow)
            .where(LaneRow.server_id == server_id)
            .values(state=LaneState.FROZEN, problem="its server seems to have been restored; nothing is sent")
            .execution_options(synchronize_session=False)
        )
        report_incident(
            session,
            SERVER_RESTORED,
            f"server:{server_id}",
            f"{sentence}. Its lanes are frozen: nothing is sent, nothing is read as deleted.",
            now=now,
            severity="bad",
            remedy=REMEDY,
        )
    log.error("a server seems to have been restored", server=server.name, reason=reason)


def _known(session: Session, visits: Mapping[int, VisitRow]) -> dict[int, dict[int, AnnotationRow]]:
    """What we know of each visit's task, by visit and number."""
    found: dict[int, dict[int, AnnotationRow]] = {}
    by_id = {visit.id: visit for visit in visits.values()}
    ids = list(by_id)
    for start in range(0, len(ids), 500):
        rows = session.scalars(
            select(AnnotationRow).where(AnnotationRow.visit_id.in_(ids[start : start + 500]))
        )
        for row in rows:
            visit = by_id[row.visit_id]
            if row.epoch == visit.epoch and row.ls_task_id in {None, visit.ls_task_id}:
                found.setdefault(visit.id, {})[row.ls_annotation_id] = row
    return found


def _remember(outside: Outside, server_id: int, ids: HighIds) -> None:
    with outside.db.write() as session:
        server = find_server(session, server_id)
        raise_marks(outside, session, server, Marks(ids.project_id, ids.task_id, ids.annotation_id))
