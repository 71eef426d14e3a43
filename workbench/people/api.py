"""People, prices and Label Studio servers as JSON."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, SecretStr
from sqlalchemy.orm import Session

from workbench.auth.access import Caller, require
from workbench.auth.domain import Permission, Role
from workbench.people import invitations, service, store
from workbench.people.views import people_of
from workbench.web.current import Out, RowId

router = APIRouter(prefix="/api/v1")


class Person(BaseModel):
    """Somebody who works on a project."""

    id: str
    name: str
    email: str
    pool: str
    joined_at: datetime
    label_studio_account: str | None
    invitation: str | None


class Price(BaseModel):
    """What a pool is paid for a unit of work."""

    pool: str
    unit: str
    price: Decimal
    currency: str
    valid_from: datetime
    valid_to: datetime | None
    holds: str


class Server(BaseModel):
    """A Label Studio server; its token is never told."""

    id: int
    name: str
    url: str
    version: str
    state: str
    problem: str
    checked_at: datetime | None
    capabilities: dict[str, Any]


class _Given(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewInvitation(_Given):
    """Whom to invite; `pool` is a pool's key, else the project's own."""

    email: str
    name: str = ""
    pool: str = ""
    role: Role = Role.ANNOTATOR


class InvitationLink(BaseModel):
    """The link to send; it can be read this once."""

    email: str
    link: str


class NewPrice(_Given):
    """A price from a day on (today where none is given)."""

    pool: str
    unit: str
    price: Decimal
    currency: str = ""
    begins: date | None = None


class NewServer(_Given):
    """A server to connect."""

    name: str
    url: str
    token: SecretStr


@router.get("/projects/{key}/people")
def people(outside: Out, caller: Caller = require(Permission.PEOPLE_READ)) -> list[Person]:
    """Who works on the project."""
    with outside.db.read() as session:
        view = people_of(session, caller.here.id, outside.now(), caller.projects)
    return [
        Person(
            id=line.person.public_id,
            name=line.person.name,
            email=line.person.email,
            pool=line.pool.key,
            joined_at=line.joined_at,
            label_studio_account=line.account or None,
            invitation=line.invitation or None,
        )
        for line in view.people
    ]


@router.post("/projects/{key}/invitations", status_code=201)
def invite(
    request: Request, outside: Out, given: NewInvitation, caller: Caller = require(Permission.PEOPLE_EDIT)
) -> InvitationLink:
    """Invites somebody."""
    here = caller.here
    with outside.db.write() as session:
        pool_id = _pool(session, caller, given.pool).id if given.pool else None
        if pool_id is None and given.role == Role.ANNOTATOR:
            pool_id = service.ensure_default_pool(session, here.id, here.title, here.key).id
        made = invitations.invite_person(
            session,
            outside,
            email=given.email,
            name=given.name,
            pool_id=pool_id,
            project_id=here.id,
            server_id=None,
            by=caller.email,
            may=caller.permissions,
            role=given.role,
        )
    address = outside.settings.public_url or str(request.base_url)
    return InvitationLink(email=made.email, link=made.link(address.rstrip("/")))


def _pool(session: Session, caller: Caller, key: str) -> Any:
    return store.check_reach(session, store.pool_with_key(session, key), caller.here.id, caller.projects)


@router.get("/projects/{key}/prices")
def prices(outside: Out, caller: Caller = require(Permission.RATES_READ)) -> list[Price]:
    """Every price that holds, held or will hold for the project's pools."""
    with outside.db.read() as session:
        view = people_of(session, caller.here.id, outside.now(), caller.projects)
    return [
        Price(
            pool=line.pool,
            unit=line.card.unit,
            price=line.card.price,
            currency=line.card.currency,
            valid_from=line.card.valid_from,
            valid_to=line.card.valid_to,
            holds=line.state,
        )
        for line in view.prices
    ]


@router.post("/projects/{key}/prices", status_code=201)
def set_price(outside: Out, given: NewPrice, caller: Caller = require(Permission.RATES_EDIT)) -> Price:
    """Sets a price; the one before ends where it begins."""
    here = caller.here
    with outside.db.write() as session:
        pool = _pool(session, caller, given.pool)
        card = service.set_price(
            session,
            project_id=here.id,
            pool=pool,
            unit=given.unit,
            price=given.price,
            currency=(given.currency or here.currency).upper(),
            valid_from=service.price_begins(given.begins, here.time_zone, outside.now()),
            by=caller.email,
            now=outside.now(),
        )
    return Price(
        pool=pool.name,
        unit=card.unit,
        price=card.price,
        currency=card.currency,
        valid_from=card.valid_from,
        valid_to=None,
        holds="now" if card.valid_from <= outside.now() else "from then on",
    )


@router.get("/servers")
def servers(outside: Out, caller: Caller = require(Permission.SERVERS_READ)) -> list[Server]:  # noqa: ARG001 - the check is what is wanted
    """Every Label Studio server."""
    with outside.db.read() as session:
        return [_server(row) for row in store.servers(session)]


@router.post("/servers", status_code=201)
def connect(outside: Out, given: NewServer, caller: Caller = require(Permission.SERVERS_EDIT)) -> Server:
    """Connects a server, after asking it who it is."""
    token = given.token.get_secret_value()
    return _server(
        service.connect_server(outside, name=given.name, url=given.url, token=token, by=caller.email)
    )


@router.post("/servers/{server_id}/check")
def check(outside: Out, server_id: RowId, caller: Caller = require(Permission.SERVERS_EDIT)) -> Server:
    """Asks a server again."""
    return _server(service.refresh_server(outside, server_id, by=caller.email))


def _server(row: Any) -> Server:
    return Server.model_validate(row, from_attributes=True)
