"""Pages on which a file becomes items: upload, say what its columns mean, watch, see what became of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Form, Request, UploadFile
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.responses import Response

from workbench.auth.access import Caller, require
from workbench.auth.domain import Permission
from workbench.errors import InvalidInput, TooLarge
from workbench.items.reading.detect import MEANINGS, ColumnMapping
from workbench.items.service import save_upload, start_import
from workbench.items.uploads.download import rejects_file
from workbench.items.uploads.files import find_upload, kept_preview, upload_id_of
from workbench.items.uploads.store import find_import, imports_of, jobs_of_imports
from workbench.items.uploads.views import view_of, views_of
from workbench.outside import Outside
from workbench.web.current import Out, RowId
from workbench.web.live import changes
from workbench.web.render import page, redirect

router = APIRouter()


@router.get("/projects/{key}/import")
def import_page(
    request: Request, outside: Out, caller: Caller = require(Permission.ITEMS_IMPORT)
) -> Response:
    """Choose a file; what was imported before."""
    return _choose(request, outside, caller)


@router.post("/projects/{key}/import")
def upload(
    request: Request,
    outside: Out,
    file: Annotated[UploadFile, File()],
    caller: Caller = require(Permission.ITEMS_IMPORT),
) -> Response:
    """Keep the file and show what it holds."""
    name = file.filename or "items"
    try:
        path = save_upload(outside, caller.here.id, name, file.file)
        kept_preview(path, name)
    except (InvalidInput, TooLarge) as problem:
        return _choose(request, outside, caller, error=str(problem), status=problem.status)
    return redirect(request, f"/projects/{caller.here.key}/import/files/{upload_id_of(path)}")


@router.get("/projects/{key}/import/files/{upload_id}")
def preview_page(
    request: Request, outside: Out, upload_id: str, caller: Caller = require(Permission.ITEMS_IMPORT)
) -> Response:
    """The file's first rows, and what its columns seem to mean."""
    return _preview(request, outside, caller, upload_id)


@router.post("/projects/{key}/import/files/{upload_id}")
def start(
    request: Request,
    outside: Out,
    upload_id: str,
    text: Annotated[str, Form()] = "",
    external_id: Annotated[str, Form()] = "",
    language: Annotated[str, Form()] = "",
    region: Annotated[str, Form()] = "",
    sensitivity: Annotated[str, Form()] = "",
    reference: Annotated[str, Form()] = "",
    split: Annotated[str, Form()] = "",
    caller: Caller = require(Permission.ITEMS_IMPORT),
) -> Response:
    """Start the import with this meaning of the columns."""
    given = {
        "text": text,
        "external_id": external_id,
        "language": language,
        "region": region,
        "sensitivity": sensitivity,
        "reference": reference,
        "split": split,
    }
    known, path = find_upload(outside, caller.here.id, upload_id)
    try:
        seen = kept_preview(path, known.file_name, split)
        with outside.db.write(project=caller.here.id) as session:
            import_id, _ = start_import(
                outside,
                session,
                caller.here.id,
                path,
                known.file_name,
                ColumnMapping.of(given),
                caller.email,
                seen=seen,
            )
    except InvalidInput as problem:
        return _preview(request, outside, caller, upload_id, given=given, error=str(problem), status=422)
    return redirect(request, f"/projects/{caller.here.key}/import/{import_id}")


@router.get("/projects/{key}/import/{import_id}")
def result_page(
    request: Request, outside: Out, import_id: RowId, caller: Caller = require(Permission.ITEMS_READ)
) -> Response:
    """How far one import is, or what became of its rows."""
    return _result(request, outside, caller, import_id, "items/import_result.html")


@router.get("/projects/{key}/import/{import_id}/progress")
def progress(
    request: Request, outside: Out, import_id: RowId, caller: Caller = require(Permission.ITEMS_READ)
) -> Response:
    """The part of that page that changes."""
    return _result(request, outside, caller, import_id, "items/import_progress.html")


def _known_import(outside: Out, import_id: RowId, caller: Caller = require(Permission.ITEMS_READ)) -> int:
    """The import's id; looked for before a stream begins, which could no longer say 404."""
    with outside.db.read() as session:
        return find_import(session, import_id, project_id=caller.here.id).id


@router.get("/projects/{key}/import/{import_id}/live", response_class=EventSourceResponse)
async def live(
    request: Request,
    outside: Out,
    import_id: Annotated[int, Depends(_known_import)],
    caller: Caller = require(Permission.ITEMS_READ),
) -> AsyncIterator[ServerSentEvent]:
    """Says when the import went on."""
    project_id = caller.here.id

    def version() -> object:
        with outside.db.read() as session:
            row = find_import(session, import_id, project_id=project_id)
            one = view_of(row, jobs_of_imports(session, [row]).get(row.job_id))
            return (one.state, one.read, one.total)

    async for event in changes(request, version):
        yield event


@router.get("/projects/{key}/import/{import_id}/rejects")
def rejects(outside: Out, import_id: RowId, caller: Caller = require(Permission.ITEMS_IMPORT)) -> Response:
    """The rejected rows with line and reason, as a file."""
    with outside.db.read() as session:
        return rejects_file(find_import(session, import_id, project_id=caller.here.id))


def _choose(
    request: Request, outside: Outside, caller: Caller, *, error: str = "", status: int = 200
) -> Response:
    with outside.db.read() as session:
        rows = imports_of(session, caller.here.id)
        imports = views_of(rows, jobs_of_imports(session, rows))
    limit = outside.settings.max_upload_mb
    return page(request, "items/import.html", status=status, imports=imports, limit_mb=limit, error=error)


def _preview(
    request: Request,
    outside: Outside,
    caller: Caller,
    upload_id: str,
    *,
    given: dict[str, Any] | None = None,
    error: str = "",
    status: int = 200,
) -> Response:
    known, path = find_upload(outside, caller.here.id, upload_id)
    seen = kept_preview(path, known.file_name)
    return page(
        request,
        "items/import_preview.html",
        status=status,
        upload=known,
        seen=seen,
        chosen=given or seen.mapping.document(),
        meanings=MEANINGS,
        error=error,
    )


def _result(request: Request, outside: Outside, caller: Caller, import_id: int, template: str) -> Response:
    with outside.db.read() as session:
        row = find_import(session, import_id, project_id=caller.here.id)
        shown = view_of(row, jobs_of_imports(session, [row]).get(row.job_id))
    return page(request, template, one=shown)
