"""A project's model versions: what they are, how good, and which one is live."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import Response

from workbench.activity.store import record
from workbench.auth.access import Caller, require
from workbench.auth.domain import Permission
from workbench.errors import InvalidInput, WorkbenchError
from workbench.jobs.store import open_job, start_job
from workbench.model_versions.service import inspect_folder, promote, register_version
from workbench.outside import Outside
from workbench.overview.model_pages.figures import model_figures
from workbench.overview.store import count_answered_items, label_values
from workbench.projects.store import find_project
from workbench.web.current import Out, RowId
from workbench.web.render import page, redirect

router = APIRouter()
TRAIN = "train"


def _page(
    request: Request,
    outside: Outside,
    caller: Caller,
    *,
    errors: dict[str, str] | None = None,
    given: dict[str, str] | None = None,
) -> Response:
    with outside.db.read() as session:
        versions = model_figures(session, caller.here.id)
        labels = label_values(session, caller.here.id)
        training = open_job(session, TRAIN, caller.here.id)
        answered = count_answered_items(session, caller.here.id)
    return page(
        request,
        "model_versions/list.html",
        status=422 if errors else 200,
        versions=versions,
        live=next((one for one in versions if one.stage == "live"), None),
        labels=labels,
        training=training,
        answered=answered,
        errors=errors or {},
        given=given or {"folder": "", "name": "", "label_map": ""},
        folders=[str(one) for one in model_folders(outside)],
        costs=caller.may(Permission.COSTS_READ),
    )


@router.get("/projects/{key}/models")
def models_page(request: Request, outside: Out, caller: Caller = require(Permission.MODELS_READ)) -> Response:
    """All versions, a form to register one, and a button to train one."""
    return _page(request, outside, caller)


@router.post("/projects/{key}/models")
def register(
    request: Request,
    outside: Out,
    folder: Annotated[str, Form()] = "",
    name: Annotated[str, Form()] = "",
    label_map: Annotated[str, Form()] = "",
    caller: Caller = require(Permission.MODELS_EDIT),
) -> Response:
    """Registers the model in a folder of this machine."""
    given = {"folder": folder, "name": name, "label_map": label_map}
    field = "folder"
    try:
        path = folder_given(outside, folder)
        field = "label_map"
        mapped = read_label_map(label_map)
        field = "folder"
        registered = register_model(outside, caller, path, name.strip(), mapped)
    except WorkbenchError as problem:
        return _page(request, outside, caller, errors={field: str(problem)}, given=given)
    return redirect(
        request,
        f"/projects/{caller.here.key}/models",
        notice=f"{registered} is registered. Promote it to let it pre-label new items.",
    )


@router.post("/projects/{key}/models/{version_id}/promote")
def promote_version(
    request: Request, outside: Out, version_id: RowId, caller: Caller = require(Permission.MODELS_EDIT)
) -> Response:
    """Makes a version live; the one before is retired."""
    with outside.db.write(project=caller.here.id) as session:
        row = promote(session, caller.here.id, version_id, by=caller.email, now=outside.now())
        name = f"{row.name}@{row.version}"
    return redirect(
        request,
        f"/projects/{caller.here.key}/models",
        notice=f"{name} is live: it pre-labels items from now on. Items already decided keep their decision.",
    )


@router.post("/projects/{key}/models/train")
def train(
    request: Request,
    outside: Out,
    go_live: Annotated[str, Form()] = "",
    caller: Caller = require(Permission.MODELS_EDIT),
) -> Response:
    """Starts a job that trains a head on people's labels."""
    start_training(outside, caller, go_live=bool(go_live))
    return redirect(
        request,
        f"/projects/{caller.here.key}/models",
        notice="Training has begun; the new version appears here when it is done.",
    )


def model_folders(outside: Outside) -> list[Path]:
    """The folders under which models can be registered from a page or the API."""
    return [folder.resolve() for folder in outside.settings.model_folders]


def folder_given(outside: Outside, text: str) -> Path:
    """The folder that somebody typed, with links followed.

    Raises:
        InvalidInput: It is no absolute path, or lies elsewhere than models may: who may sign in to pages
            must not read about the rest of the machine.
    """
    allowed = model_folders(outside)
    path = Path(text.strip())
    if not text.strip() or not path.is_absolute() or "\0" in text:
        raise InvalidInput(f"give the model's folder as an absolute path, such as {allowed[0]}/my-classifier")
    try:
        path = path.resolve()
    except (OSError, RuntimeError):  # a name too long, or links in a circle
        raise InvalidInput("this path cannot be followed; give the model's own folder") from None
    if not any(path.is_relative_to(folder) for folder in allowed):
        raise InvalidInput(
            f"models are registered here from {' or '.join(map(str, allowed))} alone; put the folder there, "
            "or have somebody on the machine run `workbench model register`, which takes any folder"
        )
    return path


def read_label_map(text: str) -> dict[str, str]:
    """The model's labels to the project's, from lines such as `LABEL_0 = Positive`.

    Raises:
        InvalidInput: A line has no equals sign.

    >>> read_label_map("LABEL_0 = Positive")
    {'LABEL_0': 'Positive'}
    """
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        own, equals, ours = line.partition("=")
        if not equals or not own.strip() or not ours.strip():
            raise InvalidInput(f"line {number} of the label map: write `LABEL_0 = Positive`")
        found[own.strip()] = ours.strip()
    return found


def register_model(outside: Outside, caller: Caller, folder: Path, name: str, mapped: dict[str, str]) -> str:
    """Register a folder as a version of the caller's project; its name and number."""
    found = inspect_folder(folder)
    with outside.db.write(project=caller.here.id) as session:
        row = register_version(
            outside,
            session,
            find_project(session, caller.here.key),
            folder,
            labels=label_values(session, caller.here.id),
            by=caller.email,
            name=name,
            label_map=mapped,
            found=found,
        )
        return f"{row.name}@{row.version}"


def start_training(outside: Outside, caller: Caller, *, go_live: bool) -> str:
    """Ask for a training job; one that waits or runs already is the one. Returns its id."""
    project_id = caller.here.id
    with outside.db.write(project=project_id) as session:
        running = open_job(session, TRAIN, project_id)
        if running is not None:
            return running.id
        record(
            session,
            at=outside.now(),
            actor=caller.email,
            verb="training.started",
            about=f"project:{caller.here.key}",
            project_id=project_id,
            after={"go_live": go_live},
        )
        return start_job(
            session,
            TRAIN,
            {
                "project_id": project_id,
                "name": f"{caller.here.key}-head",
                "by": caller.email,
                "go_live": go_live,
            },
            job_id=outside.new_id(),
            project_id=project_id,
            by=caller.email,
            now=outside.now(),
            unit="steps",
        )
