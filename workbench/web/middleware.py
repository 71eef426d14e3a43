"""What surrounds every request: headers, the limit of bodies, the last net below failures."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence

import anyio
from fastapi.routing import iter_route_contexts
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from workbench.settings import Settings
from workbench.web.errors import answer_failure
from workbench.web.senders import knows_host

CSP = (
    "default-src 'none'; script-src {scripts}; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
DOWNLOAD_CSP = "default-src 'none'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'; sandbox"
_NOT_POSSIBLE = 405
Patterns = list[tuple[re.Pattern[str], frozenset[str]]]
SMALL_BODY = 2 * 1024 * 1024
HEADERS = {
    "Content-Security-Policy": CSP.format(scripts="'none'"),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "X-Frame-Options": "DENY",
    "X-Permitted-Cross-Domain-Policies": "none",
}


def headers_of(strict_transport: bool) -> dict[str, str]:  # noqa: FBT001 - the one thing that differs
    """The security headers of every answer, for what stands in front of `SecurityHeaders`."""
    return HEADERS | ({"Strict-Transport-Security": "max-age=31536000"} if strict_transport else {})


class SecurityHeaders:
    """Adds the headers that keep pages from running, embedding or caching what they should not."""

    def __init__(self, app: ASGIApp, *, strict_transport: bool = False) -> None:
        self.app = app
        self.strict_transport = strict_transport

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Adds the headers."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        nonce = secrets.token_urlsafe(18)
        scope.setdefault("state", {})["csp_nonce"] = nonce

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                download = headers.get("content-disposition", "").startswith("attachment")
                policy = DOWNLOAD_CSP if download else CSP.format(scripts=f"'nonce-{nonce}'")
                headers.setdefault("Content-Security-Policy", policy)
                for name, value in headers_of(self.strict_transport).items():
                    headers.setdefault(name, value)
                if not headers.get("cache-control", "").startswith("public"):
                    headers["Cache-Control"] = "no-store"
            await send(message)

        await self.app(scope, receive, with_headers)


class Hosts:
    """Refuses requests for a host that is not ours: a page elsewhere whose name was pointed at us."""

    def __init__(self, app: ASGIApp, *, settings: Settings) -> None:
        self.app = app
        self.settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers 400 where the `Host` is foreign, missing or given twice."""
        if scope["type"] == "http":
            given = Headers(scope=scope).getlist("host")
            if len(given) != 1 or not knows_host(self.settings, given[0]):
                words = (
                    "This address is not known here. Open the workbench by its own address, "
                    "or name this host in allowed_hosts (or public_url).\n"
                )
                await Response(words, 400, media_type="text/plain")(scope, receive, send)
                return
        await self.app(scope, receive, send)


class Methods:
    """HEAD as GET without a body, OPTIONS as the list of methods, and that list beside every 405."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._n_routes = 0
        self._patterns: Patterns = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Looks the address up among the routes where the method alone does not say what to do."""
        if scope["type"] != "http" or scope["path"].startswith("/assets/"):
            await self.app(scope, receive, send)
            return
        if scope["method"] == "OPTIONS" and (allowed := self.allowed(scope)):
            await Response(None, 204, {"Allow": ", ".join(allowed)})(scope, receive, send)
            return
        if scope["method"] == "HEAD" and "GET" in self.allowed(scope):
            await self._head(scope, receive, send)
            return

        async def with_allow(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == _NOT_POSSIBLE:
                MutableHeaders(scope=message)["Allow"] = ", ".join(self.allowed(scope))
            await send(message)

        await self.app(scope, receive, with_allow)

    def allowed(self, scope: Scope) -> list[str]:
        """The methods that this address takes; empty where there is no such address."""
        routes: list[BaseRoute] = scope["app"].routes
        if len(routes) != self._n_routes:
            self._n_routes, self._patterns = len(routes), patterns_of(routes)
        found: set[str] = set()
        for pattern, methods in self._patterns:
            if pattern.match(scope["path"]):
                found |= methods
        return sorted(found | ({"HEAD"} if "GET" in found else set()) | {"OPTIONS"}) if found else []

    async def _head(self, scope: Scope, receive: Receive, send: Send) -> None:
        # A stream of events has no end: it is left as soon as its head is known.
        with anyio.CancelScope() as head_known:

            async def only_head(message: Message) -> None:
                if message["type"] == "http.response.start":
                    await send(message)
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
                    head_known.cancel()

            await self.app({**scope, "method": "GET"}, receive, only_head)


def patterns_of(routes: Sequence[BaseRoute]) -> Patterns:
    """Every address with the methods of one of its routes."""
    return [
        (compile_path(route.path)[0], frozenset(route.methods))
        for route in iter_route_contexts(routes)
        if route.path and route.methods
    ]


class LastNet:
    """Turns what nobody expected into an answer with a number, and a log line with the same number."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers 500 in place of any exception, unless an answer has begun."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except Exception as problem:  # noqa: BLE001 - the one place where everything ends
            response = answer_failure(Request(scope), problem)
            if not begun:
                await response(scope, receive, send)


class BodyLimit:
    """Refuses bodies above a limit: `upload_mb` for forms with files of people signed in, else 2 MB."""

    def __init__(self, app: ASGIApp, *, upload_mb: int) -> None:
        self.app = app
        self.upload_bytes = upload_mb * 1024 * 1024

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Counts what arrives."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        files = headers.get("content-type", "").startswith("multipart/form-data")
        known = scope.get("state", {}).get("caller") is not None
        limit = self.upload_bytes if files and known else SMALL_BODY
        declared = headers.get("content-length", "")
        seen = int(declared) if declared.isdigit() else 0
        arrived = 0

        async def counted() -> Message:
            nonlocal arrived
            if seen > limit:
                raise _too_large(limit)
            message = await receive()
            if message["type"] == "http.request":
                arrived += len(message.get("body", b""))
                if arrived > limit:
                    raise _too_large(limit)
            return message

        await self.app(scope, counted, send)


def _too_large(limit: int) -> HTTPException:
    return HTTPException(
        413, f"what was sent is larger than {limit // 1024 // 1024} MB; split it into smaller files"
    )
