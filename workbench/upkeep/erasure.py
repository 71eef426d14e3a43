"""Erasure of items: what they say goes, from Label Studio first; label, cost and history stay."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from integrations.label_studio.convert import CHOICE
from integrations.label_studio.errors import LabelStudioError
from workbench.activity.store import record
from workbench.deliveries.tables import DeliveryRow
from workbench.errors import InvalidInput, NotFound
from workbench.items.domain import UNLABELED, ItemState
from workbench.items.store import move_items
from workbench.items.tables import ImportRow, ItemPartRow, ItemRow
from workbench.labeling.domain import VisitState
from workbench.labeling.lanes import client_of
from workbench.labeling.store import find_lane
from workbench.labeling.tables import AnnotationRevisionRow, AnnotationRow, AnswerRow, VisitRow
from workbench.outside import Outside
from workbench.people.store import find_server
from workbench.projects.tables import ProjectRow
from workbench.upkeep.backup import backup_folder, backups_in
from workbench.upkeep.tables import ErasureRow

CHUNK = 500


def checked_reason(reason: str) -> str:
    """The reason, if it says anything.

    Raises:
        InvalidInput: It is empty or far too long.
    """
    reason = reason.strip()
    if not 3 <= len(reason) <= 500:  # noqa: PLR2004 - a reason is words
        raise InvalidInput("say why this is erased, in 3 to 500 characters; the record keeps it")
    return reason


def items_to_erase(session: Session, project_id: int, external_ids: Sequence[str]) -> list[int]:
    """The rows of items by the owner's ids.

    Raises:
        NotFound: The project lacks one of them; nothing is erased then.
    """
    found: dict[str, int] = {}
    for start in range(0, len(external_ids), CHUNK):
        rows = session.execute(
            select(ItemRow.external_id, ItemRow.id).where(
                ItemRow.project_id == project_id,
                ItemRow.external_id.in_(external_ids[start : start + CHUNK]),
            )
        )
        found.update({external_id: item_id for external_id, item_id in rows})  # noqa: C416 - rows, not pairs
    missing = [one for one in external_ids if one not in found]
    if missing:
        raise NotFound(f"the project has no item {missing[0]!r}; nothing was erased")
    return list(found.values())


def due_for_erasure(session: Session, project_id: int, before: datetime, limit: int = CHUNK) -> list[int]:
    """Items delivered before that moment whose texts are still there."""
    return list(
        session.scalars(
            select(ItemRow.id)
            .where(
                ItemRow.project_id == project_id,
                ItemRow.state == ItemState.DELIVERED,
                ItemRow.state_at < before,
                ItemRow.erased_at.is_(None),
            )
            .order_by(ItemRow.id)
            .limit(limit)
        )
    )


def withdraw(outside: Outside, project_id: int, item_ids: list[int]) -> dict[str, Any]:
    """Take items out of the line, so that nothing sends them again; returns the lanes that may hold them."""
    lanes = set()
    with outside.db.write() as session:
        for chunk in _chunks(item_ids):
            lanes |= set(session.scalars(select(VisitRow.lane_id).where(VisitRow.item_id.in_(chunk))))
            session.execute(
                update(VisitRow)
                .where(VisitRow.item_id.in_(chunk), VisitRow.state != VisitState.ANSWERED)
                .values(state=VisitState.WITHDRAWN)
            )
            open_ones = list(
                session.scalars(
                    select(ItemRow.id).where(
                        ItemRow.project_id == project_id,
                        ItemRow.id.in_(chunk),
                        ItemRow.state.in_(UNLABELED),
                    )
                )
            )
            move_items(
                session, open_ones, ItemState.ERASED, at=outside.now(), actor="erasure", reason="erased"
            )
    return {"lanes": sorted(lanes)}


def remove_tasks(outside: Outside, lane_id: int, item_ids: list[int]) -> dict[str, int]:
    """Delete the items' tasks, and copies of them, from one lane; answers read before are kept here.

    Raises:
        LabelStudioUnavailable: The server does not answer; nothing is erased until it does.
    """
    with outside.db.read() as session:
        lane = find_lane(session, lane_id)
        server = find_server(session, lane.server_id)
        keys = [
            key
            for chunk in _chunks(item_ids)
            for key in session.scalars(
                select(VisitRow.public_id).where(VisitRow.lane_id == lane_id, VisitRow.item_id.in_(chunk))
            )
        ]
    if lane.ls_project_id is None or not keys:
        return {"tasks": 0}
    client = client_of(outside, server)
    if not client.lane_exists(lane.ls_project_id):
        return {"tasks": 0}
    tasks = [task for found in client.find_tasks(lane.ls_project_id, keys).values() for task in found]
    if tasks:
        # Forgotten first: their going must not look like a member's deletion.
        with outside.db.write() as session:
            _forget_tasks(session, lane_id, item_ids)
        client.delete_tasks(lane.ls_project_id, tasks)
    return {"tasks": len(tasks)}


def _forget_tasks(session: Session, lane_id: int, item_ids: list[int]) -> None:
    for chunk in _chunks(item_ids):
        visits = select(VisitRow.id).where(VisitRow.lane_id == lane_id, VisitRow.item_id.in_(chunk))
        session.execute(
            update(AnnotationRow).where(AnnotationRow.visit_id.in_(visits)).values(ls_task_id=None)
        )
        session.execute(
            update(VisitRow)
            .where(VisitRow.lane_id == lane_id, VisitRow.item_id.in_(chunk))
            .values(ls_task_id=None)
        )


def erase_items(
    outside: Outside, project_id: int, item_ids: list[int], reason: str, by: str
) -> dict[str, Any]:
    """Remove what items say from the database; ledger, tallies, labels and moves stay.

    Gone are texts, metadata, the owner's id and the content's hash, and the regions of annotations. Kept
    is the label, who gave it, when, and what it cost. Says where copies lie that are not ours to change.
    """
    now = outside.now()
    left = _copies_left(outside, project_id, item_ids)
    with outside.db.write() as session:
        todo = [
            row
            for chunk in _chunks(item_ids)
            for row in session.scalars(
                select(ItemRow).where(
                    ItemRow.project_id == project_id, ItemRow.id.in_(chunk), ItemRow.erased_at.is_(None)
                )
            )
        ]
        for chunk in _chunks([row.id for row in todo]):
            session.execute(
                update(ItemPartRow).where(ItemPartRow.item_id.in_(chunk)).values(text="", data={})
            )
            annotations = select(AnnotationRow.id).where(AnnotationRow.item_id.in_(chunk))
            session.execute(
                update(AnnotationRevisionRow)
                .where(AnnotationRevisionRow.annotation_id.in_(annotations))
                .values(result=[])
            )
            session.execute(update(AnnotationRow).where(AnnotationRow.item_id.in_(chunk)).values(result=[]))
            # A chosen label stays; spans, transcriptions and remarks repeat what the item says.
            session.execute(
                update(AnswerRow)
                .where(AnswerRow.annotation_id.in_(annotations), AnswerRow.kind != CHOICE)
                .values(value="{}")
            )
        for row in todo:
            about = f"item:{row.public_id}"
            row.external_id, row.content_hash, row.erased_at = f"erased-{row.public_id}", bytes(32), now
            session.add(
                ErasureRow(about=about, project_id=project_id, reason=reason, by=by, at=now, left=left)
            )
        if todo:
            record(
                session,
                at=now,
                actor=by,
                verb="items.erased",
                about=f"project:{project_id}",
                project_id=project_id,
                after={"items": [row.public_id for row in todo][:CHUNK], "reason": reason},
            )
    return {"erased": len(todo), "left": left}


def erase(outside: Outside, project_id: int, item_ids: list[int], reason: str, by: str) -> dict[str, Any]:
    """All of an erasure at once, for what is done anyway in one durable step."""
    for lane_id in withdraw(outside, project_id, item_ids)["lanes"]:
        remove_tasks(outside, lane_id, item_ids)
    return erase_items(outside, project_id, item_ids, reason, by)


def erase_what_is_due(outside: Outside) -> dict[str, Any]:
    """Erase the items that were delivered longer ago than their project keeps them.

    Raises:
        LabelStudioError: A server did not let tasks be deleted; everything else was erased.
    """
    erased = 0
    unreachable: LabelStudioError | None = None
    with outside.db.read() as session:
        kept = session.execute(
            select(ProjectRow.id, ProjectRow.retention_days).where(ProjectRow.retention_days.is_not(None))
        ).all()
    for project_id, days in kept:
        before = outside.now() - timedelta(days=days or 0)
        while True:
            with outside.db.read() as session:
                due = due_for_erasure(session, project_id, before)
            if not due:
                break
            reason = f"kept for {days} days after delivery, as the project says"
            try:
                erased += erase(outside, project_id, due, reason, "retention")["erased"]
            except LabelStudioError as problem:
                # The other projects' servers may answer.
                unreachable = problem
                break
    if unreachable is not None:
        raise unreachable
    return {"erased": erased}


def _copies_left(outside: Outside, project_id: int, item_ids: list[int]) -> list[str]:
    """Files that still hold the texts: uploads, rejected rows, exports, back-ups."""
    uploads: set[str] = set()
    times = []
    with outside.db.read() as session:
        for chunk in _chunks(item_ids):
            for name, created_at in session.execute(
                select(ImportRow.file_name, func.min(ItemRow.created_at))
                .join(ItemRow, ItemRow.import_id == ImportRow.id)
                .where(ItemRow.project_id == project_id, ItemRow.id.in_(chunk))
                .group_by(ImportRow.file_name)
            ):
                uploads.add(name)
                times.append(created_at)
        if not times:
            return []
        oldest = min(times)
        exports = session.scalars(
            select(DeliveryRow.public_id).where(
                DeliveryRow.project_id == project_id, DeliveryRow.created_at >= oldest
            )
        )
        left = [f"upload {name}, and its rejected rows" for name in sorted(uploads)]
        left += [f"export {one}" for one in exports]
    folder = backup_folder(outside.settings)
    return left + [f"back-up {it.folder.name}" for it in backups_in(folder) if it.made_at >= oldest]


def _chunks(ids: Sequence[int]) -> list[list[int]]:
    return [list(ids[start : start + CHUNK]) for start in range(0, len(ids), CHUNK)]
