"""Passwords as argon2id, two at a time, and which ones are too well known."""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from pwdlib import PasswordHash

from workbench.auth.common_passwords import COMMON
from workbench.auth.domain import checked_password
from workbench.errors import InvalidInput, TooMany

# Each hash takes 64 MiB and most of a core: more at once would let strangers fill the machine.
_PLACES = threading.BoundedSemaphore(2)
# Who waits holds a thread that pages need: a crowd is sent away instead.
_WAITING = threading.BoundedSemaphore(8)
_LONGEST_WAIT_S = 10.0
_LEAST_DISTINCT = 4


@cache
def _hasher() -> PasswordHash:
    return PasswordHash.recommended()


@cache
def _nobody() -> str:
    return _hasher().hash(secrets.token_hex(32))


@contextmanager
def _place() -> Iterator[None]:
    if not _WAITING.acquire(blocking=False):
        raise _crowded()
    try:
        if not _PLACES.acquire(timeout=_LONGEST_WAIT_S):
            raise _crowded()
        try:
            yield
        finally:
            _PLACES.release()
    finally:
        _WAITING.release()


def _crowded() -> TooMany:
    return TooMany("many people are signing in right now; try again in a few seconds", retry_after_s=5)


def uncommon_password(given: str, *, about: str = "") -> str:
    """The password, if it is long enough and nobody would guess it first.

    Args:
        given: The password.
        about: The owner's e-mail address: no part of a password that holds.

    Raises:
        InvalidInput: It is too short, far too long, well known, or made of the owner's address.
    """
    checked_password(given)
    plain = given.casefold()
    core = re.sub(r"[\W\d_]+$", "", re.sub(r"^[\W\d_]+", "", plain))
    name = about.partition("@")[0].casefold()
    known = plain in COMMON or core in COMMON or plain.isdigit()
    if known or len(set(plain)) < _LEAST_DISTINCT or plain == about.casefold() or (name and core == name):
        raise InvalidInput(
            "this password is among the first that are tried; choose another, such as four words"
        )
    return given


def hash_password(password: str) -> str:
    """The password as it is stored."""
    with _place():
        return _hasher().hash(password)


def password_fits(password: str, stored: str | None) -> bool:
    """Whether the password is the one stored; takes as long for nobody (None) as for somebody."""
    against = stored or _nobody()
    with _place():
        fits = _hasher().verify(password, against)
    return fits and bool(stored)
