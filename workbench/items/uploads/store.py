"""Queries on imports and on what they add."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased

from workbench.activity.moves import IMPORTED, seal_moves
from workbench.db.bulk import insert_many
from workbench.errors import NotFound
from workbench.items.domain import ItemState
from workbench.items.store import count_states
from workbench.items.tables import ImportRow, ItemMoveRow, ItemPartRow, ItemRow, ReferenceLabelRow
from workbench.jobs.tables import JobRow
from workbench.projects.tables import ProjectLabelRow, ProjectRow

_CHUNK = 500


@dataclass(frozen=True)
class ProjectFacts:
    """What an import must know of its project."""

    text_field: str
    language: str
    labels: frozenset[str]


@dataclass(frozen=True)
class NewItem:
    """An item about to be added, with its parts as rows without item id."""

    public_id: str
    external_id: str
    content_hash: bytes
    language: str
    region: str
    sensitivity: str
    reference: str
    line: int
    parts: list[dict[str, Any]]


def add_import(session: Session, **values: Any) -> ImportRow:
    """A new import with all counts at 0."""
    row = ImportRow(
        state="waiting", rows_read=0, rows_added=0, rows_known=0, rows_conflicting=0, rows_rejected=0,
        rejects_path="", problem="", **values,
    )  # fmt: skip
    session.add(row)
    session.flush()
    return row


def find_import(session: Session, import_id: int, *, project_id: int | None = None) -> ImportRow:
    """The import of that id.

    Raises:
        NotFound: There is none (in the project, where one is given).
    """
    row = session.get(ImportRow, import_id)
    if row is None or project_id not in (None, row.project_id):
        raise NotFound(f"there is no import {import_id}")
    return row


def imports_of(session: Session, project_id: int, *, limit: int = 50) -> list[ImportRow]:
    """The project's newest imports."""
    statement = select(ImportRow).where(ImportRow.project_id == project_id)
    return list(session.scalars(statement.order_by(ImportRow.id.desc()).limit(limit)))


def jobs_of_imports(session: Session, imports: Sequence[ImportRow]) -> dict[str, JobRow]:
    """Their jobs by id; an import that was not made by a job has none."""
    ids = [row.job_id for row in imports]
    return {row.id: row for row in session.scalars(select(JobRow).where(JobRow.id.in_(ids)))}


def project_facts(session: Session, project_id: int) -> ProjectFacts:
    """What an import must know of its project.

    Raises:
        NotFound: There is no such project.
    """
    project = session.get(ProjectRow, project_id)
    if project is None:
        raise NotFound(f"there is no project {project_id}")
    labels = session.scalars(select(ProjectLabelRow.value).where(ProjectLabelRow.project_id == project_id))
    return ProjectFacts(
        project.text_field, str(project.specification.get("language") or ""), frozenset(labels)
    )


def lock_project(session: Session, project_id: int) -> None:
    """Let other imports into the project wait till this transaction ends (SQLite has one writer anyway)."""
    session.execute(select(ProjectRow.id).where(ProjectRow.id == project_id).with_for_update())


def contents_by_external_id(
    session: Session, project_id: int, external_ids: Sequence[str]
) -> dict[str, bytes]:
    """Content hash by external id, of those the project has."""
    found: dict[str, bytes] = {}
    for start in range(0, len(external_ids), _CHUNK):
        rows = session.execute(
            select(ItemRow.external_id, ItemRow.content_hash).where(
                ItemRow.project_id == project_id,
                ItemRow.external_id.in_(external_ids[start : start + _CHUNK]),
            )
        )
        found.update((external_id, content) for external_id, content in rows)
    return found


def add_items(session: Session, source: ImportRow, items: Iterable[NewItem], *, at: datetime) -> None:
    """Add items with parts, reference labels, their first move and the count of their state."""
    items = list(items)
    if not items:
        return
    insert_many(session, ItemRow, (_item(source, item, at) for item in items))
    # Asking once for the ids is several times faster than having each row returned.
    by_public_id = _ids(session, [item.public_id for item in items])
    ids = [by_public_id[item.public_id] for item in items]
    pairs = list(zip(ids, items, strict=True))
    insert_many(session, ItemPartRow, ({"item_id": i, **part} for i, item in pairs for part in item.parts))
    references = [
        {"item_id": i, "label": item.reference, "source": source.file_name[:200]}
        for i, item in pairs
        if item.reference
    ]
    insert_many(session, ReferenceLabelRow, references)
    moves = [_first_move(source, i, item, at) for i, item in pairs]
    seal_moves(session, moves, verb=IMPORTED)
    insert_many(session, ItemMoveRow, moves)
    count_states(session, {(source.project_id, ItemState.IMPORTED): len(ids)})


def _ids(session: Session, public_ids: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for start in range(0, len(public_ids), _CHUNK):
        rows = session.execute(
            select(ItemRow.public_id, ItemRow.id).where(
                ItemRow.public_id.in_(public_ids[start : start + _CHUNK])
            )
        )
        found.update((public_id, item_id) for public_id, item_id in rows)
    return found


def _item(source: ImportRow, item: NewItem, at: datetime) -> dict[str, Any]:
    return {
        "public_id": item.public_id, "project_id": source.project_id, "import_id": source.id,
        "external_id": item.external_id, "content_hash": item.content_hash, "state": ItemState.IMPORTED,
        "language": item.language, "region": item.region, "sensitivity": item.sensitivity, "round": 1,
        "created_at": at, "state_at": at,
    }  # fmt: skip


def _first_move(source: ImportRow, item_id: int, item: NewItem, at: datetime) -> dict[str, Any]:
    return {
        "project_id": source.project_id, "item_id": item_id, "from_state": "", "to_state": ItemState.IMPORTED,
        "at": at, "actor": source.created_by, "reason": f"imported from {source.file_name}",
        "because": {"import_id": source.id, "line": item.line},
    }  # fmt: skip


def same_content_elsewhere(session: Session, source: ImportRow) -> int:
    """How many items of the import say the same as an older item of the project under another id."""
    older = aliased(ItemRow)
    repeated = (
        select(older.id)
        .where(
            older.project_id == ItemRow.project_id,
            older.content_hash == ItemRow.content_hash,
            older.id < ItemRow.id,
        )
        .exists()
    )
    # By the project's index: there is none on the import alone.
    statement = select(func.count()).where(
        ItemRow.project_id == source.project_id, ItemRow.import_id == source.id, repeated
    )
    return session.scalar(statement) or 0
