"""`workbench activity` and `workbench why`: who did what, and why a label is what it is."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from workbench.cli.opening import opened
from workbench.cli.terminal import CHECK_FAILED, JsonFlag, progress, show, show_table
from workbench.errors import InvalidInput

app = typer.Typer(help="The record of who did what.", no_args_is_help=True)
ProjectOption = Annotated[str, typer.Option("--project", "-p", help="Only this project's.")]


@app.command()
def verify(
    context: typer.Context,
    expect: Annotated[
        list[str] | None,
        typer.Option(help="SEQ:HASH, noted down earlier; as often as needed."),
    ] = None,
    deep: Annotated[bool, typer.Option("--deep", help="Also compare every move of every item.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Check that no event was changed, removed, inserted or cut off; exit code 3 if one was."""
    from workbench.activity.domain import read_anchor
    from workbench.activity.service import verify_installation

    try:
        anchors = [read_anchor(one) for one in expect or []]
    except ValueError as problem:
        raise InvalidInput(f"--expect: {problem}") from None
    with opened(context) as outside:
        progress("Checking the record …")
        found = verify_installation(outside, expected=anchors, deep=deep)
    broken = found.broken
    value = {
        "ok": broken is None,
        "events": found.events,
        "anchor": str(found.last) if found.last else None,
        "anchors_compared": found.anchors,
        "deep": deep,
        "seconds": round(found.seconds, 3),
        "broken": None
        if broken is None
        else {
            "seq": broken.seq,
            "kind": broken.kind,
            "sentence": broken.sentence,
            "remedy": broken.remedy,
        },
    }
    lines = [found.sentence()] if broken is None else [f"{broken.kind}: {broken.sentence}", broken.remedy]
    show(value, lines, as_json=as_json)
    if broken is not None:
        raise typer.Exit(CHECK_FAILED)


@app.command("list")
def list_(
    context: typer.Context,
    project: ProjectOption = "",
    actor: Annotated[str, typer.Option(help="Who: an e-mail address or a part of it.")] = "",
    verb: Annotated[str, typer.Option(help="What: policy.activated, or policy for all of it.")] = "",
    about: Annotated[str, typer.Option(help="To what: policy:12, or policy.")] = "",
    since: Annotated[str, typer.Option(help="From this day on, year-month-day (UTC).")] = "",
    until: Annotated[str, typer.Option(help="Up to and with this day.")] = "",
    people: Annotated[bool, typer.Option("--people", help="Without what the machine moves.")] = False,
    before: Annotated[int | None, typer.Option(min=1, help="Only events before this number.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    as_json: JsonFlag = False,
) -> None:
    """List events, the newest first."""
    from workbench.overview.activity_pages.reading import filter_of, read_events
    from workbench.projects.store import find_project

    given = {"actor": actor, "verb": verb, "about": about, "since": since, "until": until}
    wanted = filter_of(given | ({"people": "yes"} if people else {}))
    with opened(context) as outside, outside.db.read() as session:
        projects = {find_project(session, project).id} if project else None
        found = read_events(session, wanted, before=before, limit=limit, projects=projects)
    if as_json:
        value = {"events": [one.to_json() for one in found.events], "before": found.before}
        show(value, [], as_json=True)
        return
    rows = [
        {
            "seq": one.seq,
            "at": one.at,
            "who": one.actor,
            "did": one.sentence,
            "about": one.thing or f"{one.items} items",
            "project": one.project or None,
            "difference": "; ".join(
                f"{field.path}: {field.before or '-'} → {field.after or '-'}" for field in one.changes[:4]
            ),
        }
        for one in found.events
    ]
    columns = ("seq", "at", "who", "did", "about", "project", "difference")
    show_table(rows, columns, as_json=False, empty="no events")


def why(
    context: typer.Context,
    project: Annotated[str, typer.Argument(help="The project's id.")],
    item: Annotated[str, typer.Argument(help="The item's public id, or its own id in the project.")],
    sql: Annotated[bool, typer.Option("--sql", help="Print the one SQL statement instead.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Say why an item has its label: from the label back to the file it came in."""
    from workbench.overview.item_pages.why import statement_text, why_label
    from workbench.projects.store import find_project

    with opened(context) as outside, outside.db.read() as session:
        project_id = find_project(session, project).id
        if sql:
            print(statement_text(session, project_id, item))
            return
        steps = why_label(session, project_id, item)
    value: dict[str, Any] = {"project": project, "item": item, "steps": [one.to_json() for one in steps]}
    show(value, [one.sentence() for one in steps], as_json=as_json)
