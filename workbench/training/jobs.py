"""Training a head on what people said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from models.interface import RuntimeOptions
from workbench.errors import WrongState
from workbench.jobs.definition import JobKind, JobRun, Json
from workbench.model_versions.service import inspect_folder, promote, register_version
from workbench.outside import Outside
from workbench.projects.store import label_values, project_by_id
from workbench.training.store import examples_of

TRAIN = "train"
SEED = 7


def run(job: JobRun, arguments: dict[str, Any]) -> Json:
    """Fit a head to all items that people have labelled, register it, and make it live where asked."""
    job.progress(0, 3, "reading people's labels")
    trained = job.step(train, arguments["project_id"], arguments["name"], job.job_id)
    job.progress(2, 3, f"trained on {trained['examples']} items")
    version = job.step(
        register, arguments["project_id"], arguments["name"], trained, arguments["by"], arguments["go_live"]
    )
    job.progress(3, 3, f"version {version['version']} is {version['stage']}")
    return {**trained, **version}


def train(outside: Outside, project_id: int, name: str, job_id: str) -> dict[str, Any]:
    """Embed the texts, fit the head, save it in the data folder; the same labels give the same files."""
    # Torch is only loaded here, in the worker, when a model is really trained.
    from models.encoder import load_default_encoder  # noqa: PLC0415
    from models.linear_head import train_head  # noqa: PLC0415

    with outside.db.read() as session:
        project = project_by_id(session, project_id)
        labels = label_values(session, project_id)
        examples = examples_of(session, project_id, project.text_field)
    if not examples:
        raise WrongState("no item has a label from people yet; let people label some items first")
    encoder = load_default_encoder(options=RuntimeOptions(threads=outside.settings.model_threads or None))
    embeddings = encoder.embed([text for _, text, _ in examples])
    head = train_head(
        embeddings, [label for _, _, label in examples], labels, encoder=encoder.identity, seed=SEED
    )
    folder = outside.settings.data_dir.resolve() / "models" / f"{name}-{job_id}"
    head.save(folder)
    return {
        "folder": str(folder),
        "examples": len(examples),
        "last_item_id": max(item_id for item_id, _, _ in examples),
    }


def register(
    outside: Outside,
    project_id: int,
    name: str,
    trained: dict[str, Any],
    by: str,
    go_live: bool,  # noqa: FBT001
) -> dict[str, Any]:
    """The trained head as a model version."""
    folder = Path(trained["folder"])
    found = inspect_folder(folder)
    with outside.db.write(project=project_id) as session:
        project = project_by_id(session, project_id)
        row = register_version(
            outside,
            session,
            project,
            folder,
            labels=label_values(session, project_id),
            by=by,
            name=name,
            trained={"trained_items": trained["examples"]},
            found=found,
        )
        if go_live:
            promote(session, project_id, row.id, by=by, now=outside.now())
        return {"model_version_id": row.id, "version": row.version, "stage": row.stage}


JOB = JobKind(TRAIN, run, unit="steps")
