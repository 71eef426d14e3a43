"""`workbench ls`: Label Studio servers."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from workbench.cli.opening import caller, opened
from workbench.cli.terminal import CHECK_FAILED, JsonFlag, show, show_table
from workbench.errors import InvalidInput

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
