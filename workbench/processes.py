"""Being one process among several: pid files, locks, children that never outlive their parent."""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import socket
from pathlib import Path

from workbench.errors import Conflict

_PR_SET_PDEATHSIG = 1

CHILD = "WORKBENCH_CHILD_OF"
"""In a child's environment: the process that started it and must not be outlived."""


def die_with_parent(parent: int | None = None) -> None:
    """Have the kernel end this process (SIGTERM) when its parent ends, however that happens. Linux only.

    Args:
        parent: Process id of the parent as it knew itself: it may have ended before this line is reached.
    """
    parent = parent or os.getppid()
    try:
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    except (OSError, AttributeError):
        return
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)


class Lock:
    """A lock on a data folder, given back by the kernel when the process ends."""

    def __init__(self, path: Path, what: str) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.seek(0)
            pid = self._file.read().strip() or "unknown"
            self._file.close()
            raise Conflict(
                f"{what} already runs on this data folder (process {pid}). Use that one, stop it, "
                "or give another folder with --data-dir."
            ) from None
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def release(self) -> None:
        """Give the lock back."""
        self._file.close()


def check_port(host: str, port: int, setting: str) -> None:
    """Nothing, if the port is free.

    Raises:
        Conflict: Somebody listens there; says which setting to change.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            raise Conflict(
                f"port {port} on {host} is taken by another program. "
                f"Stop that program, or choose another port with {setting}."
            ) from None
