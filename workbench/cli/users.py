"""`workbench user` and `workbench token`."""

from __future__ import annotations

import secrets
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli import access
from workbench.cli.opening import caller, opened
from workbench.cli.terminal import JsonFlag, show

if TYPE_CHECKING:
    from workbench.outside import Outside

users = typer.Typer(help="Who may sign in.", no_args_is_help=True)
tokens = typer.Typer(help="Tokens for programs.", no_args_is_help=True)
users.command("reset-link")(access.reset_link)
users.command("reset-second-factor")(access.reset_second_factor)
users.command("sign-out")(access.sign_out)
tokens.command("list")(access.list_tokens)
tokens.command("revoke")(access.revoke_tokens)


@users.command("create")
def create_user_(
    context: typer.Context,
    email: Annotated[str, typer.Argument(help="Their sign-in.")],
    name: Annotated[str, typer.Option(help="What to call them; by default the e-mail's first part.")] = "",
    role: Annotated[
        str, typer.Option(help="admin, pm, ml_engineer, qa_lead, viewer or annotator.")
    ] = "viewer",
    project: Annotated[str, typer.Option(help="Only in this project; by default everywhere.")] = "",
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Make somebody who may sign in; a random password is shown once."""
    password = sys.stdin.readline().rstrip("\n") if password_stdin else new_password()
    with opened(context) as outside:
        _create(outside, email, name, role, project, password)
    value = {"email": email, "role": role, "project": project or None}
    line = f"{email} may sign in as {role}{f' of project {project}' if project else ''}"
    if not password_stdin:
        value["password"] = password
        line += f" with the password {password} (shown only now)"
    show(value, [line], as_json=as_json)


@tokens.command("create")
def create_token_(
    context: typer.Context,
    email: Annotated[str, typer.Option("--user", help="Whose token it is (e-mail).")],
    name: Annotated[str, typer.Option(help="What it is for.")] = "cli",
    scope: Annotated[list[str] | None, typer.Option(help="Only this permission; may be repeated.")] = None,
    days: Annotated[int | None, typer.Option(min=1, help="Days it holds; by default 90.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Make an API token; it is shown once, only its hash is kept."""
    from workbench.auth import service
    from workbench.auth.store import user_by_email
    from workbench.errors import NotFound

    with opened(context) as outside, outside.db.write() as session:
        user = user_by_email(session, email.strip().lower())
        if user is None:
            raise NotFound(f"there is no user {email}; make one with `workbench user create {email}`")
        token = service.create_token(
            session, outside, user.id, name=name, scopes=scope, days=days, by=caller()
        )
    show({"user": email, "name": name, "token": token}, [f"token (shown only now): {token}"], as_json=as_json)


def first_admin(outside: Outside, email: str, password: str) -> str | None:
    """The first admin's password, made if none was given; None where there are users already."""
    from workbench.auth.store import count_users

    with outside.db.read() as session:
        if count_users(session):
            return None
    password = password or new_password()
    _create(outside, email, "Admin", "admin", "", password)
    return password


def new_password() -> str:
    """A random password of 20 characters that can be typed."""
    return secrets.token_urlsafe(15)


def _create(outside: Outside, email: str, name: str, role: str, project: str, password: str) -> None:
    from workbench.auth import service
    from workbench.auth.domain import EVERYWHERE, checked_role
    from workbench.projects.store import find_project

    with outside.db.write() as session:
        project_id = find_project(session, project).id if project else EVERYWHERE
        service.create_user(
            session,
            outside,
            email=email,
            name=name or email.partition("@")[0],
            password=password,
            role=checked_role(role),
            project_id=project_id,
            by=caller(),
        )
