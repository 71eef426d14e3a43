"""Live pages: one stream of "changed" events per open page."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from fastapi.sse import ServerSentEvent
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

LONGEST_STREAM_S = 600.0
"""Browsers connect again by themselves; a stream that nobody reads any more must not stay for ever."""

CHECK_SENDER_S = 3.0
"""How often a stream asks whether its reader is still signed in."""


class Stopping:
    """Whether the process was asked to stop: streams end then, or the server would wait for them."""

    def __init__(self) -> None:
        self._asked = threading.Event()

    def ask(self) -> None:
        """From now on every stream ends within a second."""
        self._asked.set()

    @property
    def asked(self) -> bool:
        """True once the process is stopping."""
        return self._asked.is_set()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Inside the block SIGTERM and SIGINT also end the streams; the server's own handling stays."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {kind: signal.getsignal(kind) for kind in (signal.SIGTERM, signal.SIGINT)}

        def handle(kind: int, frame: FrameType | None) -> None:
            self.ask()
            previous = before[signal.Signals(kind)]
            if callable(previous):
                previous(kind, frame)
            elif previous == signal.SIG_DFL:
                signal.signal(kind, signal.SIG_DFL)
                signal.raise_signal(kind)

        for kind in before:
            signal.signal(kind, handle)
        try:
            yield
        finally:
            for kind, previous in before.items():
                signal.signal(kind, previous)


async def changes(
    request: Request, version: Callable[[], object], *, every_s: float = 1.0
) -> AsyncIterator[ServerSentEvent]:
    """A "changed" event whenever `version()` answers something new.

    Args:
        request: The stream's request.
        version: Something cheap to ask once a second, such as the sum of a project's counters; called in
            a thread.
        every_s: Pause between two looks.
    """
    stopping: Stopping = request.app.state.stopping
    ends_at = time.monotonic() + LONGEST_STREAM_S
    still_signed_in: Callable[[], bool] = getattr(request.state, "still_signed_in", lambda: True)
    checked_at = time.monotonic()
    known = await run_in_threadpool(version)
    yield ServerSentEvent(event="ready", raw_data="ready", retry=2000)
    while not stopping.asked and time.monotonic() < ends_at:
        await asyncio.sleep(every_s)
        if time.monotonic() - checked_at > CHECK_SENDER_S:
            if not await run_in_threadpool(still_signed_in):
                return
            checked_at = time.monotonic()
        seen = await run_in_threadpool(version)
        if seen != known:
            known = seen
            yield ServerSentEvent(event="changed", raw_data="changed")
