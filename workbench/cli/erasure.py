"""`workbench item erase` and `workbench user erase`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from workbench.cli.opening import caller, opened
from workbench.cli.terminal import ERROR, JsonFlag, complain, show

Reason = Annotated[str, typer.Option(help="Why; the record keeps it.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask: it cannot be undone.")]


def erase_items(
    context: typer.Context,
    ids: Annotated[list[str], typer.Argument(help="The owner's ids of the items.")],
    project: Annotated[str, typer.Option("--project", "-p", help="The project's id.")],
    reason: Reason,
    yes: Yes = False,
    as_json: JsonFlag = False,
) -> None:
    """Erase what items say, here and in Label Studio; label, cost and history stay."""
    from workbench.projects.store import find_project
    from workbench.upkeep.erasure import items_to_erase
    from workbench.upkeep.jobs import ask_to_erase

    with opened(context) as outside:
        with outside.db.read() as session:
            project_id = find_project(session, project).id
            rows = items_to_erase(session, project_id, list(dict.fromkeys(ids)))
        _ask(f"Erase {len(rows)} items of {project}? This cannot be undone.", yes=yes)
        with outside.db.write() as session:
            job_id = ask_to_erase(session, outside, project_id, rows, reason, caller())
    lines = [
        f"{len(rows)} items are erased by job {job_id} as soon as a worker runs and Label Studio answers",
        "the job's page names the uploads, exports and back-ups that still hold them",
    ]
    show({"items": len(rows), "job_id": job_id}, lines, as_json=as_json)


def erase_person(
    context: typer.Context,
    email: Annotated[str, typer.Argument(help="Their address, as a user or as an annotator.")],
    reason: Reason,
    yes: Yes = False,
    as_json: JsonFlag = False,
) -> None:
    """Erase somebody's name and address and end their access; what they did and were paid stays."""
    from workbench.upkeep.persons import erase_person as erase

    with opened(context) as outside:
        _ask(f"Erase {email}? This cannot be undone.", yes=yes)
        done = erase(outside, email, reason=reason, by=caller())
    lines = [f"{email} is now {done['name']}; sessions and tokens are ended"]
    lines += [f"still named there: {one}" for one in done["left"]]
    show(done, lines, as_json=as_json)


def _ask(question: str, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        complain(RuntimeError(f"{question} Add --yes to go on"))
        raise typer.Exit(ERROR)
    typer.confirm(question, abort=True)
