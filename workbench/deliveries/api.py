"""Exports as JSON, and their files."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, StrictBool
from starlette.responses import Response

from workbench.auth.access import Caller, require
from workbench.auth.domain import Permission
from workbench.deliveries.domain import Format
from workbench.deliveries.service import note_download, start_delivery
from workbench.deliveries.store import deliveries_of, delivery_of_job, delivery_with
from workbench.deliveries.views import corrections_file, labels_file, manifest_file, view_of
from workbench.jobs.store import find_job
from workbench.web.current import Out

router = APIRouter()


class ExportWanted(BaseModel):
    """What an export shall be."""

    model_config = ConfigDict(extra="forbid")

    format: Format = Format.JSONL
    mark_delivered: StrictBool = False


@router.post("/api/v1/projects/{key}/exports", status_code=202)
def create_export(
    outside: Out, wanted: ExportWanted, caller: Caller = require(Permission.EXPORTS_CREATE)
) -> dict[str, Any]:
    """An export of all final labels as they stand now, asked for."""
    with outside.db.write(project=caller.here.id) as session:
        job_id = start_delivery(
            outside,
            session,
            caller.here.id,
            wanted.format,
            caller.email,
            mark_delivered=wanted.mark_delivered,
        )
        return view_of(delivery_of_job(session, job_id), find_job(session, job_id)).to_json()


@router.get("/api/v1/projects/{key}/exports")
def list_exports(outside: Out, caller: Caller = require(Permission.EXPORTS_READ)) -> dict[str, Any]:
    """The project's newest exports."""
    with outside.db.read() as session:
        rows = deliveries_of(session, caller.here.id)
        return {"exports": [view_of(row, find_job(session, row.job_id)).to_json() for row in rows]}


@router.get("/api/v1/projects/{key}/exports/{export_id}")
def get_export(
    outside: Out, export_id: str, caller: Caller = require(Permission.EXPORTS_READ)
) -> dict[str, Any]:
    """One export with its manifest."""
    with outside.db.read() as session:
        row = delivery_with(session, caller.here.id, export_id)
        return view_of(row, find_job(session, row.job_id)).to_json() | {"manifest": row.manifest}


@router.get("/api/v1/projects/{key}/exports/{export_id}/labels")
def get_labels(outside: Out, export_id: str, caller: Caller = require(Permission.EXPORTS_READ)) -> Response:
    """The labels, as a file."""
    with outside.db.write(project=caller.here.id) as session:
        row = delivery_with(session, caller.here.id, export_id)
        answer = labels_file(row, caller.here.key)
        note_download(session, outside, row, caller.email)
    return answer


@router.get("/api/v1/projects/{key}/exports/{export_id}/manifest")
def get_manifest(outside: Out, export_id: str, caller: Caller = require(Permission.EXPORTS_READ)) -> Response:
    """The manifest, as a file."""
    with outside.db.read() as session:
        return manifest_file(delivery_with(session, caller.here.id, export_id), caller.here.key)


@router.get("/api/v1/projects/{key}/exports/{export_id}/corrections")
def get_corrections(
    outside: Out, export_id: str, caller: Caller = require(Permission.EXPORTS_READ)
) -> Response:
    """What the export corrects of earlier ones, as JSON Lines."""
    with outside.db.read() as session:
        return corrections_file(delivery_with(session, caller.here.id, export_id), caller.here.key)
