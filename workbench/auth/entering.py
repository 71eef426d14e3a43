"""The last steps into the workbench, whichever way somebody came: second factor, session, cookie.

What a browser must bring back between two steps lies in a cookie of its own, encrypted and short-lived.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from workbench.auth import second_factor, sessions
from workbench.auth.domain import Identity, digest
from workbench.auth.identify import cookie_name, set_session_cookie
from workbench.auth.sessions import Arrival
from workbench.errors import NotSignedIn, Unavailable
from workbench.outside import Outside
from workbench.web.render import redirect
from workbench.web.senders import client_address

PENDING = "wb_pending"
PROVIDER = "wb_provider"
_HOLDS = timedelta(minutes=10)


def arrival_of(request: Request, how: str, *, strong: bool = False) -> Arrival:
    """How this request's sender comes in."""
    browser = request.headers.get("user-agent", "")
    return Arrival(browser=browser, address=client_address(request), how=how, strong=strong)


def enter(
    request: Request,
    outside: Outside,
    user_id: int,
    *,
    how: str,
    strong: bool = False,
    failed_before: int = 0,
    onward: str = "/",
    notice: str = "",
) -> Response:
    """Leads on: to the question for a code where the user has a second factor, else in."""
    with outside.db.read() as session:
        asks = second_factor.is_enrolled(session, user_id) and not strong
    if asks:
        response = redirect(request, "/sign-in/code")
        kept = {"user": user_id, "how": how, "onward": onward, "failed": failed_before}
        keep(response, outside, PENDING, kept)
        return response
    arrival = arrival_of(request, how, strong=strong)
    with outside.db.write() as session:
        end_present(session, outside, request)
        secret = sessions.begin(session, outside, user_id, arrival, failed_before=failed_before)
    response = redirect(request, onward or "/", notice=notice)
    set_session_cookie(response, outside, secret)
    drop(response, outside, PENDING)
    return response


def end_present(session: Any, outside: Outside, request: Request) -> None:
    """Ends the session that the browser had before, whoever's it was."""
    present: Identity | None = getattr(request.state, "identity", None)
    if present is not None and present.session_secret:
        only = digest(present.session_secret)
        sessions.end_sessions(session, outside, present.user_id, by=present.email, only=only)


def keep(response: Response, outside: Outside, name: str, values: dict[str, Any]) -> None:
    """Gives the browser something to bring back within ten minutes; it can neither read nor change it."""
    body = json.dumps(values | {"for": name, "at": outside.now().isoformat()}).encode()
    response.set_cookie(
        cookie_name(outside, name),
        outside.vault.lock(body).hex(),
        max_age=int(_HOLDS.total_seconds()),
        path="/",
        httponly=True,
        samesite="lax",
        secure=outside.settings.secure_cookies,
    )


def kept(request: Request, outside: Outside, name: str) -> dict[str, Any]:
    """What this browser was given to bring back.

    Raises:
        NotSignedIn: It brings nothing, or too late.
    """
    late = NotSignedIn("this took too long, or began in another browser; start signing in again")
    try:
        body = outside.vault.unlock(bytes.fromhex(request.cookies.get(cookie_name(outside, name), "")))
        values: dict[str, Any] = json.loads(body)
        age = outside.now() - datetime.fromisoformat(values["at"])
    except (ValueError, Unavailable, KeyError, TypeError):
        raise late from None
    if values.get("for") != name or not timedelta() <= age <= _HOLDS:
        raise late
    return values


def drop(response: Response, outside: Outside, name: str) -> None:
    """Takes what was to be brought back off the browser."""
    response.delete_cookie(
        cookie_name(outside, name),
        path="/",
        httponly=True,
        samesite="lax",
        secure=outside.settings.secure_cookies,
    )
