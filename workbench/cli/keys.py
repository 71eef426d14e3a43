"""`workbench key`: the key that stored secrets are encrypted with."""

from __future__ import annotations

import typer

from workbench.cli.opening import caller, opened
from workbench.cli.terminal import JsonFlag, show

app = typer.Typer(help="Look after the key of stored secrets.", no_args_is_help=True)


@app.command()
def rotate(context: typer.Context, as_json: JsonFlag = False) -> None:
    """Make a new key and encrypt every stored secret with it; the workbench may run meanwhile."""
    from workbench.keys import rotate as turn

    with opened(context) as outside:
        done = turn(outside, by=caller())
    ended = "an unfinished rotation was ended; " if done.resumed else ""
    show(
        {"key": done.key_id, "encrypted": done.encrypted, "resumed": done.resumed},
        [
            f"{ended}{done.encrypted} secrets are encrypted with key {done.key_id} now",
            "older keys stay in the file, for back-ups; `workbench key forget` takes them out",
        ],
        as_json=as_json,
    )


@app.command()
def forget(context: typer.Context, as_json: JsonFlag = False) -> None:
    """Take older keys out of the file; secrets in back-ups made under them cannot be read any more."""
    from workbench.keys import forget_old

    with opened(context) as outside:
        count = forget_old(outside, by=caller())
    show({"forgotten": count}, [f"{count} older keys were taken out"], as_json=as_json)


@app.command()
def status(context: typer.Context, as_json: JsonFlag = False) -> None:
    """Say how the stored secrets stand."""
    from workbench.keys import standing

    with opened(context) as outside:
        found = standing(outside)
    show(
        {
            "keys": list(found.key_ids),
            "current": found.current,
            "old": found.old,
            "unreadable": list(found.unreadable),
        },
        [
            f"{found.current} secrets with the newest key {found.key_ids[0]}",
            f"{found.old} secrets with older keys; {len(found.key_ids)} keys here",
            *(f"{place}: a secret whose key is not here; enter it again" for place in found.unreadable),
        ],
        as_json=as_json,
    )


@app.command()
def new() -> None:
    """Print a new key, for installations whose keys come from outside."""
    from workbench.db.vault import new_key

    print(new_key().decode())
