"""Passwords as argon2id, two at a time, and a brake on guessing them."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from functools import cache

from pwdlib import PasswordHash

from workbench.errors import TooMany

# Each hash takes 64 MiB and most of a core: more at once would let strangers fill the machine.
_PLACES = threading.BoundedSemaphore(2)
_LONGEST_MEMORY = 10_000


@cache
def _hasher() -> PasswordHash:
    return PasswordHash.recommended()


@cache
def _nobody() -> str:
    return _hasher().hash("the password of nobody at all")


def hash_password(password: str) -> str:
    """The password as it is stored."""
    with _PLACES:
        return _hasher().hash(password)


def password_fits(password: str, stored: str | None) -> bool:
    """Whether the password is the one stored; takes as long for nobody (None) as for somebody."""
    against = stored or _nobody()
    with _PLACES:
        fits = _hasher().verify(password, against)
    return fits and stored is not None


class Throttle:
    """Counts failures per name; too many in a window lock that name until the window has passed."""

    def __init__(
        self, most: int, window_s: float = 900.0, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = most
        self._window_s = window_s
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: dict[str, deque[float]] = {}

    def check(self, name: str) -> None:
        """Lets pass who has not failed too often.

        Raises:
            TooMany: They have; says when to try again.
        """
        with self._lock:
            failures = self._recent(name)
            if len(failures) >= self._most:
                wait = int((failures[0] + self._window_s - self._clock()) // 60) + 1
                raise TooMany(f"too many failed tries; wait {wait} min and try again")

    def failed(self, name: str) -> None:
        """Remembers a failure."""
        with self._lock:
            if len(self._failures) >= _LONGEST_MEMORY:
                self._failures = {key: kept for key in list(self._failures) if (kept := self._recent(key))}
            self._recent(name).append(self._clock())

    def succeeded(self, name: str) -> None:
        """Forgets the failures of a name."""
        with self._lock:
            self._failures.pop(name, None)

    def _recent(self, name: str) -> deque[float]:
        failures = self._failures.setdefault(name, deque(maxlen=self._most))
        while failures and failures[0] <= self._clock() - self._window_s:
            failures.popleft()
        return failures
