"""Label Studio servers, pools and prices of people."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from integrations.label_studio.errors import LabelStudioError, LabelStudioRefused
from integrations.label_studio.interface import LabelStudio, ServerInfo
from integrations.label_studio.transport import checked_url
from workbench.activity.store import record
from workbench.errors import AlreadyExists, Conflict, InvalidInput
from workbench.outside import Outside
from workbench.people import store
from workbench.people.accounts import adopt_accounts
from workbench.people.belonging import take_into, works_on
from workbench.people.tables import PersonRow, PoolMemberRow, PoolRow, RateCardRow, ServerRow, SupplierRow
from workbench.projects.tables import ProjectRow

OLDEST_VERSION = (1, 20)
UNITS = ("item", "hour")
READY, UNREACHABLE, REFUSED = "ready", "unreachable", "refused"
FROZEN = "frozen"
"""Its database seems to be an older one: a person has to decide, looking again does not mend it."""
_DEFAULT_KEY = "in-house"


def client_for(outside: Outside, server: ServerRow) -> LabelStudio:
    """A client of a server, its token decrypted."""
    return outside.label_studio(server.url, outside.vault.unlock(server.token).decode())


def connect_server(outside: Outside, *, name: str, url: str, token: str, by: str = "") -> ServerRow:
    """A server that answered and took the token; its token is kept encrypted.

    The same address again changes name and token. Nothing is stored where the server cannot be used.

    Raises:
        LabelStudioUnavailable: It does not answer.
        LabelStudioRefused: It does not take the token.
        LabelStudioRejected: `url` is not an address.
        InvalidInput: It is too old, or no name was given.
        AlreadyExists: Another server has this name.
    """
    url, name, token = checked_url(url), name.strip(), token.strip()
    if not name or not token:
        raise InvalidInput("give the server a name and a token" if not name else "give the server's token")
    with outside.db.read() as session:
        _refuse_taken_name(session, name, url)
    info = _probed(outside.label_studio(url, token))
    locked = outside.vault.lock(token.encode())
    with outside.db.write() as session:
        _refuse_taken_name(session, name, url)
        row = store.server_at(session, url)
        before = None if row is None else {"name": row.name, "state": row.state}
        if row is None:
            row = ServerRow(url=url, region="", epoch=1, created_at=outside.now())
            session.add(row)
        row.name, row.token = name, locked
        _record(row, info, outside.now())
        session.flush()
        record(
            session,
            at=outside.now(),
            actor=by or "machine",
            verb="server.connected" if before is None else "server.changed",
            about=f"server:{row.id}",
            before=before,
            after={"name": row.name, "url": row.url, "state": row.state, "token": "given"},
        )
    return row


def refresh_server(outside: Outside, server_id: int, *, by: str = "") -> ServerRow:
    """A server after another look: ready, or with the problem and what to do about it."""
    with outside.db.read() as session:
        server = store.find_server(session, server_id)
    info: ServerInfo | None = None
    state, problem = READY, ""
    try:
        info = _probed(client_for(outside, server))
    except (LabelStudioError, InvalidInput) as found:
        state = REFUSED if isinstance(found, LabelStudioRefused | InvalidInput) else UNREACHABLE
        problem = str(found)
    with outside.db.write() as session:
        row = store.find_server(session, server_id)
        before = row.state
        if info is not None:
            _record(row, info, outside.now())
        elif row.state != FROZEN:
            store.mark_server(session, server_id, state, problem, outside.now())
        if by:
            record(
                session,
                at=outside.now(),
                actor=by,
                verb="server.checked",
                about=f"server:{server_id}",
                before={"state": before},
                after={"state": state},
            )
    return row


def adopt_members(outside: Outside, server_id: int, *, by: str = "machine") -> int:
    """How many persons were new among the accounts of a server."""
    with outside.db.read() as session:
        server = store.find_server(session, server_id)
    new = adopt_accounts(outside, server_id, client_for(outside, server).members())
    with outside.db.write() as session:
        record(
            session,
            at=outside.now(),
            actor=by,
            verb="server.members_adopted",
            about=f"server:{server_id}",
            after={"new": new},
        )
    return new


def _probed(client: LabelStudio) -> ServerInfo:
    info = client.probe()
    numbers = tuple(int(part) for part in re.findall(r"\d+", info.version)[:2])
    if numbers < OLDEST_VERSION:
        raise InvalidInput(
            f"this Label Studio is version {info.version or 'unknown'}; the workbench needs "
            f"{'.'.join(map(str, OLDEST_VERSION))} or newer: update it and try again"
        )
    return info


def _record(row: ServerRow, info: ServerInfo, now: datetime) -> None:
    row.version, row.capabilities = info.version, dict(info.capabilities)
    row.checked_at = now
    if row.state != FROZEN:
        row.state, row.problem = READY, ""


def _refuse_taken_name(session: Session, name: str, url: str) -> None:
    same = store.server_named(session, name)
    if same is not None and same.url != url:
        raise AlreadyExists(f"another server is called {name!r}; choose another name")


def ensure_default_supplier(session: Session) -> SupplierRow:
    """The own team, made where it is missing."""
    for row in store.suppliers(session).values():
        if row.key == _DEFAULT_KEY:
            return row
    row = SupplierRow(key=_DEFAULT_KEY, name="In-house", time_zone="UTC")
    session.add(row)
    session.flush()
    return row


def ensure_default_pool(session: Session, project_id: int, title: str, key: str) -> PoolRow:
    """A project's first pool; one of the own team is made where it has none."""
    pools = store.pools_of_project(session, project_id)
    if pools:
        return pools[0]
    supplier = ensure_default_supplier(session)
    pool = PoolRow(
        key=f"{key}-team",
        name=f"{title} team"[:200],
        supplier_id=supplier.id,
        skill=f"{key}-team",
        language="",
    )
    session.add(pool)
    session.flush()
    store.own_pool(session, project_id, pool.id)
    return pool


def add_to_pool(
    session: Session, outside: Outside, pool_id: int, person_id: int, *, by: str = "machine"
) -> None:
    """Lets a person work in a pool from now on; nothing happens where they do.

    Raises:
        Conflict: They belong to another supplier than the pool.
    """
    supplier_id = session.get_one(PoolRow, pool_id).supplier_id
    take_into(session, session.get_one(PersonRow, person_id), supplier_id)
    row = session.get(PoolMemberRow, (pool_id, person_id))
    if row is None:
        session.add(
            PoolMemberRow(
                pool_id=pool_id, person_id=person_id, supplier_id=supplier_id, joined_at=outside.now()
            )
        )
    elif row.left_at is None:
        return
    else:
        row.left_at = None
    session.flush()
    _record_member(session, outside, pool_id, person_id, by, joins=True)


def remove_from_pool(
    session: Session, outside: Outside, pool_id: int, person_id: int, *, by: str = "machine"
) -> None:
    """Ends a person's work in a pool; what they answered stays."""
    row = session.get(PoolMemberRow, (pool_id, person_id))
    if row is not None and row.left_at is None:
        row.left_at = outside.now()
        _record_member(session, outside, pool_id, person_id, by, joins=False)


def _record_member(
    session: Session, outside: Outside, pool_id: int, person_id: int, by: str, *, joins: bool
) -> None:
    pool, person = store.find_pool(session, pool_id), session.get_one(PersonRow, person_id)
    # By id, not by name: the record is never changed, and people may ask to be forgotten.
    record(
        session,
        at=outside.now(),
        actor=by,
        verb="pool.member_added" if joins else "pool.member_removed",
        about=f"person:{person.public_id}",
        supplier_id=pool.supplier_id,
        before={"pool": None if joins else pool.key},
        after={"pool": pool.key if joins else None},
    )


def set_price(
    session: Session,
    *,
    project_id: int,
    pool: PoolRow,
    unit: str,
    price: Decimal,
    currency: str,
    valid_from: datetime,
    by: str = "machine",
    now: datetime | None = None,
) -> RateCardRow:
    """A new price of a pool in a project; the one before ends where it begins.

    Work that is on the ledger keeps what it cost.

    Raises:
        InvalidInput: Unknown unit, a negative price, or not a currency.
    """
    if unit not in UNITS:
        raise InvalidInput(f"the unit is item or hour, not {unit!r}")
    if not price.is_finite() or not 0 <= price < 1_000_000:  # noqa: PLR2004 - nobody is paid more for one
        raise InvalidInput("give a price of 0 or more")
    if not re.fullmatch(r"[A-Z]{3}", currency):
        raise InvalidInput("give the currency as three letters such as USD")
    before: dict[str, Any] | None = None
    for row in store.open_cards(session, project_id, pool.id, unit):
        if row.valid_from > valid_from:
            raise Conflict(f"a price begins on {row.valid_from:%d %b %Y} already; begin on that day or later")
        row.valid_to = valid_from
        before = {"price": row.price, "currency": row.currency, "unit": row.unit}
    card = RateCardRow(
        project_id=project_id,
        supplier_id=pool.supplier_id,
        pool_id=pool.id,
        skill=pool.skill,
        unit=unit,
        price=price,
        currency=currency,
        valid_from=valid_from,
    )
    session.add(card)
    session.flush()
    works_on(session, pool.supplier_id, session.get_one(ProjectRow, project_id), now or valid_from)
    record(
        session,
        at=now or valid_from,
        actor=by,
        verb="price.set",
        about=f"pool:{pool.key}",
        project_id=project_id,
        supplier_id=pool.supplier_id,
        before=before,
        after={"price": price, "currency": currency, "unit": unit, "valid_from": valid_from},
    )
    return card


def price_begins(day: date | None, zone: str, now: datetime) -> datetime:
    """The start of a day in the project's time zone; now for no day or today.

    Raises:
        InvalidInput: The day is in the past: what was done then has been paid.
    """
    here = now.astimezone(ZoneInfo(zone))
    if day is None or day == here.date():
        return now
    begins = datetime.combine(day, time(), ZoneInfo(zone))
    if begins < here - timedelta(days=1):
        raise InvalidInput("a price can begin today or later; what was done before keeps its price")
    return begins
