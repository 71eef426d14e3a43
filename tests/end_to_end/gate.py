"""A door in front of a server that can be shut: then connections are refused, as when it is down."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

from integrations.label_studio.server import free_port


class Gate:
    """Forwards connections to a port on this machine while it is open."""

    def __init__(self, target_port: int) -> None:
        self.port = free_port()
        self._target = target_port
        self._listener: socket.socket | None = None
        self._lines: set[socket.socket] = set()
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def open(self) -> None:
        """Take connections."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(64)
        self._listener = listener
        threading.Thread(target=self._take, args=(listener,), daemon=True).start()

    def shut(self) -> None:
        """Refuse connections, and cut those that are open."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        with self._lock:
            lines, self._lines = self._lines, set()
        for line in lines:
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

    def _take(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._target), timeout=5)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            with self._lock:
                self._lines |= {near, far}
            pipes = [
                threading.Thread(target=_pipe, args=ends, daemon=True) for ends in ((near, far), (far, near))
            ]
            for pipe in pipes:
                pipe.start()
            threading.Thread(target=self._close, args=(pipes, near, far), daemon=True).start()

    def _close(self, pipes: list[threading.Thread], near: socket.socket, far: socket.socket) -> None:
        for pipe in pipes:
            pipe.join()
        with self._lock:
            self._lines -= {near, far}
        near.close()
        far.close()


def _pipe(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while part := source.recv(65536):
            sink.sendall(part)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def gate(target_port: int) -> Iterator[Gate]:
    """An open gate."""
    made = Gate(target_port)
    made.open()
    try:
        yield made
    finally:
        made.shut()
