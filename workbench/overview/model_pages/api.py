"""A project's model versions as JSON."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, StrictBool

from workbench.auth.access import Caller, require
from workbench.auth.domain import Permission
from workbench.model_versions.service import promote
from workbench.overview.model_pages.figures import model_figures
from workbench.overview.model_pages.pages import folder_given, register_model, start_training
from workbench.web.current import Out, RowId

router = APIRouter()


class ModelGiven(BaseModel):
    """A model's folder on the server; `label_map` maps its labels to the project's where they differ."""

    model_config = ConfigDict(extra="forbid")

    folder: str
    name: str = ""
    label_map: dict[str, str] = {}


class TrainingGiven(BaseModel):
    """Whether the trained version goes live at once."""

    model_config = ConfigDict(extra="forbid")

    go_live: StrictBool = False


@router.get("/api/v1/projects/{key}/models")
def versions(outside: Out, caller: Caller = require(Permission.MODELS_READ)) -> dict[str, Any]:
    """All versions, newest first."""
    with outside.db.read() as session:
        found = model_figures(session, caller.here.id)
    return {"versions": [one.to_json() for one in found]}


@router.post("/api/v1/projects/{key}/models", status_code=201)
def register(
    outside: Out, given: ModelGiven, caller: Caller = require(Permission.MODELS_EDIT)
) -> dict[str, Any]:
    """Registers the model in a folder of the server."""
    folder = folder_given(outside, given.folder)
    return {"version": register_model(outside, caller, folder, given.name, given.label_map)}


@router.post("/api/v1/projects/{key}/models/{version_id}/promote")
def promote_version(
    outside: Out, version_id: RowId, caller: Caller = require(Permission.MODELS_EDIT)
) -> dict[str, Any]:
    """Makes a version live; the one before is retired."""
    with outside.db.write(project=caller.here.id) as session:
        row = promote(session, caller.here.id, version_id, by=caller.email, now=outside.now())
        return {"version": f"{row.name}@{row.version}", "stage": row.stage}


@router.post("/api/v1/projects/{key}/models/train", status_code=202)
def train(
    outside: Out, given: TrainingGiven, caller: Caller = require(Permission.MODELS_EDIT)
) -> dict[str, Any]:
    """Starts a job that trains a head on people's labels."""
    return {"job": start_training(outside, caller, go_live=given.go_live)}
