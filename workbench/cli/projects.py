"""`workbench project`: projects as documents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.opening import caller, opened
from workbench.cli.terminal import DIFFERENT, ERROR, JsonFlag, painted, show, show_table

if TYPE_CHECKING:
    from workbench.projects.specification import ProjectSpecification

app = typer.Typer(help="Create, change and show projects.", no_args_is_help=True)
FileOption = Annotated[Path, typer.Option("--file", "-f", help="Project document, YAML or JSON.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]


@app.command()
def create(
    context: typer.Context, file: FileOption, dry_run: DryRun = False, as_json: JsonFlag = False
) -> None:
    """Make a new project from a document."""
    _set_up(context, file, must_be_new=True, dry_run=dry_run, as_json=as_json)


@app.command()
def apply(
    context: typer.Context,
    file: FileOption,
    dry_run: DryRun = False,
    plan: Annotated[
        str, typer.Option("--plan", help="Digest of a plan: refuse if anything changed since it was made.")
    ] = "",
    as_json: JsonFlag = False,
) -> None:
    """Make a project what its document says; the same document twice changes nothing."""
    _set_up(context, file, must_be_new=False, dry_run=dry_run, as_json=as_json, plan=plan)


@app.command()
def plan(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="Project document, YAML or JSON.")],
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="End with 4 where something would change, with 0 where not.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Show what applying a document would do, what of it cannot be taken back, and the digest to apply it by.

    Ends with 1 where the document cannot be applied.
    """
    from workbench.setup.planning import plan_project

    specification = _read(file)
    with opened(context) as outside:
        made = plan_project(outside, specification)
    show(made.value(), [painted(line, mark) for mark, line in made.lines()], as_json=as_json)
    if made.refused:
        raise typer.Exit(ERROR)
    if exit_code and not made.unchanged:
        raise typer.Exit(DIFFERENT)


@app.command("list")
def list_(context: typer.Context, as_json: JsonFlag = False) -> None:
    """List all projects."""
    from workbench.setup.cards import project_cards

    with opened(context) as outside, outside.db.read() as session:
        rows = [
            {
                "project": card.key,
                "title": card.title,
                "state": card.state,
                "items": card.items,
                "finished": card.finished,
                "waiting_for_people": card.waiting,
                "cost": card.cost,
                "currency": card.currency,
                "last_answer": card.last_answer,
            }
            for card in project_cards(session)
        ]
    columns = ("project", "title", "state", "items", "finished", "waiting_for_people", "cost", "currency")
    show_table(
        rows, columns, as_json=as_json, empty="no projects yet; make one with `workbench project create -f`"
    )


@app.command("show")
def show_(
    context: typer.Context,
    project: Annotated[str, typer.Argument(help="The project's id.")],
    as_json: JsonFlag = False,
) -> None:
    """Show a project: its document, and its figures as they stand on its page."""
    from workbench.overview.figures import project_figures
    from workbench.projects.reading import to_yaml
    from workbench.projects.service import specification_of
    from workbench.projects.store import find_project

    with opened(context) as outside, outside.db.read() as session:
        row = find_project(session, project)
        specification, state = specification_of(row), row.state
        figures = project_figures(session, row, outside.now())
    value = {"state": state, "figures": figures.to_json(), "specification": specification.document()}
    lines = [
        f"# state: {state}",
        *(f"# {name}: {_figure(number)}" for name, number in figures.headline().items()),
        to_yaml(specification).rstrip(),
    ]
    show(value, lines, as_json=as_json)


def _figure(number: object) -> str:
    return "not enough answers" if number is None else str(number)


@app.command()
def schema(as_json: JsonFlag = False) -> None:
    """Print the JSON Schema of project documents."""
    from workbench.projects.specification import json_schema

    show(json_schema(), [json.dumps(json_schema(), indent=2, ensure_ascii=False)], as_json=as_json)


@app.command()
def check(file: FileOption, as_json: JsonFlag = False) -> None:
    """Check a document without touching any database."""
    specification = _read(file)
    show(
        {"id": specification.id, "valid": True},
        [f"{file.name}: valid, project `{specification.id}`"],
        as_json=as_json,
    )


@app.command()
def pause(context: typer.Context, project: str, as_json: JsonFlag = False) -> None:
    """Stop sending items to people and models; what is in Label Studio stays."""
    _set_state(context, project, "paused", as_json=as_json)


@app.command()
def resume(context: typer.Context, project: str, as_json: JsonFlag = False) -> None:
    """Let a paused or closed project go on."""
    _set_state(context, project, "active", as_json=as_json)


@app.command()
def close(context: typer.Context, project: str, as_json: JsonFlag = False) -> None:
    """End a project; its data stay."""
    _set_state(context, project, "closed", as_json=as_json)


def _read(file: Path) -> ProjectSpecification:
    from workbench.projects.reading import read_file

    return read_file(file)


def _set_up(
    context: typer.Context, file: Path, *, must_be_new: bool, dry_run: bool, as_json: bool, plan: str = ""
) -> None:
    from workbench.setup.service import set_up_project

    specification = _read(file)
    with opened(context) as outside:
        done = set_up_project(
            outside, specification, caller(), must_be_new=must_be_new, dry_run=dry_run, plan=plan
        )
    show(done.value(), done.sentences(), as_json=as_json)


def _set_state(context: typer.Context, project: str, state: str, *, as_json: bool) -> None:
    from workbench.projects.domain import ProjectState
    from workbench.setup.service import set_project_state

    with opened(context) as outside:
        now_in = set_project_state(outside, project, ProjectState(state), caller())
    show({"project": project, "state": now_in}, [f"project `{project}` is {now_in}"], as_json=as_json)
