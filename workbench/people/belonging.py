"""Whose people, servers and projects: what keeps suppliers apart on the way out."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from workbench.errors import Conflict, WrongState
from workbench.people.tables import (
    AccountRow,
    InvitationRow,
    PersonRow,
    PoolMemberRow,
    PoolRow,
    RateCardRow,
    ServerRow,
    SupplierProjectRow,
    SupplierRow,
)
from workbench.projects.tables import ProjectRow


def supplier_of_pool(session: Session, pool: PoolRow) -> SupplierRow:
    """Who provides a pool."""
    return session.get_one(SupplierRow, pool.supplier_id)


def server_for(session: Session, project: ProjectRow, pool: PoolRow) -> int | None:
    """The server on which a pool works on a project: its supplier's own, else the project's.

    Raises:
        WrongState: The project's server is another supplier's own.
    """
    own = supplier_of_pool(session, pool).server_id
    if own is not None or project.server_id is None:
        return own
    check_place(session.get_one(ServerRow, project.server_id), pool.supplier_id)
    return project.server_id


def check_place(server: ServerRow, supplier_id: int | None) -> None:
    """Lets work of a supplier on its own server and on shared ones.

    Raises:
        WrongState: The server is another supplier's: nothing of this one may reach it.
    """
    if server.supplier_id is not None and server.supplier_id != supplier_id:
        raise WrongState(
            f"the Label Studio server `{server.name}` belongs to another supplier; "
            "give this one a server of its own on the Suppliers page"
        )


def has_server(session: Session, project: ProjectRow) -> bool:
    """Whether a project's people can be reached at all: it has a server, or one of its suppliers has."""
    if project.server_id is not None:
        return True
    pools = {project.pool_id, project.adjudication_pool_id} - {None}
    priced = select(RateCardRow.pool_id).where(
        RateCardRow.project_id == project.id, RateCardRow.pool_id.is_not(None)
    )
    found = session.scalar(
        select(SupplierRow.id)
        .join(PoolRow, PoolRow.supplier_id == SupplierRow.id)
        .where(or_(PoolRow.id.in_(pools), PoolRow.id.in_(priced)), SupplierRow.server_id.is_not(None))
        .limit(1)
    )
    return found is not None


def works_on(session: Session, supplier_id: int, project: ProjectRow, now: datetime) -> SupplierProjectRow:
    """The supplier's name for a project; the project's own title until somebody gives another."""
    row = session.get(SupplierProjectRow, (supplier_id, project.id))
    if row is None:
        row = SupplierProjectRow(
            supplier_id=supplier_id, project_id=project.id, title=project.title, since=now
        )
        session.add(row)
        session.flush()
    return row


def take_into(session: Session, person: PersonRow, supplier_id: int) -> None:
    """Makes somebody a supplier's; what is theirs says so too.

    A person belongs to one supplier for good: what they did would otherwise go with them to the next one.

    Raises:
        Conflict: They are another supplier's.
    """
    if person.supplier_id is not None and person.supplier_id != supplier_id:
        other = session.get_one(SupplierRow, person.supplier_id)
        raise Conflict(
            f"{person.name} belongs to {other.name}; to work for another supplier as well they need "
            "an account of their own there, with another e-mail address"
        )
    if person.supplier_id is None:
        person.supplier_id = supplier_id
        for table in (AccountRow, InvitationRow, PoolMemberRow):
            session.execute(update(table).where(table.person_id == person.id).values(supplier_id=supplier_id))
        session.flush()


def supplier_of_person(session: Session, person_id: int | None, otherwise: int | None) -> int | None:
    """Whose an answer is: the person's supplier's; of somebody who belongs to none, `otherwise`."""
    person = session.get(PersonRow, person_id) if person_id is not None else None
    return person.supplier_id if person is not None and person.supplier_id is not None else otherwise


def is_at_work(session: Session, supplier_id: int | None) -> bool:
    """Whether new work may be given to a supplier."""
    supplier = session.get(SupplierRow, supplier_id) if supplier_id is not None else None
    return supplier is None or supplier.active
