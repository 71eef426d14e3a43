"""`workbench user` beyond making one: links, second factors, sessions; `workbench token`: list and revoke."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.opening import caller, opened
from workbench.cli.terminal import JsonFlag, show

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from workbench.auth.tables import UserRow

Email = Annotated[str, typer.Argument(help="Whose (e-mail).")]


def reset_link(context: typer.Context, email: Email, as_json: JsonFlag = False) -> None:
    """Make a link with which somebody sets a password, once, within two hours."""
    from workbench.auth import service

    with opened(context) as outside, outside.db.write() as session:
        user = _user(session, email)
        token = service.make_reset_link(session, outside, user.id, by=caller())
        link = f"{outside.settings.address.rstrip('/')}/reset/{token}"
    show({"user": email, "link": link}, [f"send this to {email} (shown only now): {link}"], as_json=as_json)


def reset_second_factor(context: typer.Context, email: Email, as_json: JsonFlag = False) -> None:
    """Remove the second factor of somebody who lost it; their browsers are signed out."""
    from workbench.auth import second_factor, sessions

    with opened(context) as outside, outside.db.write() as session:
        user = _user(session, email)
        second_factor.remove(session, outside, user.id, by=caller())
        ended = sessions.end_sessions(session, outside, user.id, by=caller())
    line = f"the second factor of {email} is removed; {ended} browsers signed out"
    show({"user": email, "sessions_ended": ended}, [line], as_json=as_json)


def sign_out(context: typer.Context, email: Email, as_json: JsonFlag = False) -> None:
    """Sign somebody out of every browser."""
    from workbench.auth import sessions

    with opened(context) as outside, outside.db.write() as session:
        ended = sessions.end_sessions(session, outside, _user(session, email).id, by=caller())
    show({"user": email, "sessions_ended": ended}, [f"{ended} browsers signed out"], as_json=as_json)


def list_tokens(context: typer.Context, email: Email, as_json: JsonFlag = False) -> None:
    """List somebody's tokens; never their secrets."""
    from workbench.auth.store import tokens_of

    with opened(context) as outside, outside.db.read() as session:
        found = [
            {
                "id": row.id,
                "name": row.name,
                "begins_with": f"wb_{row.prefix}",
                "scopes": row.scopes,
                "expires_at": row.expires_at.isoformat() if row.expires_at else None,
                "used_at": row.used_at.isoformat() if row.used_at else None,
            }
            for row in tokens_of(session, _user(session, email).id)
        ]
    lines = [f"{one['id']}  {one['begins_with']}  {one['name']}  ends {one['expires_at']}" for one in found]
    show({"user": email, "tokens": found}, lines or [f"{email} has no tokens"], as_json=as_json)


def revoke_tokens(
    context: typer.Context,
    email: Email,
    token_id: Annotated[int | None, typer.Option("--id", help="One token; by default all.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Revoke somebody's tokens; programs that use them are refused from the next request on."""
    from workbench.auth import tokens

    with opened(context) as outside, outside.db.write() as session:
        user = _user(session, email)
        if token_id is None:
            n = tokens.revoke_all(session, outside, user.id, by=caller())
        else:
            tokens.revoke_token(session, outside, user.id, token_id, by=caller())
            n = 1
    show({"user": email, "revoked": n}, [f"{n} of the tokens of {email} revoked"], as_json=as_json)


def _user(session: Session, email: str) -> UserRow:
    from workbench.auth.store import user_by_email
    from workbench.errors import NotFound

    user = user_by_email(session, email.strip().lower())
    if user is None:
        raise NotFound(f"there is no user {email}; see the Users page, or `workbench user create {email}`")
    return user
