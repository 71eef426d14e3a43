"""Uploaded files go some days after the import that used them ended; what was rejected stays."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from workbench.items.tables import ImportRow
from workbench.jobs.store import OPEN
from workbench.jobs.tables import JobRow
from workbench.outside import Outside


def remove_old_uploads(outside: Outside) -> int:
    """How many uploads were taken away: older than `keep_uploads_days`, and no open import needs them.

    An import that failed or was cancelled can be resumed until then.
    """
    folder = outside.settings.data_dir.resolve() / "uploads"
    if not folder.is_dir():
        return 0
    before = outside.now() - timedelta(days=outside.settings.keep_uploads_days)
    with outside.db.read() as session:
        needed = _needed(session, before)
    removed = 0
    for upload in folder.iterdir():
        # A folder changes when its preview or its unpacked data come: its age is that of its last use.
        if upload.is_dir() and upload not in needed and _changed_at(upload) < before:
            shutil.rmtree(upload, ignore_errors=True)
            removed += 1
    return removed


def _needed(session: Session, before: datetime) -> set[Path]:
    """Folders of uploads whose import goes on, or ended only lately."""
    rows = session.execute(
        select(ImportRow.path, ImportRow.finished_at, ImportRow.created_at, JobRow.state).outerjoin(
            JobRow, JobRow.id == ImportRow.job_id
        )
    )
    return {
        Path(path).parent
        for path, finished_at, created_at, state in rows
        if state in OPEN or (finished_at or created_at) >= before
    }


def _changed_at(folder: Path) -> datetime:
    return datetime.fromtimestamp(folder.stat().st_mtime, UTC)
