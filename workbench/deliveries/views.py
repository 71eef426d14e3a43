"""Exports as pages and the API show them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from starlette.responses import FileResponse

from workbench.deliveries.domain import DeliveryState, Format
from workbench.deliveries.verifying import CORRECTIONS
from workbench.errors import NotFound
from workbench.jobs.store import OPEN

_TYPES = {
    Format.JSONL: "application/x-ndjson",
    Format.CSV: "text/csv; charset=utf-8",
    Format.PARQUET: "application/vnd.apache.parquet",
    Format.DATASETS: "application/zip",
    Format.LABEL_STUDIO: "application/json",
}


class DeliveryOf(Protocol):
    """A delivery's row."""

    public_id: str
    format: str
    state: str
    path: str
    rows: int
    sha256: str
    manifest: dict[str, Any]
    created_at: datetime
    created_by: str


class JobOf(Protocol):
    """A job's row."""

    id: str
    state: str
    done: int
    total: int
    problem: str


@dataclass(frozen=True)
class DeliveryView:
    """One export; `state` is its job's until the files stand."""

    id: str
    job_id: str
    format: str
    state: str
    done: int
    total: int
    rows: int
    bytes: int
    sha256: str
    corrections: int
    problem: str
    created_at: datetime
    created_by: str

    @property
    def is_open(self) -> bool:
        """Whether its job waits or runs."""
        return self.state in OPEN

    @property
    def format_words(self) -> str:
        """Its format as people call it."""
        return Format(self.format).words

    @property
    def is_done(self) -> bool:
        """Whether its files can be downloaded."""
        return self.state == DeliveryState.DONE

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self) | {"created_at": self.created_at.isoformat()}


def view_of(row: DeliveryOf, job: JobOf) -> DeliveryView:
    """One export with how far its job is."""
    files = row.manifest.get("files") or [{"bytes": 0}]
    corrected = sum(int(one["rows"]) for one in files[1:] if one["name"] == CORRECTIONS)
    return DeliveryView(
        id=row.public_id,
        job_id=job.id,
        format=row.format,
        state=row.state if row.state == DeliveryState.DONE else job.state,
        done=job.done,
        total=job.total,
        rows=row.rows,
        bytes=int(files[0]["bytes"]),
        sha256=row.sha256,
        corrections=corrected,
        problem=job.problem,
        created_at=row.created_at,
        created_by=row.created_by,
    )


def labels_file(row: DeliveryOf, project_key: str) -> FileResponse:
    """The export's labels as an attachment.

    Raises:
        NotFound: It is not done, or its files were taken away.
    """
    form = Format(row.format)
    name = f"{project_key}-labels-{row.created_at:%Y%m%d-%H%M%S}.{form.ending}"
    return _attachment(row, Path(row.path or "-"), _TYPES[form], name)


def corrections_file(row: DeliveryOf, project_key: str) -> FileResponse:
    """What the export corrects of earlier ones, as an attachment.

    Raises:
        NotFound: It corrects nothing, is not done, or its files were taken away.
    """
    name = f"{project_key}-corrections-{row.created_at:%Y%m%d-%H%M%S}.jsonl"
    path = Path(row.path or "-").with_name(CORRECTIONS)
    if row.state == DeliveryState.DONE and not path.exists():
        raise NotFound("this export corrects nothing that was delivered before")
    return _attachment(row, path, _TYPES[Format.JSONL], name)


def manifest_file(row: DeliveryOf, project_key: str) -> FileResponse:
    """The export's manifest as an attachment.

    Raises:
        NotFound: It is not done, or its files were taken away.
    """
    name = f"{project_key}-manifest-{row.created_at:%Y%m%d-%H%M%S}.json"
    return _attachment(row, Path(row.path or "-").with_name("manifest.json"), "application/json", name)


def _attachment(row: DeliveryOf, path: Path, media_type: str, name: str) -> FileResponse:
    if row.state != DeliveryState.DONE or not path.exists():
        raise NotFound("the files of this export are not there (yet); look at its state, or make a new one")
    return FileResponse(
        path, media_type=media_type, filename=name, headers={"X-Content-Type-Options": "nosniff"}
    )
