"""The door for webhooks, in front of everything else: nothing but what keeping a delivery needs."""

from __future__ import annotations

import asyncio
import hmac
import secrets
import time
from dataclasses import dataclass

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from workbench.errors import Unavailable
from workbench.inbox import store
from workbench.inbox.service import HEADER, HOOKS
from workbench.inbox.writer import Full, InboxWriter
from workbench.outside import Outside

log = structlog.get_logger(__name__)

LARGEST = 2 * 1024 * 1024
SLOWEST_S = 10.0
ASK_AGAIN_S = 1.0
_HEADER = HEADER.lower().encode()


@dataclass(frozen=True)
class _Known:
    server_id: int
    secrets: tuple[bytes, bytes]


class Intake:
    """Keeps deliveries of Label Studio servers; every other request passes unchanged.

    202 means stored, beyond a crash. 404 for an unknown address, 401 for a wrong secret (either takes the
    same time), 413 too large, 408 too slow, 429 too many wait, 503 could not be stored.

    Args:
        app: Everything else.
        outside: The database and the clock.
        headers: Sent with every answer.
    """

    def __init__(self, app: ASGIApp, *, outside: Outside, headers: dict[str, str]) -> None:
        self.app = app
        self._outside = outside
        self.writer = InboxWriter(outside)
        self._headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        self._known: dict[str, _Known] = {}
        self._asked_at = -ASK_AGAIN_S
        self._asking = asyncio.Lock()
        # Somebody without an address is compared with this, so that it takes as long.
        self._nobody = _Known(0, (secrets.token_bytes(64), secrets.token_bytes(64)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Keeps a delivery, or passes the request on."""
        if scope["type"] == "lifespan":
            await self._with_stop(scope, receive, send)
        elif scope["type"] == "http" and scope["path"].startswith(HOOKS):
            status = await self._keep(scope, receive)
            await self._answer(send, status)
        else:
            await self.app(scope, receive, send)

    async def _with_stop(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        finally:
            await asyncio.to_thread(self.writer.stop)

    async def _keep(self, scope: Scope, receive: Receive) -> int:
        if scope["method"] != "POST":
            return 404
        await self._look_up()
        known = self._known.get(scope["path"][len(HOOKS) :], self._nobody)
        given, length = b"", b""
        for name, value in scope["headers"]:
            if name == _HEADER:
                given = value
            elif name == b"content-length":
                length = value
        # Both are always compared.
        is_theirs = sum(hmac.compare_digest(given, secret) for secret in known.secrets) > 0
        if known is self._nobody or not is_theirs:
            return 404 if known is self._nobody else 401
        if length.isdigit() and int(length) > LARGEST:
            return 413
        body = await _body(receive)
        if isinstance(body, int):
            return body
        try:
            stored = await self.writer.put(known.server_id, body)
        except Full:
            return 429
        return 202 if stored else 503

    async def _look_up(self) -> None:
        """Who may send, asked of the database now and then: a rotated secret holds within a second or two."""
        is_fresh = time.monotonic() - self._asked_at < ASK_AGAIN_S
        if self._known and (is_fresh or self._asking.locked()):
            return
        async with self._asking:
            if time.monotonic() - self._asked_at < ASK_AGAIN_S:
                return
            try:
                self._known = await asyncio.to_thread(self._receivers)
            except Exception as problem:  # noqa: BLE001 - a database that is away for a moment
                log.warning("receivers could not be read", error=type(problem).__name__)
            self._asked_at = time.monotonic()

    def _receivers(self) -> dict[str, _Known]:
        with self._outside.db.read() as session:
            rows = store.receivers(session)
        vault, known = self._outside.vault, {}
        for row in rows:
            try:
                previous = vault.unlock(row.previous) if row.previous else secrets.token_bytes(64)
                known[row.path_key] = _Known(row.server_id, (vault.unlock(row.secret), previous))
            except Unavailable:
                # Locked with a key that is gone: this one alone stays out, its lanes are polled.
                log.warning("a webhook secret cannot be read", server=row.server_id)
        return known

    async def _answer(self, send: Send, status: int) -> None:
        headers = [*self._headers, (b"content-length", b"0"), (b"cache-control", b"no-store")]
        if status in {429, 503}:
            headers.append((b"retry-after", b"1"))
        if status in {408, 413, 429}:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


async def _body(receive: Receive) -> bytes | int:
    """The body, or the status to answer with: 413 too large, 408 too slow, 400 broken off."""
    first: Message = await _next(receive, SLOWEST_S)
    if first["type"] == "http.request" and not first.get("more_body"):
        body: bytes = first.get("body", b"")
        return body if len(body) <= LARGEST else 413
    deadline = time.monotonic() + SLOWEST_S
    parts, size, message = [], 0, first
    while message["type"] == "http.request":
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > LARGEST:
            return 413
        if not message.get("more_body"):
            return b"".join(parts)
        message = await _next(receive, deadline - time.monotonic())
    return 408 if message["type"] == "too slow" else 400


async def _next(receive: Receive, within_s: float) -> Message:
    try:
        async with asyncio.timeout(max(within_s, 0)):
            return await receive()
    except TimeoutError:
        return {"type": "too slow"}
