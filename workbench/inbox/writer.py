"""The one writer of a process's inbox: what waits is stored in one transaction, then answered."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog

from workbench.inbox import store
from workbench.inbox.domain import action_of, digest_of, without_tokens
from workbench.outside import Outside

log = structlog.get_logger(__name__)

MOST_AT_ONCE = 1_000
FORGET_EVERY = timedelta(minutes=10)


class Full(Exception):
    """As many deliveries wait as may."""


@dataclass(frozen=True)
class _Waiting:
    server_id: int
    body: bytes
    loop: asyncio.AbstractEventLoop
    answered: asyncio.Future[bool]


class InboxWriter:
    """Takes deliveries and tells when each is safely stored; one thread, started with the first delivery."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        self._waiting: deque[_Waiting] = deque()
        self._bytes = 0
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stopped = False

    def put(self, server_id: int, body: bytes) -> asyncio.Future[bool]:
        """Becomes True when the delivery is stored, False when it could not be.

        Raises:
            Full: Too many wait already.
        """
        settings = self._outside.settings
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[bool] = loop.create_future()
        with self._wake:
            is_full = len(self._waiting) >= settings.inbox_queue
            if is_full or self._bytes + len(body) > settings.inbox_queue_mb * 1024 * 1024:
                raise Full
            self._waiting.append(_Waiting(server_id, body, loop, answered))
            self._bytes += len(body)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="inbox-writer", daemon=True)
                self._thread.start()
            self._wake.notify()
        return answered

    def stop(self) -> None:
        """Store what waits, then end."""
        with self._wake:
            self._stopped = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join(timeout=30)

    def _run(self) -> None:
        while batch := self._take():
            try:
                self._store(batch)
            except Exception as problem:
                log.exception("deliveries could not be stored", error=type(problem).__name__, n=len(batch))
                self._answer(batch, stored=False)
            else:
                self._answer(batch, stored=True)

    def _take(self) -> list[_Waiting]:
        with self._wake:
            while not self._waiting and not self._stopped:
                self._wake.wait()
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), MOST_AT_ONCE))]
            self._bytes -= sum(len(one.body) for one in batch)
            return batch

    def _store(self, batch: list[_Waiting]) -> None:
        now = self._outside.now()
        rows: dict[tuple[int, bytes], dict[str, Any]] = {}
        for one in batch:
            digest = digest_of(one.body)
            rows[one.server_id, digest] = {
                "server_id": one.server_id,
                "action": action_of(one.body),
                "digest": digest,
                "body": without_tokens(one.body),
                "received_at": now,
                "tries": 0,
                "problem": "",
            }
        with self._outside.db.append() as session:
            store.add_deliveries(session, [rows[key] for key in sorted(rows)])

    @staticmethod
    def _answer(batch: list[_Waiting], *, stored: bool) -> None:
        loops = {one.loop for one in batch}
        for loop in loops:
            futures = [one.answered for one in batch if one.loop is loop]
            try:
                loop.call_soon_threadsafe(_settle, futures, stored)
            except RuntimeError:
                log.warning("nobody waits for the answer any more", n=len(futures))


def _settle(futures: list[asyncio.Future[bool]], stored: bool) -> None:  # noqa: FBT001 - called by the loop
    for future in futures:
        if not future.done():
            future.set_result(stored)
