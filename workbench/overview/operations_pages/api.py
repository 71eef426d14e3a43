"""How the installation stands, as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter
from fastapi.encoders import jsonable_encoder

from workbench.auth.access import Caller, require
from workbench.auth.domain import Permission
from workbench.overview.operations_pages.pages import acknowledge_as
from workbench.overview.operations_pages.reading import read_operations
from workbench.web.current import Out, RowId

router = APIRouter()


@router.get("/api/v1/operations")
def operations(outside: Out, caller: Caller = require(Permission.OPERATIONS_READ)) -> dict[str, Any]:  # noqa: ARG001
    """Incidents, invariants, workers, inbox and what is done each night."""
    with outside.db.read() as session:
        found = read_operations(session, outside.now())
    value: dict[str, Any] = jsonable_encoder(asdict(found))
    return value


@router.post("/api/v1/operations/incidents/{incident_id}/acknowledge")
def acknowledge(
    outside: Out, incident_id: RowId, caller: Caller = require(Permission.OPERATIONS_READ)
) -> dict[str, Any]:
    """Says that somebody has seen an incident and looks after it."""
    acknowledge_as(outside, caller, incident_id)
    return {"incident": incident_id, "acknowledged_by": caller.email}
