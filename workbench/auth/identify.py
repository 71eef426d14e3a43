"""Who sends a request: a session cookie or a bearer token, looked up before anything else happens."""

from __future__ import annotations

import secrets

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from workbench.auth.access import caller_of
from workbench.auth.domain import Identity, csrf_token
from workbench.auth.sessions import holds, identify_session
from workbench.auth.tokens import identify_token
from workbench.outside import Outside
from workbench.web.errors import answer

_NOBODY = ("/assets/", "/health")


def cookie_name(outside: Outside, name: str = "wb_session") -> str:
    """A cookie's name as browsers see it; they keep `__Host-` ones from being set by a neighbour."""
    return f"__Host-{name}" if outside.settings.secure_cookies else name


def set_session_cookie(response: Response, outside: Outside, secret: str) -> None:
    """Hands the session to the browser."""
    response.set_cookie(
        cookie_name(outside),
        secret,
        max_age=outside.settings.session_hours * 3600,
        path="/",
        httponly=True,
        samesite="lax",
        secure=outside.settings.secure_cookies,
    )


class Identify:
    """Puts `identity`, `caller` and `csrf_token` on the request's state; refuses wrong tokens at once."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Looks the sender up."""
        if scope["type"] != "http" or scope["path"].startswith(_NOBODY):
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        bearer = _bearer(request)
        identity = await run_in_threadpool(_identify, request, bearer)
        if bearer and identity is None:
            response = answer(request, 401, "this token does not hold; make a new one on your account page")
            response.headers["WWW-Authenticate"] = "Bearer"
            await response(scope, receive, send)
            return
        await self.app(scope, receive, send)


def _bearer(request: Request) -> str:
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""


def _identify(request: Request, bearer: str) -> Identity | None:
    outside: Outside = request.app.state.outside
    secret = request.cookies.get(cookie_name(outside), "")
    identity = identify_token(outside, bearer) if bearer else None
    if not bearer and secret:
        identity = identify_session(outside, secret)
    request.state.identity = identity
    if identity is not None:
        request.state.caller = caller_of(request, identity, None)
        if identity.session_secret:
            request.state.csrf_token = lambda: csrf_token(identity.session_secret, secrets.token_hex(8))
        request.state.still_signed_in = lambda: _still(outside, identity, bearer)
    return identity


def _still(outside: Outside, identity: Identity, bearer: str) -> bool:
    """Asked again while a stream stays open: a session or token that ended must end it."""
    if identity.session_secret:
        return holds(outside, identity.session_secret)
    return identify_token(outside, bearer) is not None
