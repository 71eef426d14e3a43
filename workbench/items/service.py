"""Use cases on items: bring a file in."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.orm import Session

from workbench.activity.store import record
from workbench.errors import InvalidInput
from workbench.items.reading.detect import ColumnMapping, Preview, preview
from workbench.items.uploads.files import save_upload, shown_name
from workbench.items.uploads.store import add_import
from workbench.jobs.store import start_job
from workbench.outside import Outside

__all__ = ["preview", "save_upload", "start_import"]


def start_import(
    outside: Outside,
    session: Session,
    project_id: int,
    path: Path,
    file_name: str,
    mapping: ColumnMapping | None,
    by: str,
    *,
    seen: Preview | None = None,
) -> tuple[int, str]:
    """Ids of the import and of its job, asked for.

    Args:
        outside: The outside.
        session: An open write transaction.
        project_id: Where the items go.
        path: The file; `save_upload` gives one that stays until the job is done.
        file_name: As the user calls it.
        mapping: Which column means what; None: as guessed.
        by: Who asks: a user's e-mail or a part of the machine.
        seen: The file's preview, where it was made already (it reads much of a large file).

    Raises:
        InvalidInput: The file cannot be read, or the mapping names a column it does not have.
    """
    seen = seen or preview(path, file_name, split=mapping.split if mapping else "")
    mapping = mapping or seen.mapping
    if mapping.split and mapping.split not in seen.splits:
        raise InvalidInput(
            f'the file has no split "{mapping.split[:40]}"; its splits are {", ".join(seen.splits) or "none"}'
        )
    missing = [column for column in mapping.named() if column not in seen.columns]
    # Later objects of a JSON file may hold columns which its first ones lack.
    if missing and (seen.format != "jsonl" or mapping.text in missing):
        raise InvalidInput(
            f'the file has no column "{missing[0]}"; its columns are {", ".join(seen.columns[:20])}'
        )
    named = mapping.named()
    if len(set(named)) < len(named):
        raise InvalidInput("one column is given two meanings; choose another column or none for one of them")
    job_id = outside.new_id()
    now = outside.now()
    row = add_import(
        session,
        project_id=project_id,
        job_id=job_id,
        file_name=shown_name(file_name),
        path=str(path.resolve()),
        format=seen.format,
        mapping=mapping.document(),
        created_by=by,
        created_at=now,
    )
    record(
        session,
        at=now,
        actor=by,
        verb="import.started",
        about=f"import:{row.id}",
        project_id=project_id,
        after={"file": row.file_name, "format": row.format, "columns": row.mapping},
    )
    start_job(
        session,
        "import",
        {"import_id": row.id},
        job_id=job_id,
        project_id=project_id,
        by=by,
        now=now,
        unit="rows",
    )
    return row.id, job_id
