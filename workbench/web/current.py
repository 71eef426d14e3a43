"""What the frame of every page knows of a request, without knowing how people sign in."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Protocol

from fastapi import Depends, Path
from starlette.requests import Request

from workbench.outside import Outside


class User(Protocol):
    """Somebody signed in, as pages see them."""

    @property
    def name(self) -> str:
        """What to call them."""
        ...

    @property
    def leads(self) -> bool:
        """Whether they are a supplier's lead."""
        ...

    def may(self, permission: str) -> bool:
        """Whether they may do this, here."""
        ...


@dataclass(frozen=True)
class ProjectRef:
    """The project a request is about."""

    id: int
    key: str
    title: str
    state: str
    time_zone: str
    currency: str
    due_at: datetime | None = None


rendering: ContextVar[Request | None] = ContextVar("rendering", default=None)
"""The request whose page is being rendered in this thread."""


def request_now() -> Request:
    """The request whose page is being rendered."""
    request = rendering.get()
    if request is None:
        raise RuntimeError("templates are rendered by workbench.web.render.page alone")
    return request


def user_of(request: Request) -> User | None:
    """Who is signed in; None for nobody."""
    user: User | None = getattr(request.state, "caller", None)
    return user


def project_of(request: Request) -> ProjectRef | None:
    """The project that the address names, once access to it was granted."""
    project: ProjectRef | None = getattr(request.state, "project", None)
    return project


def outside_of_request(request: Request) -> Outside:
    """The outside of this process."""
    outside: Outside = request.app.state.outside
    return outside


Out = Annotated[Outside, Depends(outside_of_request)]
"""A route's parameter `outside: Out` is the outside of this process."""

RowId = Annotated[int, Path(ge=0, le=2**63 - 1)]
"""A route's parameter `import_id: RowId`: a number that the database can hold."""
