"""What is done for suppliers: set up by a project manager, people invited by a lead."""

from __future__ import annotations

import re
from zoneinfo import available_timezones

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from workbench.activity.store import record
from workbench.auth.domain import DEFAULT_ROLES, Role, checked_email
from workbench.auth.leads import end_lead, leads_of
from workbench.auth.service import set_active as set_user_active
from workbench.auth.store import roles_of
from workbench.auth.tables import UserRow
from workbench.errors import AlreadyExists, Conflict, InvalidInput, NotFound, WrongState
from workbench.labeling.tables import LaneRow
from workbench.outside import Outside
from workbench.people.invitations import Invited, invite_person
from workbench.people.tables import PersonRow, PoolRow, ServerRow, SupplierProjectRow, SupplierRow
from workbench.suppliers import store
from workbench.suppliers.domain import checked_domains


def find_supplier(session: Session, public_id: str) -> SupplierRow:
    """The supplier of that id.

    Raises:
        NotFound: There is none.
    """
    row = session.scalar(select(SupplierRow).where(SupplierRow.public_id == public_id))
    if row is None:
        raise NotFound("there is no such supplier; the Suppliers page shows all")
    return row


def create_supplier(
    session: Session, outside: Outside, *, key: str, name: str, time_zone: str, by: str
) -> SupplierRow:
    """A new supplier.

    Raises:
        InvalidInput: Key, name or time zone cannot be used.
        AlreadyExists: There is a supplier of that key.
    """
    key, name, time_zone = key.strip().lower(), name.strip(), time_zone.strip() or "UTC"
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", key) or len(key) > 60:  # noqa: PLR2004 - the column holds 64
        raise InvalidInput("give a short key of lower-case letters, digits and single hyphens")
    if not name or len(name) > 200:  # noqa: PLR2004 - the column holds 200
        raise InvalidInput("give the supplier a name of up to 200 characters")
    if time_zone not in available_timezones():
        raise InvalidInput(f"{time_zone[:60]!r} is not a time zone; give one such as Asia/Shanghai")
    if session.scalar(select(SupplierRow.id).where(SupplierRow.key == key)) is not None:
        raise AlreadyExists(f"there is a supplier `{key}` already; choose another key")
    row = SupplierRow(key=key, name=name, time_zone=time_zone, public_id=outside.new_id(), active=True)
    session.add(row)
    session.flush()
    _record(session, outside, row, "supplier.created", by, after={"name": name, "key": key})
    return row


def add_pool(
    session: Session, outside: Outside, supplier: SupplierRow, *, name: str, language: str, by: str
) -> PoolRow:
    """A further pool of a supplier.

    Raises:
        InvalidInput: No name.
        AlreadyExists: There is a pool of that name.
    """
    name = name.strip()
    words = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if not name or not words or len(name) > 200:  # noqa: PLR2004 - the column holds 200
        raise InvalidInput("give the pool a name with letters or digits")
    key = f"{supplier.key}-{words}"[:64]
    if session.scalar(select(PoolRow.id).where(PoolRow.key == key)) is not None:
        raise AlreadyExists(f"there is a pool `{key}` already; choose another name")
    pool = PoolRow(
        key=key,
        name=name,
        supplier_id=supplier.id,
        skill=key,
        language=language.strip()[:20],
        public_id=outside.new_id(),
    )
    session.add(pool)
    session.flush()
    _record(session, outside, supplier, "supplier.pool_added", by, after={"pool": key})
    return pool


def set_server(
    session: Session, outside: Outside, supplier: SupplierRow, server_id: int | None, *, by: str
) -> None:
    """Gives a supplier a server of its own, or (None) lets it work on the projects' servers again.

    What waits in its lanes on other servers moves there; what people have open is read to its end.

    Raises:
        Conflict: The server holds work of others, or is another supplier's.
    """
    before = supplier.server_id
    if before == server_id:
        return
    if server_id is not None:
        server = session.get_one(ServerRow, server_id)
        foreign = session.scalar(
            select(func.count(LaneRow.id)).where(
                LaneRow.server_id == server_id,
                or_(LaneRow.supplier_id.is_(None), LaneRow.supplier_id != supplier.id),
            )
        )
        if foreign or server.supplier_id not in {None, supplier.id}:
            raise Conflict(
                f"`{server.name}` holds work of others; connect a server that only {supplier.name} uses"
            )
        server.supplier_id = supplier.id
    supplier.server_id = server_id
    session.flush()
    # The server it leaves stays its own as long as lanes of it stand there.
    _record(
        session,
        outside,
        supplier,
        "supplier.server_set",
        by,
        before={"server": before},
        after={"server": server_id},
    )


def set_domains(session: Session, outside: Outside, supplier: SupplierRow, given: str, *, by: str) -> None:
    """The domains of e-mail addresses that the supplier's leads may invite.

    Raises:
        InvalidInput: One is not a domain.
        Conflict: Somebody outside this supplier has an address there: a lead could learn of them.
    """
    wanted = checked_domains(given)
    for domain in wanted:
        pattern = f"%@{domain}"
        persons = select(PersonRow.id).where(
            PersonRow.email.like(pattern),
            or_(PersonRow.supplier_id.is_(None), PersonRow.supplier_id != supplier.id),
        )
        own = select(PersonRow.user_id).where(
            PersonRow.supplier_id == supplier.id, PersonRow.user_id.is_not(None)
        )
        users = select(UserRow.id).where(UserRow.email.like(pattern), UserRow.id.not_in(own))
        others = (
            domain in (row.email_domains or [])
            for row in session.scalars(select(SupplierRow).where(SupplierRow.id != supplier.id))
        )
        if any(others) or session.scalar(persons.limit(1)) or session.scalar(users.limit(1)):
            raise Conflict(
                f"somebody outside {supplier.name} has an address at {domain}; invite those people yourself"
            )
    before = list(supplier.email_domains or [])
    supplier.email_domains = wanted
    _record(
        session,
        outside,
        supplier,
        "supplier.domains_set",
        by,
        before={"domains": before},
        after={"domains": wanted},
    )


def name_project(
    session: Session, outside: Outside, supplier: SupplierRow, project_id: int, title: str, *, by: str
) -> None:
    """The name under which a supplier is told of a project.

    Raises:
        NotFound: It does not work on it.
        InvalidInput: No name.
    """
    row = session.get(SupplierProjectRow, (supplier.id, project_id))
    if row is None:
        raise NotFound("this supplier does not work on that project")
    if not title.strip() or len(title) > 200:  # noqa: PLR2004 - the column holds 200
        raise InvalidInput("give the project a name of up to 200 characters for this supplier")
    row.title = title.strip()
    session.flush()
    _record(session, outside, supplier, "supplier.project_named", by, after={"title": row.title})


def set_supplier_active(
    session: Session, outside: Outside, supplier: SupplierRow, *, active: bool, by: str
) -> None:
    """Lets a supplier work again, or stops it: no new work is sent, its leads cannot sign in."""
    supplier.active = active
    for lead in leads_of(session, supplier.id):
        set_user_active(session, outside, lead.id, active=active, by=by)
    verb = "supplier.activated" if active else "supplier.deactivated"
    _record(session, outside, supplier, verb, by)


def set_person_active(
    session: Session, outside: Outside, supplier: SupplierRow, public_id: str, *, active: bool, by: str
) -> PersonRow:
    """Lets a person work again, or ends it: they count in no pool and cannot sign in.

    Raises:
        NotFound: The supplier has no such person.
    """
    person = session.scalar(
        select(PersonRow).where(PersonRow.public_id == public_id, PersonRow.supplier_id == supplier.id)
    )
    if person is None:
        raise NotFound("there is no such person with this supplier")
    person.active = active
    if person.user_id is not None:
        held = frozenset().union(*roles_of(session, person.user_id).values())
        if held <= {Role.ANNOTATOR}:
            set_user_active(session, outside, person.user_id, active=active, by=by)
    verb = "person.activated" if active else "person.deactivated"
    _record(session, outside, supplier, verb, by, after={"person": person.public_id})
    return person


def invite_lead(
    session: Session,
    outside: Outside,
    supplier: SupplierRow,
    *,
    email: str,
    name: str,
    by: str,
    may: frozenset[str],
) -> Invited:
    """A link with which somebody becomes a supplier's lead; raises what `invite_person` does."""
    return invite_person(
        session,
        outside,
        email=email,
        name=name,
        pool_id=None,
        project_id=None,
        server_id=None,
        by=by,
        may=may | frozenset(map(str, DEFAULT_ROLES[Role.SUPPLIER_LEAD])),
        role=Role.SUPPLIER_LEAD,
        supplier_id=supplier.id,
    )


def remove_lead(session: Session, outside: Outside, supplier: SupplierRow, user_id: int, *, by: str) -> None:
    """Ends somebody's lead of a supplier, at once."""
    end_lead(session, outside, user_id, supplier.id, by=by)


def invite_own(outside: Outside, supplier_id: int, *, email: str, name: str, pool: str, by: str) -> Invited:
    """A link that a lead makes for one of the supplier's own people.

    Only addresses of the supplier's domains are taken, and nobody else has one there: so what a lead is
    told never depends on whom others know.

    Raises:
        InvalidInput: Not an address of the supplier's domains, or somebody whose work was ended.
        NotFound: The supplier has no such pool.
    """
    email = checked_email(email)
    with outside.db.read(tenant=supplier_id) as own:
        pool_id = store.pool_id(own, pool)
        project_id = store.project_of_pool(own, pool_id)
    with outside.db.write() as session:
        supplier = session.get_one(SupplierRow, supplier_id)
        if email.rpartition("@")[2] not in (supplier.email_domains or []):
            raise InvalidInput(_not_yours(supplier))
        known = session.scalar(select(PersonRow).where(PersonRow.email == email))
        if known is not None and known.supplier_id == supplier_id and not known.active:
            raise InvalidInput(
                "their work was ended by a project manager; ask them to let this person in again"
            )
        try:
            return invite_person(
                session,
                outside,
                email=email,
                name=name,
                pool_id=pool_id,
                project_id=project_id,
                server_id=None,
                by=by,
                may=frozenset(map(str, DEFAULT_ROLES[Role.ANNOTATOR])),
            )
        except (Conflict, WrongState):
            raise InvalidInput(_not_yours(supplier)) from None


def _not_yours(supplier: SupplierRow) -> str:
    known = ", ".join(supplier.email_domains or [])
    if not known:
        return "ask the project manager to name the domains whose addresses you may invite"
    return f"you may invite addresses at {known}; for others ask the project manager"


def _record(
    session: Session,
    outside: Outside,
    supplier: SupplierRow,
    verb: str,
    by: str,
    *,
    before: dict[str, object] | None = None,
    after: dict[str, object] | None = None,
) -> None:
    record(
        session,
        at=outside.now(),
        actor=by,
        verb=verb,
        about=f"supplier:{supplier.public_id}",
        before=before,
        after=after,
    )


def server_id_of(session: Session, public_id: str) -> int:
    """The id of a server by its opaque one.

    Raises:
        NotFound: There is none.
    """
    found = session.scalar(select(ServerRow.id).where(ServerRow.public_id == public_id))
    if found is None:
        raise NotFound("there is no such Label Studio server; the Label Studio page shows all")
    return found


def project_named(session: Session, supplier: SupplierRow, public_id: str) -> int:
    """The project that a supplier knows by this id.

    Raises:
        NotFound: It works on none such.
    """
    found = session.scalar(
        select(SupplierProjectRow.project_id).where(
            SupplierProjectRow.supplier_id == supplier.id, SupplierProjectRow.public_id == public_id
        )
    )
    if found is None:
        raise NotFound("this supplier does not work on that project")
    return found
