"""`workbench init`, `serve`, `worker`, `demo`, `version`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.opening import outside_of_command, require_installation, settings_of
from workbench.cli.terminal import JsonFlag, progress, show

if TYPE_CHECKING:
    from workbench.settings import Settings

PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input.")
]


def add_to(app: typer.Typer) -> None:
    """Adds these commands to the program."""
    for command in (init, serve, worker, demo, version):
        app.command(command.__name__)(command)


def init(
    context: typer.Context,
    email: Annotated[str, typer.Option(help="Sign-in of the first admin.")] = "admin@localhost",
    password_stdin: PasswordStdin = False,
    as_json: JsonFlag = False,
) -> None:
    """Make the data folder, the database and the first admin; again, it only brings the schema up to date."""
    from workbench.cli.users import first_admin
    from workbench.db.migrate import upgrade

    settings = settings_of(context)
    _make_folder(settings)
    progress("Making the database …")
    upgrade(settings)
    password = sys.stdin.readline().rstrip("\n") if password_stdin else ""
    outside = outside_of_command(settings)
    try:
        made = first_admin(outside, email, password)
    finally:
        outside.db.close()
    folder = settings.data_dir.resolve()
    lines = [f"workbench in {folder} is ready; start it with `workbench serve`"]
    if made is None:
        lines.append("there are users already; `workbench user create` makes more")
    elif password_stdin:
        lines.append(f"sign in at {settings.address} as {email}")
    else:
        lines.append(f"sign in at {settings.address} as {email} with the password {made} (shown only now)")
    value = {"data_dir": str(folder), "email": email, "created": made is not None}
    if made is not None and not password_stdin:
        value["password"] = made
    show(value, lines, as_json=as_json)


def serve(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port to listen on.")] = None,
    with_worker: Annotated[
        bool, typer.Option("--worker/--no-worker", help="Whether it starts and watches a worker.")
    ] = True,
) -> None:
    """Run the web pages and one worker, until Ctrl-C."""
    from workbench import serve as serving

    settings = settings_of(context, host=host, port=port)
    require_installation(settings)
    serving.serve(settings, with_worker=with_worker)


def worker(
    context: typer.Context,
    name: Annotated[
        str, typer.Option(help="Unique among workers, the same after a restart; else HOST-NUMBER.")
    ] = "",
) -> None:
    """Run one more worker, until Ctrl-C; several share the jobs where the database is PostgreSQL."""
    from workbench import worker as working

    settings = settings_of(context)
    require_installation(settings)
    working.work(settings, name=name)


def demo(
    context: typer.Context,
    exit_: Annotated[bool, typer.Option("--exit", help="End when the run is done.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="End with one line of figures as JSON.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start over with empty data.")] = False,
    items: Annotated[int | None, typer.Option(min=300, help="How many items to take.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port of the workbench.")] = None,
    label_studio_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port of Label Studio.")
    ] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Folder of the demo's data.")] = None,
) -> None:
    """Run one project end to end on real texts, with a real Label Studio and replayed annotators."""
    from workbench.demo.main import DemoOptions, run_demo

    options = context.find_root().obj
    given: dict[str, Any] = {
        "exit_when_done": exit_,
        "as_json": as_json,
        "fresh": fresh,
        "items": items,
        "port": port,
        "label_studio_port": label_studio_port,
        "data_dir": data_dir or (options.data_dir if options else None),
    }
    status = run_demo(DemoOptions(**{name: value for name, value in given.items() if value is not None}))
    raise typer.Exit(status)


def version(as_json: JsonFlag = False) -> None:
    """Print the version."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as version_of

    try:
        number = version_of("annotation-workbench")
    except PackageNotFoundError:
        number = "unknown"
    python = ".".join(str(part) for part in sys.version_info[:3])
    show({"version": number, "python": python}, [f"workbench {number} (Python {python})"], as_json=as_json)


def _make_folder(settings: Settings) -> None:
    from workbench.errors import InvalidInput

    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as problem:
        raise InvalidInput(
            f"the data folder {settings.data_dir} cannot be made ({problem.strerror}); "
            "choose another: workbench --data-dir FOLDER init"
        ) from None
