"""Rejected rows as a file to take away."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from starlette.responses import FileResponse

from workbench.errors import NotFound


class ImportOf(Protocol):
    """What is asked of an import."""

    id: int
    rejects_path: str


def rejects_file(one: ImportOf) -> FileResponse:
    """The rejects as an attachment.

    Raises:
        NotFound: No row was rejected, or the file was taken away.
    """
    path = Path(one.rejects_path) if one.rejects_path else None
    if path is None or not path.exists():
        raise NotFound("this import rejected no row (or is not done yet)")
    return FileResponse(path, media_type="text/csv; charset=utf-8", filename=f"rejects-{one.id}.csv")
