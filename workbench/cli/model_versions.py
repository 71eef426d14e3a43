"""`workbench model`: versions of a project's model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from workbench.cli.opening import caller, opened
from workbench.cli.terminal import JsonFlag, progress, show, show_table
from workbench.errors import InvalidInput, NotFound

app = typer.Typer(help="Register models and choose the live one.", no_args_is_help=True)
ProjectOption = Annotated[str, typer.Option("--project", "-p", help="The project's id.")]


@app.command()
def register(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Folder with config, tokenizer and safetensors weights.")],
    project: ProjectOption,
    name: Annotated[str, typer.Option(help="What to call it; by default the folder's name.")] = "",
    map_: Annotated[
        list[str] | None, typer.Option("--map", help="MODEL_LABEL=PROJECT_LABEL, as often as needed.")
    ] = None,
    live: Annotated[bool, typer.Option("--promote", help="Make it live at once.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Register an immutable version from a local folder; the same files again are the same version."""
    from workbench.model_versions import service
    from workbench.projects.store import find_project, labels_of_project

    label_map = _label_map(map_ or [])
    with opened(context) as outside:
        with outside.db.read() as session:
            find_project(session, project)
        progress(f"Reading and hashing {folder} …")
        found = service.inspect_folder(folder)
        with outside.db.write() as session:
            row = find_project(session, project)
            labels = tuple(label.value for label in labels_of_project(session, row.id))
            version = service.register_version(
                outside, session, row, folder, labels=labels, by=caller(), name=name, label_map=label_map,
                found=found,
            )  # fmt: skip
            if live:
                service.promote(session, row.id, version.id, by=caller(), now=outside.now())
            value = _value(version)
    show(value, [f"{value['name']}@{value['version']} of `{project}` is {value['stage']}"], as_json=as_json)


@app.command("list")
def list_(context: typer.Context, project: ProjectOption, as_json: JsonFlag = False) -> None:
    """List a project's versions, the newest first."""
    from workbench.model_versions.store import versions_of
    from workbench.projects.store import find_project

    with opened(context) as outside, outside.db.read() as session:
        rows = [_value(row) for row in versions_of(session, find_project(session, project).id)]
    columns = ("name", "version", "kind", "stage", "live_since", "created_at")
    show_table(rows, columns, as_json=as_json, empty="no model versions yet")


@app.command()
def promote(
    context: typer.Context,
    version: Annotated[str, typer.Argument(help="name@number, such as toxic@3; or a name for its newest.")],
    project: ProjectOption,
    as_json: JsonFlag = False,
) -> None:
    """Make a version live; the one before is retired."""
    from workbench.model_versions import service
    from workbench.model_versions.store import versions_of
    from workbench.projects.store import find_project

    name, _, number = version.partition("@")
    with opened(context) as outside, outside.db.write() as session:
        row = find_project(session, project)
        known = versions_of(session, row.id)
        found = next((one for one in known if one.name == name and number in {"", str(one.version)}), None)
        if found is None:
            there = ", ".join(f"{one.name}@{one.version}" for one in known) or "none"
            raise NotFound(f"project `{project}` has no model version {version}; there are: {there}")
        value = _value(service.promote(session, row.id, found.id, by=caller(), now=outside.now()))
    show(value, [f"{value['name']}@{value['version']} is live in `{project}`"], as_json=as_json)


def _label_map(pairs: list[str]) -> dict[str, str]:
    mapped = {}
    for pair in pairs:
        theirs, equals, ours = pair.partition("=")
        if not (theirs and equals and ours):
            raise InvalidInput(f"--map {pair}: write MODEL_LABEL=PROJECT_LABEL, such as --map LABEL_0=spam")
        mapped[theirs] = ours
    return mapped


def _value(row: Any) -> dict[str, Any]:
    names = ("id", "name", "version", "kind", "stage", "live_since", "created_at", "created_by", "card")
    return {name: getattr(row, name) for name in names}
