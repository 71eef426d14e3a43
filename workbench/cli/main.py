"""`workbench`: every command, and how errors and exit codes come out of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from integrations.errors import IntegrationError
from models.errors import ModelError
from routing.errors import RoutingError
from workbench.cli import (
    activity,
    backups,
    databases,
    doctor,
    erasure,
    exports,
    items,
    keys,
    label_studio,
    model_versions,
    projects,
    running,
    users,
)
from workbench.cli.opening import Options
from workbench.cli.terminal import CHECK_FAILED, ERROR, INTERRUPTED, complain, is_debugging
from workbench.errors import WorkbenchError

EXPECTED = (WorkbenchError, IntegrationError, ModelError, RoutingError)

app = typer.Typer(
    name="workbench",
    help="Pre-labels items with a model, sends uncertain ones to people in Label Studio, and keeps count.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    epilog="Exit codes: 0 ok, 1 error, 2 usage, 3 a check failed, 4 a plan with changes. "
    "WORKBENCH_DEBUG=1 shows stack traces.",
)
running.add_to(app)
app.command("doctor")(doctor.doctor)
app.add_typer(projects.app, name="project")
app.add_typer(items.app, name="item")
app.add_typer(exports.app, name="export")
items.app.command("erase")(erasure.erase_items)
users.users.command("erase")(erasure.erase_person)
app.add_typer(model_versions.app, name="model")
app.add_typer(label_studio.app, name="ls")
app.add_typer(users.users, name="user")
app.add_typer(users.tokens, name="token")
app.add_typer(databases.app, name="db")
app.add_typer(activity.app, name="activity")
app.command("why")(activity.why)
app.add_typer(backups.app, name="backup")
app.add_typer(keys.app, name="key")


@app.callback()
def before_all(
    context: typer.Context,
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder of database, keys and files (WORKBENCH_DATA_DIR).")
    ] = None,
) -> None:
    """Pre-labels items with a model, sends uncertain ones to people in Label Studio, and keeps count."""
    context.obj = Options(data_dir)


def main() -> None:
    """Runs the command line and ends the process with its exit code."""
    try:
        app()
    except EXPECTED as problem:
        if is_debugging():
            raise
        complain(problem)
        sys.exit(ERROR)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(ERROR)
    except Exception as problem:
        if is_debugging():
            raise
        complain(_unexpected(problem))
        sys.exit(ERROR)


def _unexpected(problem: Exception) -> Exception:
    """The problem, said without the statement or the values that a database error carries."""
    kind = type(problem).__name__
    cause = getattr(problem, "orig", None)
    if cause is not None:
        return RuntimeError(f"the database refused ({kind}: {cause}); look with `workbench doctor`")
    if isinstance(problem, OSError):
        return problem
    return RuntimeError(f"{kind}: {problem}; this should not happen. WORKBENCH_DEBUG=1 shows where")


__all__ = ["CHECK_FAILED", "app", "main"]

if __name__ == "__main__":
    main()
