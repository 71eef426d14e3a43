"""Fences: work whose owner was declared dead commits nothing any more.

A worker that was thought dead may only have been asleep. What it then still does must not reach the
database, since another has taken its work over. Whoever runs work for which somebody else may step in sets a
check; every writing transaction below asks it first and holds what it read until it commits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from sqlalchemy.orm import Session

Check = Callable[[Session], bool]


class Fenced(BaseException):
    """This work has another owner by now: what it does is dropped, without a word to people.

    Like a cancellation, it is no `Exception`: no handler of errors may take it for one.
    """


_check: ContextVar[Check | None] = ContextVar("fence", default=None)


@contextmanager
def fenced_by(check: Check) -> Iterator[None]:
    """All writing in the block (in this thread) first asks whether the work is still its own.

    Args:
        check: Reads, in the writing transaction, whether the owner still stands, and locks what it read.
    """
    token = _check.set(check)
    try:
        yield
    finally:
        _check.reset(token)


def require_fence(session: Session) -> None:
    """Nothing, if this work is still its own, or nobody may step in.

    Raises:
        Fenced: Somebody else owns it by now.
    """
    check = _check.get()
    if check is not None and not check(session):
        raise Fenced
