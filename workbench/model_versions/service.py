"""Registering model versions and choosing the one that is live."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from models.errors import LabelsDontMatch
from models.inspection import inspect
from models.interface import Inspection, Kind, ModelSpec
from workbench.activity.store import record
from workbench.errors import InvalidInput
from workbench.model_versions import store
from workbench.model_versions.tables import ModelVersionRow
from workbench.outside import Outside
from workbench.projects.tables import ProjectRow

list_versions = store.versions_of


def to_document(spec: ModelSpec) -> dict[str, Any]:
    """A specification as JSON."""
    return dataclasses.asdict(spec) | {"kind": spec.kind.value, "labels": list(spec.labels)}


def to_spec(document: Mapping[str, Any]) -> ModelSpec:
    """A stored specification, ready to load."""
    return ModelSpec(**{**document, "kind": Kind(document["kind"]), "labels": tuple(document["labels"])})


def inspect_folder(folder: Path) -> Inspection:
    """What a folder holds: its kind, labels, hashes and size.

    It reads and hashes every file, which can take a minute: do it before a transaction, not within one.

    Raises:
        InvalidInput: There is no such folder.
        ModelUnavailable: It holds no model known here.
        WeightsRefused: It holds something that is not loaded (pickle, remote code).
    """
    try:
        is_there = folder.is_dir()
    except OSError:  # such as a name that no file system takes
        is_there = False
    if not is_there:
        raise InvalidInput(
            f"there is no folder {str(folder)[:500]}; give the folder that holds the model's files"
        )
    return inspect(folder)


def register_version(
    outside: Outside,
    session: Session,
    project: ProjectRow,
    folder: Path,
    *,
    labels: tuple[str, ...],
    by: str,
    name: str = "",
    label_map: Mapping[str, str] | None = None,
    trained: Mapping[str, Any] | None = None,
    found: Inspection | None = None,
) -> ModelVersionRow:
    """A new immutable version from a model's folder; the very same files again are the version there is.

    Args:
        outside: For clock and prices.
        session: An open write transaction.
        project: Whose model it is.
        folder: A folder with safetensors weights, on this machine.
        labels: The project's labels, in order.
        by: Who registers it.
        name: What to call it; the folder's name if empty.
        label_map: The model's own label to the project's, where they differ.
        trained: Facts of a training done here, shown on the card.
        found: What `inspect_folder` said of the folder before the transaction began, so that others need
            not wait while weights are hashed; read now if not given.

    Raises:
        LabelsDontMatch: The model gives a label that the project does not have.
        WeightsRefused: The folder holds something that is not loaded (pickle, remote code).
        InvalidInput: There is no such folder.
    """
    found = found or inspect_folder(folder)
    mapped = dict(label_map or {})
    given = {mapped.get(label, label) for label in found.spec.labels}
    if unknown := sorted(given - set(labels)):
        raise LabelsDontMatch(tuple(unknown), labels, where=str(folder))
    spec = dataclasses.replace(found.spec, labels=labels, label_map=mapped, uri=str(folder.resolve()))
    document = to_document(spec)
    for row in store.versions_of(session, project.id):
        if row.specification["sha256"] == document["sha256"] and row.specification["label_map"] == mapped:
            return row
    name = name or folder.name
    row = ModelVersionRow(
        project_id=project.id,
        name=name,
        version=store.next_number(session, project.id, name),
        kind=spec.kind.value,
        specification=document,
        card={
            "licence": found.licence,
            "parameters": found.parameters,
            "size_bytes": found.size_bytes,
            "trained_on": found.trained_on,
            "evaluation": found.evaluation,
            **(trained or {}),
        },
        stage="registered",
        price_per_hour=outside.settings.machine_price_per_hour,
        created_at=outside.now(),
        created_by=by,
    )
    session.add(row)
    session.flush()
    record(
        session,
        at=outside.now(),
        actor=by,
        verb="model.registered",
        about=f"model:{row.id}",
        project_id=project.id,
        after={"model": f"{row.name}@{row.version}", "kind": row.kind, "sha256": document["sha256"]},
    )
    return row


def promote(session: Session, project_id: int, version_id: int, *, by: str, now: datetime) -> ModelVersionRow:
    """Make a version live; the one before is retired. Items already decided keep their decision."""
    row = store.find_version(session, project_id, version_id)
    live = store.live_version(session, project_id)
    if live is not None and live.id != row.id:
        live.stage, live.retired_at = "retired", now
        session.flush()
    if row.stage != "live":
        record(
            session,
            at=now,
            actor=by,
            verb="model.promoted",
            about=f"model:{row.id}",
            project_id=project_id,
            before={"live": f"{live.name}@{live.version}" if live is not None else None},
            after={"live": f"{row.name}@{row.version}"},
        )
        row.stage, row.live_since, row.retired_at = "live", now, None
        row.card = {**row.card, "promoted_by": by}
    session.flush()
    return row
