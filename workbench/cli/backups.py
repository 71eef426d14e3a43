"""`workbench backup`: copies of everything, their check, and the way back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.opening import caller, opened, settings_of
from workbench.cli.terminal import CHECK_FAILED, JsonFlag, progress, show, show_table

if TYPE_CHECKING:
    from workbench.settings import Settings
    from workbench.upkeep.backup import Backup

app = typer.Typer(help="Back up, check, and restore.", no_args_is_help=True)

Which = Annotated[Path | None, typer.Argument(help="The back-up's folder; by default the newest one.")]


@app.command()
def create(
    context: typer.Context,
    to: Annotated[Path | None, typer.Option(help="Folder for it; by default WORKBENCH_BACKUP_DIR.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Make a back-up; the workbench may run meanwhile. The key in secret.key is not part of it."""
    from workbench.upkeep.service import back_up

    with opened(context) as outside:
        made = back_up(outside, to, by=caller(), tell=lambda what: progress(f"Copying {what} …"))
    lines = [
        f"back-up of {_megabytes(made.size)} in {made.folder}",
        f"check it: workbench backup verify {made.folder}",
        "keep secret.key somewhere else: without it the stored tokens cannot be read",
    ]
    show(made.value(), lines, as_json=as_json)


@app.command("list")
def list_(context: typer.Context, as_json: JsonFlag = False) -> None:
    """List the back-ups, newest first."""
    from workbench.upkeep.backup import backup_folder, backups_in

    folder = backup_folder(settings_of(context))
    rows = [backup.value() for backup in backups_in(folder)]
    show_table(
        rows,
        ("made_at", "bytes", "schema", "folder"),
        as_json=as_json,
        empty=f"no back-ups in {folder}; make one with `workbench backup create`",
    )


@app.command()
def verify(context: typer.Context, which: Which = None, as_json: JsonFlag = False) -> None:
    """Check that a back-up is whole and can be restored; exit code 3 if not."""
    from workbench.upkeep.backup import verify_backup

    backup = _chosen(settings_of(context), which)
    progress("Checking …")
    problems = verify_backup(backup)
    lines = problems or [f"{backup.folder} is whole: {len(backup.manifest['files'])} files, databases sound"]
    show({**backup.value(), "ok": not problems, "problems": problems}, lines, as_json=as_json)
    if problems:
        raise typer.Exit(CHECK_FAILED)


@app.command()
def restore(
    context: typer.Context,
    which: Which = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="In the place of the present state, which is kept beside it.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Put a back-up in place; server and workers must be stopped first."""
    from workbench.outside import system_now
    from workbench.upkeep.restore import restore as put_back

    settings = settings_of(context)
    backup = _chosen(settings, which)
    progress("Checking and copying …")
    done = put_back(settings, backup, now=system_now(), by=caller(), replace=replace)
    lines = [f"restored the state of {backup.made_at:%Y-%m-%d %H:%M:%S} UTC in {settings.data_dir.resolve()}"]
    if done.kept:
        lines.append(f"what was there before lies in {done.kept}")
    if done.lanes:
        lines.append(f"{done.lanes} lanes of Label Studio are compared before anything is sent to them")
    lines.append("start it with `workbench serve`, then look at `workbench doctor --invariants`")
    value = {"folder": str(backup.folder), "kept": str(done.kept) if done.kept else None, "lanes": done.lanes}
    show(value, lines, as_json=as_json)


def _chosen(settings: Settings, which: Path | None) -> Backup:
    from workbench.errors import NotFound
    from workbench.upkeep.backup import backup_folder, backups_in, read_backup

    if which is not None:
        return read_backup(which)
    folder = backup_folder(settings)
    newest = next(iter(backups_in(folder)), None)
    if newest is None:
        raise NotFound(f"there is no back-up in {folder}; make one with `workbench backup create`")
    return newest


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
