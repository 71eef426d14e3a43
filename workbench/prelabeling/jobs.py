"""The job that pre-labels a project's new items with its live model."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.interface import Predictor
from workbench.errors import WrongState
from workbench.items.domain import ItemState
from workbench.items.store import counts_by_state, move_items, states_of
from workbench.jobs.definition import JobKind, JobRun, Json
from workbench.model_versions.service import to_spec
from workbench.model_versions.store import find_version, live_version
from workbench.outside import Outside
from workbench.prelabeling.domain import prediction_rows, share_cost
from workbench.prelabeling.store import add_predictions, texts_to_predict
from workbench.projects.store import project_by_id
from workbench.tallies.service import machine_cost

PRELABEL = "prelabel"


def run(job: JobRun, arguments: dict[str, Any]) -> Json:
    """Predict chunk by chunk until no item waits."""
    plan = job.step(begin, arguments["project_id"])
    done = 0
    while True:
        chunk = job.step(predict_chunk, arguments["project_id"], plan["model_version_id"])
        done += chunk["items"]
        if chunk["items"] == 0:
            return {"items": done, "model_version_id": plan["model_version_id"]}
        job.progress(done, max(plan["items"], done), f"{chunk['per_second']:.0f} items per second")


def begin(outside: Outside, project_id: int) -> dict[str, Any]:
    """Which version predicts, and how many items wait."""
    with outside.db.read() as session:
        version = live_version(session, project_id)
        if version is None:
            raise WrongState(
                "the project has no live model; register one and make it live, then resume the job"
            )
        waiting = counts_by_state(session, project_id)[ItemState.IMPORTED]
        return {"model_version_id": version.id, "items": waiting}


def predict_chunk(outside: Outside, project_id: int, model_version_id: int) -> dict[str, Any]:
    """Predictions for the next chunk, stored with their cost in one transaction."""
    with outside.db.read() as session:
        project = project_by_id(session, project_id)
        version = find_version(session, project_id, model_version_id)
        waiting = texts_to_predict(session, project_id, project.text_field, outside.settings.chunk_items)
    if not waiting:
        return {"items": 0, "per_second": 0.0}
    predictor: Predictor = outside.load_model(to_spec(version.specification))
    scores = predictor.predict([text or "" for _, text in waiting])
    item_ids = [item_id for item_id, _ in waiting]
    costs = dict(
        zip(item_ids, share_cost(scores.seconds, version.price_per_hour, len(item_ids)), strict=True)
    )
    # Nothing was read where there is no text: whatever the model makes of that is no answer.
    probabilities = np.array(scores.probabilities)
    probabilities[[text is None for _, text in waiting]] = np.nan
    now = outside.now()
    rows = prediction_rows(item_ids, version.id, predictor.labels, probabilities, list(costs.values()), now)
    with outside.db.write(project=project_id) as session:
        # Another job may have moved some on while the model worked.
        states = states_of(session, item_ids)
        item_ids = [item_id for item_id in item_ids if states[item_id][1] is ItemState.IMPORTED]
        mine = set(item_ids)
        add_predictions(session, [row for row in rows if row["item_id"] in mine])
        move_items(
            session,
            item_ids,
            ItemState.PREDICTED,
            at=now,
            actor="prelabel",
            reason=f"predicted by {version.name} v{version.version}",
            because={item_id: {"model_version_id": version.id} for item_id in item_ids},
        )
        machine_cost(
            session,
            project_id,
            {item_id: costs[item_id] for item_id in item_ids},
            source_id=str(version.id),
            currency=project.currency,
            now=now,
            note=f"{version.name} v{version.version}",
        )
    return {"items": len(waiting), "per_second": len(waiting) / max(float(scores.seconds), 1e-6)}


JOB = JobKind(PRELABEL, run, unit="items")
