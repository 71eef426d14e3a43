"""Connections to checked addresses alone, each under the deadline of the request that uses it."""

import contextlib
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import Any

import httpcore

from integrations.outbound.rules import Rules, Target, judged

Resolver = Callable[[str, int], list[str]]
"""Every address of a host; OSError where it has none."""

_deadline: ContextVar[float | None] = ContextVar("outbound_deadline", default=None)


@contextlib.contextmanager
def until(deadline: float) -> Iterator[None]:
    """Reading and writing inside end at this moment of the monotonic clock."""
    token = _deadline.set(deadline)
    try:
        yield
    finally:
        _deadline.reset(token)


def _left(timeout: float | None, late: type[Exception]) -> float | None:
    deadline = _deadline.get()
    if deadline is None:
        return timeout
    left = deadline - time.monotonic()
    if left <= 0:
        raise late("the whole request took too long")
    return left if timeout is None else min(left, timeout)


def system_resolver(host: str, port: int) -> list[str]:
    """What this machine's resolver answers."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(one[4][0]) for one in found))


class PinnedBackend(httpcore.NetworkBackend):
    """Resolves a host once, judges every answer, and dials an address that was judged.

    TLS and the Host header keep the host's name, so a certificate is checked against the name.
    """

    def __init__(self, rules: Rules, resolver: Resolver = system_resolver) -> None:
        self._rules = rules
        self._resolver = resolver
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """A connection to one of the host's checked addresses.

        Raises:
            OutboundRefused: One of its addresses may not be called.
        """
        target = Target("", host.strip("[]"), port)
        answers = self._answers(target, _left(timeout, httpcore.ConnectTimeout))
        problem: Exception = httpcore.ConnectError("no address")
        for address in judged(target, answers, self._rules):
            left = _left(timeout, httpcore.ConnectTimeout)
            try:
                stream = self._plain.connect_tcp(str(address), port, left, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as found:
                problem = found
            else:
                return _TimedStream(stream)
        raise problem

    def _answers(self, target: Target, timeout: float | None) -> list[str]:
        with contextlib.suppress(OSError):
            family = socket.AF_INET6 if ":" in target.host else socket.AF_INET
            socket.inet_pton(family, target.host)
            return [target.host]
        done: queue.SimpleQueue[list[str] | Exception] = queue.SimpleQueue()

        def ask() -> None:
            try:
                done.put(self._resolver(target.host, target.port))
            except (OSError, UnicodeError) as problem:
                done.put(problem)

        # The system's resolver knows no deadline; a thread that hangs in it is left behind.
        threading.Thread(target=ask, daemon=True, name="outbound-resolver").start()
        try:
            answer = done.get(timeout=timeout)
        except queue.Empty:
            raise httpcore.ConnectTimeout("the name was not resolved in time") from None
        if isinstance(answer, Exception):
            raise httpcore.ConnectError("the name cannot be resolved") from None
        return answer


class _TimedStream(httpcore.NetworkStream):
    """A connection whose every read and write ends at the deadline of the request under way."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # In pieces, so that a reader that takes a byte at a time meets the deadline too.
        view = memoryview(buffer)
        for begin in range(0, len(view), _PIECE):
            self._stream.write(bytes(view[begin : begin + _PIECE]), _left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = _left(timeout, httpcore.ConnectTimeout)
        return _TimedStream(self._stream.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


_PIECE = 64 * 1024
