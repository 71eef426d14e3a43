"""Imports as pages and the API show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Protocol

from workbench.jobs.definition import JobState
from workbench.jobs.store import OPEN


class ImportOf(Protocol):
    """An import's row."""

    id: int
    job_id: str
    file_name: str
    format: str
    mapping: dict[str, Any]
    state: str
    rows_read: int
    rows_added: int
    rows_known: int
    rows_conflicting: int
    rows_rejected: int
    rejects_path: str
    problem: str
    created_by: str
    created_at: datetime
    finished_at: datetime | None


class JobOf(Protocol):
    """A job's row."""

    state: str
    total: int
    problem: str
    result: Any


@dataclass(frozen=True)
class ImportView:
    """One import.

    Attributes:
        state: Its job's, so that a cancelled or waiting import is shown as such.
        total: Rows of the file; 0 until it was unfolded.
        same_content: Items that say the same as an older item under another id.
        notes: What was guessed or passed over when reading.
    """

    id: int
    job_id: str
    file_name: str
    format: str
    mapping: dict[str, Any]
    state: str
    total: int
    read: int
    added: int
    known: int
    conflicting: int
    rejected: int
    same_content: int
    notes: list[str]
    has_rejects: bool
    problem: str
    created_by: str
    created_at: datetime
    finished_at: datetime | None

    @property
    def is_open(self) -> bool:
        """Whether its job waits or runs."""
        return self.state in OPEN

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        times = {
            "created_at": self.created_at.isoformat(),
            "finished_at": self.finished_at.isoformat() if self.finished_at else None,
        }
        return asdict(self) | times


def view_of(row: ImportOf, job: JobOf | None) -> ImportView:
    """One import with how far its job is."""
    result = job.result if job is not None and isinstance(job.result, dict) else {}
    # The row cannot hear that its job was cancelled, failed between two steps, or was resumed: the job can.
    state = row.state if job is None or row.state == "done" else job.state
    if state == JobState.DONE and row.state != "done":
        state = JobState.RUNNING
    problem = row.problem or (job.problem if job is not None else "")
    return ImportView(
        id=row.id,
        job_id=row.job_id,
        file_name=row.file_name,
        format=row.format,
        mapping=row.mapping,
        state=state,
        total=job.total if job is not None else row.rows_read,
        read=row.rows_read,
        added=row.rows_added,
        known=row.rows_known,
        conflicting=row.rows_conflicting,
        rejected=row.rows_rejected,
        same_content=int(result.get("same_content", 0)),
        notes=list(result.get("notes", [])),
        has_rejects=bool(row.rejects_path),
        problem="" if state in OPEN else problem,
        created_by=row.created_by,
        created_at=row.created_at,
        finished_at=row.finished_at,
    )


def views_of(rows: Sequence[ImportOf], jobs: Mapping[str, JobOf]) -> list[ImportView]:
    """Imports in the same order."""
    return [view_of(row, jobs.get(row.job_id)) for row in rows]
