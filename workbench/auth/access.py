"""Who may do what: every route declares its permission, and nothing is allowed that is not declared.

    @router.get("/projects/{key}/items")
    def items(request: Request, caller: Caller = require(Permission.ITEMS_READ)) -> Response: ...

A route under `{key}` is about that project: `caller.project` is it, and who has no role there gets 404.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import RouteContext, iter_route_contexts
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.routing import Mount

from workbench.auth import store
from workbench.auth.domain import (
    EVERYWHERE,
    PRIVILEGED,
    WITHOUT_PROJECT,
    Identity,
    Permission,
    Role,
    csrf_token_fits,
)
from workbench.errors import InvalidInput, NotAllowed, NotFound, NotSignedIn, SecondFactorNeeded
from workbench.outside import Outside
from workbench.web.current import ProjectRef
from workbench.web.senders import own_origins

SAFE = {"GET", "HEAD", "OPTIONS"}
_OPEN_MOUNTS = {"/assets"}
FindProject = Callable[[Session, str], ProjectRef | None]


class RoleTable:
    """What each role may do, read from its rows at most once in `keep_s` seconds."""

    def __init__(self, keep_s: float = 5.0) -> None:
        self._keep_s = keep_s
        self._read_at = float("-inf")
        self._rows: dict[str, frozenset[str]] = {}

    def permissions(self, outside: Outside, roles: Iterable[str]) -> frozenset[str]:
        """Everything that at least one of the roles may do."""
        if time.monotonic() - self._read_at > self._keep_s:
            with outside.db.read() as session:
                self._rows = store.role_permissions(session)
            self._read_at = time.monotonic()
        return frozenset().union(*(self._rows.get(role, frozenset()) for role in roles))

    def forget(self) -> None:
        """Read again at the next question."""
        self._read_at = float("-inf")


@dataclass(frozen=True)
class Caller:
    """Who asks, and what they may do here.

    Attributes:
        identity: The user; None for somebody who is not signed in, on a public page.
        permissions: What they may do where this request is about.
        project: The project of the address, if it names one.
        projects: Ids of the projects they have a role in; None for all.
        held_back: A privileged role of theirs waits for a second factor.
    """

    identity: Identity | None
    permissions: frozenset[str] = frozenset()
    project: ProjectRef | None = None
    projects: frozenset[int] | None = frozenset()
    held_back: bool = False

    @property
    def user_id(self) -> int:
        """The user's id."""
        return self.known.user_id

    @property
    def name(self) -> str:
        """What to call them."""
        return self.identity.name if self.identity else ""

    @property
    def email(self) -> str:
        """Their address; also what `by` columns keep."""
        return self.identity.email if self.identity else ""

    @property
    def roles(self) -> frozenset[str]:
        """Every role they hold somewhere."""
        return frozenset().union(*self.identity.roles.values()) if self.identity else frozenset()

    @property
    def leads(self) -> bool:
        """Whether they are a supplier's lead."""
        return self.identity is not None and self.identity.supplier_id is not None

    @property
    def supplier(self) -> int:
        """The supplier whose lead they are: its rows, and nothing else, are theirs to see.

        Raises:
            NotFound: They are nobody's lead, so the page is not there for them.
        """
        found = self.identity.supplier_id if self.identity else None
        if found is None:
            raise NotFound("there is no such page, or it is not yours to see")
        return found

    @property
    def known(self) -> Identity:
        """The user.

        Raises:
            NotSignedIn: Nobody is signed in.
        """
        if self.identity is None:
            raise NotSignedIn("sign in first")
        return self.identity

    @property
    def here(self) -> ProjectRef:
        """The project of the address."""
        if self.project is None:
            raise RuntimeError("this route's address names no project {key}")
        return self.project

    def may(self, permission: str) -> bool:
        """Whether they may do this here."""
        return permission in self.permissions

    def sees(self, project_id: int) -> bool:
        """Whether they have a role in this project."""
        return self.projects is None or project_id in self.projects


class Guard:
    """The check of one route; found again by `guarded_routes`."""

    def __init__(self, permission: Permission | None) -> None:
        self.permission = permission

    async def __call__(self, request: Request) -> Caller:
        """The caller, allowed."""
        _check_address(request)
        identity: Identity | None = getattr(request.state, "identity", None)
        if request.method not in SAFE:
            await _check_origin(request, identity)
        if self.permission is None:
            return await run_in_threadpool(caller_of, request, identity, None)
        if identity is None:
            raise NotSignedIn("sign in first")
        key = request.path_params.get("key")
        caller = await run_in_threadpool(caller_of, request, identity, key)
        request.state.caller = caller
        allowed = caller.may(self.permission)
        if not allowed and caller.held_back:
            raise SecondFactorNeeded(
                "your role needs a second factor here: set one up on your account page, then sign in with it"
            )
        if allowed or caller.may(Permission.PROJECTS_READ):
            # The frame of the page shows the project's menu, on an error page too; who may not know of
            # the project gets no answer that differs from that for one which is not there.
            request.state.project = caller.project
        elif key is not None:
            raise _no_project(key)
        if not allowed:
            raise NotAllowed(f"your role may not do this ({self.permission}); ask an admin for it")
        return caller


def require(permission: Permission) -> Any:
    """The route's `Caller`, who has this permission."""
    return Depends(Guard(permission))


def public() -> Any:
    """The route's `Caller`, who may be nobody: for signing in, invitations and health."""
    return Depends(Guard(None))


def caller_of(request: Request, identity: Identity | None, key: str | None) -> Caller:
    """Somebody at a place: with the roles they have everywhere and in the project `key`.

    Raises:
        NotFound: There is no such project, or they have no role in it.
    """
    if identity is None:
        return Caller(None)
    outside: Outside = request.app.state.outside
    table: RoleTable = request.app.state.role_table
    project = _project(request, identity, key) if key is not None else None
    roles = set(identity.roles.get(EVERYWHERE, ()))
    if project is not None:
        roles |= identity.roles.get(project.id, frozenset())
    somewhere = frozenset().union(*identity.roles.values())
    held_back = waits_for_second_factor(outside, identity, somewhere)
    if held_back:
        roles, somewhere = roles - PRIVILEGED, somewhere - PRIVILEGED
    granted = table.permissions(outside, roles)
    if held_back:
        granted |= {Permission.ACCOUNT}
    if project is None:
        granted |= table.permissions(outside, somewhere) & WITHOUT_PROJECT
    if project is None and identity.supplier_id is not None:
        granted |= table.permissions(outside, {Role.SUPPLIER_LEAD})
    if identity.scopes is not None:
        granted &= identity.scopes
    everywhere = bool(identity.roles.get(EVERYWHERE))
    projects = None if everywhere else frozenset(identity.roles)
    return Caller(identity, granted, project, projects, held_back)


def waits_for_second_factor(outside: Outside, identity: Identity, roles: Iterable[str]) -> bool:
    """Whether privileged roles among these do not count: a second factor is required and was not shown."""
    required = outside.settings.second_factor_required and not identity.strong
    return required and not PRIVILEGED.isdisjoint(roles)


def _project(request: Request, identity: Identity, key: str) -> ProjectRef:
    outside: Outside = request.app.state.outside
    find: FindProject = request.app.state.find_project
    with outside.db.read() as session:
        project = find(session, key)
    if project is None or not (identity.roles.get(EVERYWHERE) or identity.roles.get(project.id)):
        raise _no_project(key)
    return project


def _no_project(key: str) -> NotFound:
    return NotFound(f"there is no project {key!r}, or it is not yours to see")


def _check_address(request: Request) -> None:
    """Refuses zero bytes: texts of PostgreSQL cannot hold them, and no address of ours does.

    Raises:
        InvalidInput: The address holds one.
    """
    if "\0" in request.url.path or b"%00" in request.scope.get("query_string", b""):
        raise InvalidInput("the address holds a zero byte; open the page by a link or from the menu")


async def _check_origin(request: Request, identity: Identity | None) -> None:
    """Refuses what another site made this browser send.

    Raises:
        NotAllowed: The request comes from elsewhere, or carries no token of this session.
    """
    if identity is not None and not identity.session_secret:
        return
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site is not None and site not in {"same-origin", "none"}:
        raise NotAllowed("this request came from another site; open the workbench and try again")
    settings = request.app.state.outside.settings
    if origin is not None and origin.lower() not in own_origins(settings, request.headers.get("host", "")):
        raise NotAllowed("this request came from another address; open the workbench at its own address")
    if identity is None:
        return
    token = request.headers.get("x-csrf-token") or await _form_token(request)
    if not csrf_token_fits(identity.session_secret, token):
        raise NotAllowed("this page is no longer current; load it again and repeat what you did")


async def _form_token(request: Request) -> str:
    kind = request.headers.get("content-type", "")
    if not kind.startswith(("application/x-www-form-urlencoded", "multipart/form-data")):
        return ""
    return str((await request.form()).get("csrf_token", ""))


def guard_of(route: RouteContext) -> Guard | None:
    """The check that a route declared."""
    dependant = getattr(route, "dependant", None)
    return next((call for call in _calls(dependant) if isinstance(call, Guard)), None) if dependant else None


def _calls(dependant: Dependant) -> Iterator[object]:
    yield dependant.call
    for below in dependant.dependencies:
        yield from _calls(below)


def guarded_routes(app: FastAPI) -> list[RouteContext]:
    """Every route that a request can reach, without the files of the pages.

    Raises:
        RuntimeError: One of them declares no permission; who builds the application must mend it.
    """
    found = []
    for route in iter_route_contexts(app.routes):
        if isinstance(route.original_route, Mount) and route.path in _OPEN_MOUNTS:
            continue
        if guard_of(route) is None:
            raise RuntimeError(
                f"{sorted(route.methods or ())} {route.path} declares no permission: give it "
                "`caller: Caller = require(Permission.…)` or `public()`"
            )
        found.append(route)
    return found
