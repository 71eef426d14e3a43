"""`workbench db`: the database's schema."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from workbench.cli.opening import require_installation, require_schema, settings_of
from workbench.cli.terminal import CHECK_FAILED, JsonFlag, complain, progress, show
from workbench.errors import InvalidInput

if TYPE_CHECKING:
    from workbench.settings import Settings

app = typer.Typer(help="Look after the database.", no_args_is_help=True)


@app.command()
def upgrade(context: typer.Context, as_json: JsonFlag = False) -> None:
    """Bring the database to this version's schema."""
    from workbench.db.migrate import upgrade as migrate

    settings = settings_of(context)
    progress("Bringing the database up to date …")
    migrate(settings)
    show(
        {"database": _shown(settings), "current": True},
        [f"{_shown(settings)} is up to date"],
        as_json=as_json,
    )


@app.command()
def check(context: typer.Context, as_json: JsonFlag = False) -> None:
    """Say whether the database fits this version; exit code 3 if not."""
    settings = settings_of(context)
    require_installation(settings)
    try:
        require_schema(settings)
    except InvalidInput as problem:
        show({"database": _shown(settings), "current": False, "problem": str(problem)}, [], as_json=as_json)
        if not as_json:
            complain(problem)
        raise typer.Exit(CHECK_FAILED) from None
    show(
        {"database": _shown(settings), "current": True},
        [f"{_shown(settings)} is up to date"],
        as_json=as_json,
    )


def _shown(settings: Settings) -> str:
    from workbench.db.urls import shown_address

    return shown_address(settings.database_url)
