"""Pages of a project's people and prices, of Label Studio servers, and of invitations."""

from __future__ import annotations

from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from sqlalchemy.orm import Session
from starlette.responses import Response

from integrations.errors import IntegrationError
from workbench.auth import brakes
from workbench.auth.access import Caller, public, require
from workbench.auth.domain import ASSIGNABLE, ROLE_TITLES, Permission, Role
from workbench.auth.entering import enter
from workbench.errors import InvalidInput, NotFound, WorkbenchError
from workbench.outside import Outside
from workbench.people import invitations, service, store
from workbench.people.views import people_of
from workbench.web.current import Out, RowId
from workbench.web.errors import status_of
from workbench.web.render import page, redirect
from workbench.web.senders import client_address

router = APIRouter()
Failures = (WorkbenchError, IntegrationError)


@router.get("/projects/{key}/people")
def people(request: Request, outside: Out, caller: Caller = require(Permission.PEOPLE_READ)) -> Response:
    """Who works on a project, with what account, for what price."""
    return _people(request, outside, caller)


def _people(
    request: Request,
    outside: Outside,
    caller: Caller,
    *,
    link: str = "",
    invited: str = "",
    problem: str = "",
    price_problem: str = "",
    given: dict[str, Any] | None = None,
    status: int = 200,
) -> Response:
    with outside.db.read() as session:
        view = people_of(session, caller.here.id, outside.now(), caller.projects)
    return page(
        request,
        "people/people.html",
        status=status,
        view=view,
        link=link,
        invited=invited,
        problem=problem,
        price_problem=price_problem,
        given=given or {},
        role_titles=ASSIGNABLE,
    )


@router.post("/projects/{key}/people/invitations")
def invite(
    request: Request,
    outside: Out,
    email: Annotated[str, Form()],
    name: Annotated[str, Form()] = "",
    pool: Annotated[str, Form()] = "",
    role: Annotated[str, Form()] = Role.ANNOTATOR,
    caller: Caller = require(Permission.PEOPLE_EDIT),
) -> Response:
    """An invitation; its link is shown this once."""
    try:
        with outside.db.write() as session:
            pool_id = _pool_id(pool)
            if pool_id is None and role == Role.ANNOTATOR:
                here = caller.here
                pool_id = service.ensure_default_pool(session, here.id, here.title, here.key).id
            elif pool_id is not None:
                pool_id = _pool(session, caller, pool).id
            made = invitations.invite_person(
                session,
                outside,
                email=email,
                name=name,
                pool_id=pool_id,
                project_id=caller.here.id,
                server_id=None,
                by=caller.email,
                may=caller.permissions,
                role=role,
            )
    except WorkbenchError as problem:
        given = {"email": email, "name": name, "pool": pool, "role": role}
        return _people(request, outside, caller, problem=str(problem), given=given, status=problem.status)
    address = outside.settings.public_url or str(request.base_url)
    return _people(request, outside, caller, link=made.link(address.rstrip("/")), invited=made.email)


def _pool_id(given: str) -> int | None:
    if given and not (given.isascii() and given.isdigit() and len(given) < 19):  # noqa: PLR2004 - the column holds 63 bits
        raise InvalidInput("choose a pool from the list")
    return int(given) if given else None


def _pool(session: Session, caller: Caller, given: str) -> Any:
    pool = store.find_pool(session, _pool_id(given) or 0)
    return store.check_reach(session, pool, caller.here.id, caller.projects)


@router.post("/projects/{key}/people/members")
def add_member(
    request: Request,
    outside: Out,
    person: Annotated[str, Form()],
    pool: Annotated[str, Form()],
    caller: Caller = require(Permission.PEOPLE_EDIT),
) -> Response:
    """A person who is known already works in a pool from now on."""
    with outside.db.write() as session:
        found = store.person_in_reach(session, person, caller.here.id, caller.projects)
        wanted = _pool(session, caller, pool)
        service.add_to_pool(session, outside, wanted.id, found.id, by=caller.email)
    return redirect(
        request, f"/projects/{caller.here.key}/people", notice=f"{found.name} works in {wanted.name} now."
    )


@router.post("/projects/{key}/people/members/remove")
def remove_member(
    request: Request,
    outside: Out,
    person: Annotated[str, Form()],
    pool: Annotated[str, Form()],
    caller: Caller = require(Permission.PEOPLE_EDIT),
) -> Response:
    """A person no longer works in a pool."""
    with outside.db.write() as session:
        found = store.person_in_reach(session, person, caller.here.id, caller.projects)
        service.remove_from_pool(session, outside, _pool(session, caller, pool).id, found.id, by=caller.email)
    return redirect(
        request,
        f"/projects/{caller.here.key}/people",
        notice=f"{found.name} left the pool; their answers stay.",
    )


@router.post("/projects/{key}/people/prices")
def set_price(
    request: Request,
    outside: Out,
    pool: Annotated[str, Form()],
    unit: Annotated[str, Form()],
    price: Annotated[str, Form()],
    currency: Annotated[str, Form()],
    begins: Annotated[str, Form()] = "",
    caller: Caller = require(Permission.RATES_EDIT),
) -> Response:
    """A new price of a pool in this project, from a day on."""
    here = caller.here
    try:
        amount, day = _amount(price), _day(begins)
        with outside.db.write() as session:
            service.set_price(
                session,
                project_id=here.id,
                pool=_pool(session, caller, pool),
                unit=unit,
                price=amount,
                currency=currency.strip().upper(),
                valid_from=service.price_begins(day, here.time_zone, outside.now()),
                by=caller.email,
                now=outside.now(),
            )
    except WorkbenchError as problem:
        given = {"unit": unit, "price": price, "currency": currency, "begins": begins, "price_pool": pool}
        return _people(
            request, outside, caller, price_problem=str(problem), given=given, status=problem.status
        )
    return redirect(request, f"/projects/{here.key}/people", notice="The price is set.")


def _amount(given: str) -> Decimal:
    try:
        return Decimal(given.strip().replace(",", "."))
    except InvalidOperation:
        raise InvalidInput("give the price as a number such as 0.08") from None


def _day(given: str) -> date | None:
    try:
        return date.fromisoformat(given) if given else None
    except ValueError:
        raise InvalidInput("give the day as year-month-day, such as 2026-03-31") from None


@router.get("/servers")
def servers(request: Request, outside: Out, caller: Caller = require(Permission.SERVERS_READ)) -> Response:  # noqa: ARG001 - the check is what is wanted
    """The Label Studio servers that the workbench works with."""
    return _servers(request, outside)


def _servers(
    request: Request,
    outside: Outside,
    *,
    problem: str = "",
    given: dict[str, str] | None = None,
    status: int = 200,
) -> Response:
    with outside.db.read() as session:
        found = store.servers(session)
        projects = store.projects_by_server(session)
    return page(
        request,
        "people/servers.html",
        status=status,
        servers=found,
        projects=projects,
        problem=problem,
        given=given or {},
    )


@router.post("/servers")
def connect(
    request: Request,
    outside: Out,
    name: Annotated[str, Form()],
    url: Annotated[str, Form()],
    token: Annotated[str, Form()],
    caller: Caller = require(Permission.SERVERS_EDIT),
) -> Response:
    """Connects a server, after asking it who it is."""
    try:
        server = service.connect_server(outside, name=name, url=url, token=token, by=caller.email)
    except Failures as problem:
        given = {"name": name, "url": url}
        return _servers(request, outside, problem=str(problem), given=given, status=status_of(problem))
    return redirect(request, "/servers", notice=f"{server.name} is connected: Label Studio {server.version}.")


@router.post("/servers/{server_id}/check")
def check(
    request: Request,
    outside: Out,
    server_id: RowId,
    caller: Caller = require(Permission.SERVERS_EDIT),
) -> Response:
    """Asks a server again."""
    server = service.refresh_server(outside, server_id, by=caller.email)
    words = f"{server.name} answers: Label Studio {server.version}." if server.state == service.READY else ""
    return redirect(request, "/servers", notice=words)


@router.post("/servers/{server_id}/members")
def adopt(
    request: Request,
    outside: Out,
    server_id: RowId,
    caller: Caller = require(Permission.SERVERS_EDIT),
) -> Response:
    """Persons for the accounts of a server that are not known here yet."""
    new = service.adopt_members(outside, server_id, by=caller.email)
    words = f"{new} new from this server." if new else "Everybody on this server is known already."
    return redirect(request, "/servers", notice=words)


@router.get("/invitations/{token}")
def invitation(request: Request, outside: Out, token: str, caller: Caller = public()) -> Response:  # noqa: ARG001 - the check is what is wanted
    """Where an invited person sets a password."""
    return _invitation(request, outside, token)


def _invitation(
    request: Request, outside: Outside, token: str, *, problem: str = "", status: int = 200
) -> Response:
    try:
        with outside.db.read() as session:
            guest = invitations.welcome(session, outside, token)
    except NotFound as unknown:
        return page(
            request, "web/error.html", status=404, title="This link does not work", detail=str(unknown)
        )
    return page(
        request,
        "people/invitation.html",
        status=status,
        guest=guest,
        role=ROLE_TITLES[Role(guest.role)],
        token=token,
        problem=problem,
    )


@router.post("/invitations/{token}")
def accept(
    request: Request,
    outside: Out,
    token: str,
    password: Annotated[str, Form()],
    caller: Caller = public(),  # noqa: ARG001 - the check is what is wanted
) -> Response:
    """Makes the accounts and signs the person in."""
    address = client_address(request)
    guesses: brakes.Names = [(brakes.PAIR, f"invitation|{address}")]
    with outside.db.write() as session:
        brakes.count_try(session, outside.now(), guesses)
    try:
        done = invitations.accept_invitation(outside, token, password, address=address)
    except Failures as problem:
        return _invitation(request, outside, token, problem=str(problem), status=status_of(problem))
    with outside.db.write() as session:
        brakes.forget(session, *guesses[0])
    words = "Welcome! Your accounts are ready."
    if done.adopted:
        words = "Welcome! You had a Label Studio account already: sign in there with the password it has."
    return enter(request, outside, done.user_id, how="invitation", notice=words)
