"""`workbench export`: whether exports are still what they were."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workbench.cli.opening import opened
from workbench.cli.terminal import CHECK_FAILED, JsonFlag, show

app = typer.Typer(help="Verify exports.", no_args_is_help=True)


@app.callback()
def _exports() -> None:
    """Verify exports."""


@app.command()
def verify(
    context: typer.Context,
    export: Annotated[str, typer.Argument(help="An export's id, its folder, or a file in that folder.")],
    as_json: JsonFlag = False,
) -> None:
    """Compute every digest of an export again; ends with 3 where a file is not the one that was made.

    An id is compared with the database, a folder or file with the manifest beside it.
    """
    from workbench.deliveries.store import delivery_of_anybody
    from workbench.deliveries.verifying import verify_delivery, verify_folder

    path = Path(export)
    if path.exists():
        problems = verify_folder(path if path.is_dir() else path.parent)
    else:
        with opened(context) as outside, outside.db.read() as session:
            problems = verify_delivery(delivery_of_anybody(session, export))
    value = {"export": export, "unchanged": not problems, "problems": problems}
    lines = problems or [f"{export}: every file is the one that was made"]
    show(value, lines, as_json=as_json)
    if problems:
        raise typer.Exit(CHECK_FAILED)
