"""`workbench item`: items in and labels out."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.opening import caller, opened
from workbench.cli.terminal import ERROR, JsonFlag, complain, progress, show
from workbench.errors import InvalidInput, NotFound, Unavailable

if TYPE_CHECKING:
    from workbench.outside import Outside

app = typer.Typer(help="Bring items in, take labels out.", no_args_is_help=True)
ProjectOption = Annotated[str, typer.Option("--project", "-p", help="The project's id.")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the job has ended.")]
Column = Annotated[str, typer.Option(help="Name of the column.")]
_NO_WORKER_S = 60
_ENDED = {"done", "failed", "cancelled"}


@app.command("import")
def import_(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(help="CSV, JSONL, XLSX, Parquet, or the folder of a saved dataset.")
    ],
    project: ProjectOption,
    text: Column = "",
    id_: Annotated[str, typer.Option("--id", help="Column with the owner's id.")] = "",
    language: Column = "",
    region: Column = "",
    reference: Column = "",
    split: Annotated[str, typer.Option(help="Part of a dataset with several: train, test …")] = "",
    leave_out: Annotated[
        list[str] | None, typer.Option("--leave-out", help="Column that is not kept; may be repeated.")
    ] = None,
    wait: Wait = True,
    as_json: JsonFlag = False,
) -> None:
    """Bring a file's rows in; rows that are there already are left alone."""
    from workbench.items.reading.detect import ColumnMapping, preview
    from workbench.items.service import start_import
    from workbench.items.uploads.files import opened_source, save_upload
    from workbench.projects.store import find_project

    if not file.exists():
        raise NotFound(f"there is no file {file}; check the name and the folder")
    with opened(context) as outside:
        with outside.db.read() as session:
            project_id = find_project(session, project).id
        with opened_source(file) as stream:
            path = save_upload(outside, project_id, file.name, stream)
        seen = preview(path, file.name, split=split)
        given = {
            "text": text, "external_id": id_, "language": language, "region": region, "reference": reference,
            "split": split, "left_out": leave_out,
        }  # fmt: skip
        guessed = {key: one for key, one in seen.mapping.document().items() if one not in (leave_out or [])}
        mapping = ColumnMapping.of({**guessed, **{key: one for key, one in given.items() if one}})
        with outside.db.write() as session:
            _, job_id = start_import(
                outside, session, project_id, path, file.name, mapping, caller(), seen=seen
            )
        _finish(outside, job_id, wait=wait, as_json=as_json)


@app.command()
def export(
    context: typer.Context,
    project: ProjectOption,
    format_: Annotated[
        str, typer.Option("--format", help="jsonl, csv, parquet, datasets or ls-json.")
    ] = "jsonl",
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Copy the file there.")] = None,
    wait: Wait = True,
    as_json: JsonFlag = False,
) -> None:
    """Write all final labels with their provenance, a manifest and SHA-256."""
    import shutil

    from workbench.deliveries.service import start_delivery
    from workbench.deliveries.store import delivery_of_job
    from workbench.projects.store import find_project

    if output is not None and not wait:
        raise InvalidInput("--output needs --wait: the file is there when the job has ended")
    with opened(context) as outside:
        with outside.db.write() as session:
            project_id = find_project(session, project).id
            job_id = start_delivery(outside, session, project_id, format_, caller())
        _finish(outside, job_id, wait=wait, as_json=as_json)
        if output is not None:
            with outside.db.read() as session:
                made = Path(delivery_of_job(session, job_id).path)
            shutil.copyfile(made, output / made.name if output.is_dir() else output)


def _finish(outside: Outside, job_id: str, *, wait: bool, as_json: bool) -> None:
    """Prints the job, ended if it was waited for; a failed job ends the command."""
    job = _wait(outside, job_id) if wait else _look(outside, job_id)
    show(job, _lines(job), as_json=as_json)
    if job["state"] in {"failed", "cancelled"}:
        complain(Unavailable(job["problem"] or f"the job was {job['state']}"))
        raise typer.Exit(ERROR)


def _wait(outside: Outside, job_id: str) -> dict[str, Any]:
    began, shown = time.monotonic(), ""
    while True:
        job = _look(outside, job_id)
        if job["state"] in _ENDED:
            return job
        line = f"{job['kind']}: {job['state']}, {job['done']} of {job['total']} {job['unit']}"
        if line != shown:
            progress(line)
            shown = line
        if job["state"] == "queued" and time.monotonic() - began > _NO_WORKER_S:
            raise Unavailable(
                f"no worker took job {job_id} in {_NO_WORKER_S} s; start one with `workbench serve` or "
                "`workbench worker`, it then does the job"
            )
        time.sleep(0.3)


def _look(outside: Outside, job_id: str) -> dict[str, Any]:
    from workbench.jobs.store import find_job

    with outside.db.read() as session:
        row = find_job(session, job_id)
        names = ("id", "kind", "state", "done", "total", "unit", "problem", "result")
        return {name: getattr(row, name) for name in names}


def _lines(job: dict[str, Any]) -> list[str]:
    lines = [
        f"job {job['id']} ({job['kind']}): {job['state']}, {job['done']} of {job['total']} {job['unit']}"
    ]
    if isinstance(job["result"], dict):
        lines += [f"  {name.replace('_', ' ')}: {value}" for name, value in job["result"].items()]
    return lines


@app.command()
def recall(
    context: typer.Context,
    ids: Annotated[list[str], typer.Argument(help="Opaque ids of the items.")],
    project: ProjectOption,
    reason: Annotated[str, typer.Option(help="Why, for the items' history.")] = "",
    as_json: JsonFlag = False,
) -> None:
    """Take items back from people; the policy decides once more. Answers that came are kept."""
    _recall(context, ids, project, pool="", stage="label", reason=reason, as_json=as_json)


@app.command()
def reroute(
    context: typer.Context,
    ids: Annotated[list[str], typer.Argument(help="Opaque ids of the items.")],
    project: ProjectOption,
    pool: Annotated[str, typer.Option(help="Key of the pool that labels them instead.")],
    stage: Annotated[str, typer.Option(help="label, review or adjudicate.")] = "label",
    reason: Annotated[str, typer.Option(help="Why, for the items' history.")] = "",
    as_json: JsonFlag = False,
) -> None:
    """Take items back from people and send them to another pool. Answers that came are kept."""
    _recall(context, ids, project, pool=pool, stage=stage, reason=reason, as_json=as_json)


def _recall(
    context: typer.Context,
    ids: list[str],
    project: str,
    *,
    pool: str,
    stage: str,
    reason: str,
    as_json: bool,
) -> None:
    from dataclasses import asdict

    from workbench.items.domain import Stage
    from workbench.labeling import recalling
    from workbench.projects.store import find_project

    if stage not in list(Stage):
        raise InvalidInput(f"there is no stage {stage!r}; choose {', '.join(Stage)}")
    route = recalling.Route(pool, Stage(stage), to_decision=not pool)
    with opened(context) as outside, outside.db.write() as session:
        project_id = find_project(session, project).id
        done = recalling.recall(outside, session, project_id, ids, route=route, by=caller(), reason=reason)
    show(asdict(done), [recalling.words_of(done, to_decision=route.to_decision)], as_json=as_json)
