"""Imports as JSON."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, UploadFile
from starlette.responses import Response

from workbench.auth.access import Caller, require
from workbench.auth.domain import Permission
from workbench.errors import InvalidInput
from workbench.items.reading.detect import ColumnMapping
from workbench.items.service import preview, save_upload, start_import
from workbench.items.uploads.download import rejects_file
from workbench.items.uploads.store import find_import, imports_of, jobs_of_imports
from workbench.items.uploads.views import view_of, views_of
from workbench.jobs.store import find_job
from workbench.web.current import Out, RowId

router = APIRouter()


@router.post("/api/v1/projects/{key}/imports", status_code=202)
def create_import(
    outside: Out,
    file: Annotated[UploadFile, File()],
    mapping: Annotated[str, Form()] = "",
    caller: Caller = require(Permission.ITEMS_IMPORT),
) -> dict[str, Any]:
    """The import, asked for; `mapping` is a JSON object of meaning to column, guessed where not given."""
    name = file.filename or "items"
    chosen = _mapping(mapping)
    path = save_upload(outside, caller.here.id, name, file.file)
    seen = preview(path, name)
    with outside.db.write(project=caller.here.id) as session:
        import_id, job_id = start_import(
            outside, session, caller.here.id, path, name, chosen, caller.email, seen=seen
        )
        return view_of(find_import(session, import_id), find_job(session, job_id)).to_json()


@router.get("/api/v1/projects/{key}/imports")
def list_imports(outside: Out, caller: Caller = require(Permission.ITEMS_READ)) -> dict[str, Any]:
    """The project's newest imports with their counts."""
    with outside.db.read() as session:
        rows = imports_of(session, caller.here.id)
        jobs = jobs_of_imports(session, rows)
        return {"imports": [one.to_json() for one in views_of(rows, jobs)]}


@router.get("/api/v1/projects/{key}/imports/{import_id}")
def get_import(
    outside: Out, import_id: RowId, caller: Caller = require(Permission.ITEMS_READ)
) -> dict[str, Any]:
    """One import."""
    with outside.db.read() as session:
        row = find_import(session, import_id, project_id=caller.here.id)
        return view_of(row, jobs_of_imports(session, [row]).get(row.job_id)).to_json()


@router.get("/api/v1/projects/{key}/imports/{import_id}/rejects")
def get_rejects(
    outside: Out, import_id: RowId, caller: Caller = require(Permission.ITEMS_IMPORT)
) -> Response:
    """The rejected rows with line and reason, as CSV."""
    with outside.db.read() as session:
        return rejects_file(find_import(session, import_id, project_id=caller.here.id))


def _mapping(given: str) -> ColumnMapping | None:
    if not given.strip():
        return None
    try:
        document = json.loads(given)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or not all(
        isinstance(value, str) or (name == "left_out" and isinstance(value, list))
        for name, value in document.items()
    ):
        raise InvalidInput(
            'mapping is no JSON object of texts; example: {"text": "comment", "external_id": "id"}'
        )
    return ColumnMapping.of(document)
