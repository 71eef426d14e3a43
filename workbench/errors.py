"""Errors a person can act on; each class carries its HTTP status.

WorkbenchError
├── InvalidInput 422    what was given cannot be used; says which part and what is expected
├── NotSignedIn 401     sign in first
├── NotAllowed 403      this role may not do that
│   └── SecondFactorNeeded   it may, once its owner has a second factor
├── NotFound 404        no such thing, or not yours to see
├── Conflict 409        clashes with what is there
│   ├── WrongState      the thing is not in a state that allows it
│   ├── AlreadyExists   there is one of that name
│   └── Stale           somebody changed it meanwhile
├── TooLarge 413        over a stated limit
├── TooMany 429         too many tries
└── Unavailable 503     Label Studio, a model or the database cannot be reached; tried again later
"""

from __future__ import annotations


class WorkbenchError(Exception):
    """Root of all errors that a person can act on."""

    status = 400


class InvalidInput(WorkbenchError):
    """What was given cannot be used."""

    status = 422


class NotSignedIn(WorkbenchError):
    """Sign in first."""

    status = 401


class NotAllowed(WorkbenchError):
    """This role may not do that."""

    status = 403


class SecondFactorNeeded(NotAllowed):
    """This role may do that, once its owner has a second factor."""


class NotFound(WorkbenchError):
    """No such thing, or not yours to see."""

    status = 404


class Conflict(WorkbenchError):
    """Clashes with what is there."""

    status = 409


class WrongState(Conflict):
    """The thing is not in a state that allows it."""


class AlreadyExists(Conflict):
    """There is one of that name."""


class Stale(Conflict):
    """Somebody changed it meanwhile."""


class TooLarge(WorkbenchError):
    """Over a stated limit."""

    status = 413


class TooMany(WorkbenchError):
    """Too many tries in a short time."""

    status = 429

    def __init__(self, message: str = "", *, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Unavailable(WorkbenchError):
    """Something outside cannot be reached; tried again later."""

    status = 503
