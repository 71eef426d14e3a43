"""`workbench ls`: Label Studio servers."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.opening import caller, opened
from workbench.cli.terminal import CHECK_FAILED, JsonFlag, show, show_table
from workbench.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

app = typer.Typer(help="Connect Label Studio servers and look after them.", no_args_is_help=True)


@app.command()
def connect(
    context: typer.Context,
    url: Annotated[str, typer.Argument(help="Address, such as http://127.0.0.1:8080.")],
    name: Annotated[str, typer.Option(help="What to call it.")] = "label-studio",
    token_env: Annotated[str, typer.Option(help="Variable that holds the token.")] = "LABEL_STUDIO_TOKEN",  # noqa: S107 - a variable's name
    token_stdin: Annotated[
        bool, typer.Option("--token-stdin", help="Read the token from standard input.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Connect a server; its token is checked, then kept encrypted."""
    from workbench.people.service import connect_server

    token = (sys.stdin.readline() if token_stdin else os.environ.get(token_env, "")).strip()
    if not token:
        raise InvalidInput(
            f"no token: put it into {token_env}, or pipe it in with --token-stdin "
            "(in Label Studio: Account & Settings, Access Token)"
        )
    with opened(context) as outside:
        row = connect_server(outside, name=name, url=url, token=token, by=caller())
    value = {"name": row.name, "url": row.url, "version": row.version, "state": row.state}
    show(value, [f"connected {row.name} at {row.url}: Label Studio {row.version}"], as_json=as_json)


@app.command()
def status(context: typer.Context, as_json: JsonFlag = False) -> None:
    """Ask every server; exit code 3 if one does not answer or refuses its token."""
    from workbench.cli.checks import server_answers

    with opened(context) as outside:
        rows = server_answers(outside)
    columns = ("name", "url", "state", "version", "answer")
    show_table(
        rows, columns, as_json=as_json, empty="no servers yet; connect one with `workbench ls connect URL`"
    )
    if any(row["state"] != "ok" for row in rows):
        raise typer.Exit(CHECK_FAILED)


@app.command("rotate-webhook-secret")
def rotate_webhook_secret(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The server's name.")],
    as_json: JsonFlag = False,
) -> None:
    """Give a server's webhooks a new secret; the one before holds while its lanes change over."""
    from workbench.inbox.service import rotate_secret
    from workbench.labeling.keeping import lanes_want_new_secret

    with opened(context) as outside, outside.db.write() as session:
        server_id = _server_id(session, name)
        rotate_secret(outside, session, server_id, by=caller())
        lanes = lanes_want_new_secret(session, server_id)
    show({"name": name, "lanes": lanes}, [f"new secret made; {lanes} lanes get it soon"], as_json=as_json)


@app.command("resolve-restore")
def resolve_restore_(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The server's name.")],
    start_new_epoch: Annotated[
        bool, typer.Option("--start-new-epoch", help="Go on with the server as it is now.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Go on with a restored server: adopt what is there, send again what is gone, keep every answer."""
    from workbench.labeling.restoring import resolve_restore

    if not start_new_epoch:
        raise InvalidInput("say --start-new-epoch when the restore is finished and the server stays as it is")
    with opened(context) as outside:
        with outside.db.read() as session:
            server_id = _server_id(session, name)
        sums = resolve_restore(outside, server_id, by=caller())
    show(sums, [f"{sums['adopted']} tasks adopted, {sums['sent_again']} sent again"], as_json=as_json)


@app.command("dead-letters")
def dead_letters(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The server's name.")],
    put_aside: Annotated[bool, typer.Option("--put-aside", help="Done with them.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Webhook deliveries that nobody could read."""
    from workbench.inbox.service import set_dead_letters_aside
    from workbench.inbox.store import dead_letters as letters_of

    with opened(context) as outside:
        with outside.db.read() as session:
            server_id = _server_id(session, name)
            letters = letters_of(session, server_id)
        rows = [{"received_at": str(row.received_at), "problem": row.problem} for row in letters]
        if put_aside:
            with outside.db.write() as session:
                set_dead_letters_aside(outside, session, server_id, by=caller())
    show_table(rows, ("received_at", "problem"), as_json=as_json, empty="no dead letters")


def _server_id(session: Session, name: str) -> int:
    from workbench.people.store import server_named

    row = server_named(session, name)
    if row is None:
        raise NotFound(f"there is no server {name!r}; `workbench ls status` lists them")
    return row.id
