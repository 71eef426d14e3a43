"""Queries on persons, pools, rate cards and servers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import Select, func, or_, select, true
from sqlalchemy.orm import Session

from workbench.errors import NotFound
from workbench.people.tables import (
    AccountRow,
    InvitationRow,
    PersonRow,
    PoolMemberRow,
    PoolRow,
    RateCardRow,
    ServerRow,
    SupplierRow,
)
from workbench.projects.pools import pools_of
from workbench.projects.reading import read_document
from workbench.projects.tables import ProjectRow


def find_server(session: Session, server_id: int) -> ServerRow:
    """The server of that id.

    Raises:
        NotFound: There is none.
    """
    row = session.get(ServerRow, server_id)
    if row is None:
        raise NotFound(f"there is no Label Studio server {server_id}")
    return row


def find_pool(session: Session, pool_id: int) -> PoolRow:
    """The pool of that id.

    Raises:
        NotFound: There is none.
    """
    row = session.get(PoolRow, pool_id)
    if row is None:
        raise NotFound(f"there is no pool {pool_id}")
    return row


def pool_ids(session: Session) -> dict[str, int]:
    """Ids of all pools by key."""
    return {key: pool_id for pool_id, key in session.execute(select(PoolRow.id, PoolRow.key))}


def pools_of_project(session: Session, project_id: int) -> list[PoolRow]:
    """The pools that work on a project, its own first: those it names and those it has a price for."""
    project = session.get_one(ProjectRow, project_id)
    named = {project.pool_id, project.adjudication_pool_id} - {None}
    priced = select(RateCardRow.pool_id).where(
        RateCardRow.project_id == project_id, RateCardRow.pool_id.is_not(None)
    )
    rows = session.scalars(
        select(PoolRow).where(or_(PoolRow.id.in_(named), PoolRow.id.in_(priced))).order_by(PoolRow.name)
    )
    return sorted(rows, key=lambda pool: pool.id != project.pool_id)


def pools_in_reach(session: Session, project_id: int) -> list[PoolRow]:
    """The pools for who has a role in this project alone: its own, and those its document names."""
    own = pools_of_project(session, project_id)
    document = session.get_one(ProjectRow, project_id).specification
    if not document:
        return own
    named = {pool.key for pool in pools_of(read_document(document))} - {pool.key for pool in own}
    return [*own, *session.scalars(select(PoolRow).where(PoolRow.key.in_(named)).order_by(PoolRow.name))]


def check_reach(
    session: Session, pool: PoolRow, project_id: int, projects: Collection[int] | None
) -> PoolRow:
    """The pool, if somebody may use it in this project.

    Who has a role in some projects alone (`projects`; None: in all) uses the pools of the project alone: with
    those of others they would get at others' items.

    Raises:
        NotFound: It is not theirs to use.
    """
    if projects is not None and pool.id not in {one.id for one in pools_in_reach(session, project_id)}:
        raise NotFound("there is no such pool in this project, or it is not yours to use")
    return pool


def person_in_reach(
    session: Session, public_id: str, project_id: int, projects: Collection[int] | None
) -> PersonRow:
    """The person of that public id, if somebody may know of them in this project.

    Who has a role in some projects alone (`projects`; None: in all) knows of those who work, or worked, in
    the pools of the project.

    Raises:
        NotFound: There is none, or they are not theirs to know of.
    """
    person = find_person(session, public_id)
    if projects is not None:
        pools = [pool.id for pool in pools_in_reach(session, project_id)]
        if session.scalar(_ever_in(pools).where(PoolMemberRow.person_id == person.id)) is None:
            raise NotFound(f"there is no person {public_id}")
    return person


def _ever_in(pool_ids: Collection[int]) -> Select[int]:
    return select(PoolMemberRow.person_id).where(PoolMemberRow.pool_id.in_(pool_ids)).distinct()


def members_of(session: Session, pool_id: int) -> list[PersonRow]:
    """Active persons who work in a pool now, by name."""
    return list(
        session.scalars(
            select(PersonRow)
            .join(PoolMemberRow, PoolMemberRow.person_id == PersonRow.id)
            .where(PoolMemberRow.pool_id == pool_id, PoolMemberRow.left_at.is_(None), PersonRow.active)
            .order_by(PersonRow.name, PersonRow.id)
        )
    )


def pools_of_person(session: Session, person_id: int) -> list[int]:
    """Ids of the pools a person works in now."""
    return list(
        session.scalars(
            select(PoolMemberRow.pool_id).where(
                PoolMemberRow.person_id == person_id, PoolMemberRow.left_at.is_(None)
            )
        )
    )


def accounts_in_pool(session: Session, pool_id: int, server_id: int) -> list[int]:
    """Label Studio user ids, on one server, of the active persons who work in a pool now."""
    return list(
        session.scalars(
            select(AccountRow.ls_user_id)
            .join(PersonRow, PersonRow.id == AccountRow.person_id)
            .join(PoolMemberRow, PoolMemberRow.person_id == PersonRow.id)
            .where(
                AccountRow.server_id == server_id,
                PoolMemberRow.pool_id == pool_id,
                PoolMemberRow.left_at.is_(None),
                PersonRow.active,
            )
        )
    )


def persons_by_account(session: Session, server_id: int, ls_user_ids: Sequence[int]) -> dict[int, int]:
    """Person ids by Label Studio user id on one server."""
    rows = session.execute(
        select(AccountRow.ls_user_id, AccountRow.person_id).where(
            AccountRow.server_id == server_id, AccountRow.ls_user_id.in_(ls_user_ids)
        )
    )
    return {row.ls_user_id: row.person_id for row in rows}


def account_rows(session: Session, server_id: int) -> list[AccountRow]:
    """The accounts on a server that we know."""
    return list(
        session.scalars(select(AccountRow).where(AccountRow.server_id == server_id).order_by(AccountRow.id))
    )


def rate_cards_for(session: Session, project_id: int, pool: PoolRow, at: datetime) -> list[RateCardRow]:
    """What a pool is paid in a project at a moment: the most specific card of each unit."""
    best: dict[str, tuple[int, RateCardRow]] = {}
    for rank, row in rate_cards_of(session, project_id, pool):
        holds = row.valid_from <= at and (row.valid_to is None or row.valid_to > at)
        if holds and (row.unit not in best or rank >= best[row.unit][0]):
            best[row.unit] = (rank, row)
    return [row for _, row in best.values()]


def rate_cards_of(session: Session, project_id: int, pool: PoolRow) -> list[tuple[int, RateCardRow]]:
    """Every card that ever applies to a pool in a project, oldest first, with its rank.

    A card of the project beats one of the pool, which beats one of the supplier.
    """
    rows = session.scalars(
        select(RateCardRow)
        .where(
            or_(RateCardRow.project_id == project_id, RateCardRow.project_id.is_(None)),
            or_(RateCardRow.pool_id == pool.id, RateCardRow.pool_id.is_(None)),
            or_(RateCardRow.supplier_id == pool.supplier_id, RateCardRow.supplier_id.is_(None)),
            RateCardRow.skill.in_(["", pool.skill]),
        )
        .order_by(RateCardRow.valid_from, RateCardRow.id)
    )
    return [(_rank(row), row) for row in rows]


def _rank(row: RateCardRow) -> int:
    named = (
        row.project_id is not None,
        row.pool_id is not None,
        row.supplier_id is not None,
        bool(row.skill),
    )
    return sum(weight for weight, is_named in zip((8, 4, 2, 1), named, strict=True) if is_named)


def mark_server(session: Session, server_id: int, state: str, problem: str, now: datetime) -> None:
    """Record whether a server answers, and what stands in the way if not."""
    row = find_server(session, server_id)
    row.state, row.problem, row.checked_at = state, problem, now


def servers(session: Session) -> list[ServerRow]:
    """Every Label Studio server, by name."""
    return list(session.scalars(select(ServerRow).order_by(ServerRow.name)))


def server_at(session: Session, url: str) -> ServerRow | None:
    """The server of that address."""
    return session.scalar(select(ServerRow).where(ServerRow.url == url))


def server_named(session: Session, name: str) -> ServerRow | None:
    """The server of that name."""
    return session.scalar(select(ServerRow).where(ServerRow.name == name))


def projects_by_server(session: Session) -> dict[int, int]:
    """How many projects use each server, by server id."""
    rows = session.execute(
        select(ProjectRow.server_id, func.count())
        .where(ProjectRow.server_id.is_not(None))
        .group_by(ProjectRow.server_id)
    )
    return {server_id: n for server_id, n in rows if server_id is not None}


def find_person(session: Session, public_id: str) -> PersonRow:
    """The person of that public id.

    Raises:
        NotFound: There is none.
    """
    row = session.scalar(select(PersonRow).where(PersonRow.public_id == public_id))
    if row is None:
        raise NotFound(f"there is no person {public_id}")
    return row


def person_with_email(session: Session, email: str) -> PersonRow | None:
    """The person of that e-mail address."""
    return session.scalar(select(PersonRow).where(PersonRow.email == email))


def person_of_user(session: Session, user_id: int) -> PersonRow | None:
    """The person behind a user."""
    return session.scalar(select(PersonRow).where(PersonRow.user_id == user_id))


def account_of(session: Session, server_id: int, email: str) -> AccountRow | None:
    """The account of that address on a server."""
    return session.scalar(
        select(AccountRow).where(AccountRow.server_id == server_id, AccountRow.email == email)
    )


def accounts_on(session: Session, server_id: int) -> dict[int, AccountRow]:
    """The accounts of a server, by person id."""
    rows = session.scalars(select(AccountRow).where(AccountRow.server_id == server_id))
    return {row.person_id: row for row in rows}


def memberships(session: Session, pool_ids: Collection[int]) -> list[tuple[PersonRow, PoolMemberRow]]:
    """Everybody who works in these pools now, by name."""
    rows = session.execute(
        select(PersonRow, PoolMemberRow)
        .join(PoolMemberRow, PoolMemberRow.person_id == PersonRow.id)
        .where(PoolMemberRow.pool_id.in_(pool_ids), PoolMemberRow.left_at.is_(None))
        .order_by(PersonRow.name, PersonRow.id)
    )
    return [(person, member) for person, member in rows]


def persons_outside(
    session: Session, pool_ids: Collection[int], reach: Collection[int] | None
) -> list[PersonRow]:
    """Active persons who work in none of these pools, by name.

    With `reach`, ids of pools, only those who work or worked in one of them.
    """
    known = PersonRow.id.in_(_ever_in(reach)) if reach is not None else true()
    inside = select(PoolMemberRow.person_id).where(
        PoolMemberRow.pool_id.in_(pool_ids), PoolMemberRow.left_at.is_(None)
    )
    return list(
        session.scalars(
            select(PersonRow)
            .where(PersonRow.active, PersonRow.id.not_in(inside), known)
            .order_by(PersonRow.name)
            .limit(500)
        )
    )


def invitation_with(session: Session, token_sha256: bytes) -> tuple[InvitationRow, PersonRow] | None:
    """The invitation of that token with its person."""
    row = session.execute(
        select(InvitationRow, PersonRow)
        .join(PersonRow, PersonRow.id == InvitationRow.person_id)
        .where(InvitationRow.token_sha256 == token_sha256)
    ).one_or_none()
    return None if row is None else (row[0], row[1])


def last_invitations(session: Session, person_ids: Collection[int]) -> dict[int, InvitationRow]:
    """The newest invitation of each person, by person id."""
    rows = session.scalars(
        select(InvitationRow).where(InvitationRow.person_id.in_(person_ids)).order_by(InvitationRow.id)
    )
    return {row.person_id: row for row in rows}


def cards_of_project(session: Session, project_id: int, pool_ids: Collection[int]) -> list[RateCardRow]:
    """Every price that applies or applied to these pools in a project, the newest first."""
    return list(
        session.scalars(
            select(RateCardRow)
            .where(
                or_(RateCardRow.project_id == project_id, RateCardRow.project_id.is_(None)),
                or_(RateCardRow.pool_id.in_(pool_ids), RateCardRow.pool_id.is_(None)),
            )
            .order_by(RateCardRow.valid_from.desc(), RateCardRow.id.desc())
        )
    )


def open_cards(session: Session, project_id: int, pool_id: int, unit: str) -> list[RateCardRow]:
    """The project's own prices of a pool and unit that have no end."""
    return list(
        session.scalars(
            select(RateCardRow).where(
                RateCardRow.project_id == project_id,
                RateCardRow.pool_id == pool_id,
                RateCardRow.unit == unit,
                RateCardRow.valid_to.is_(None),
            )
        )
    )


def suppliers(session: Session) -> dict[int, SupplierRow]:
    """Every supplier, by id."""
    return {row.id: row for row in session.scalars(select(SupplierRow).order_by(SupplierRow.name))}


def server_of_person(session: Session, person: PersonRow, project_id: int | None) -> int | None:
    """The id of the server on which a person works: their supplier's own, else the project's."""
    supplier = session.get(SupplierRow, person.supplier_id) if person.supplier_id is not None else None
    if supplier is not None and supplier.server_id is not None:
        return supplier.server_id
    return server_of_project(session, project_id) if project_id is not None else None


def server_of_project(session: Session, project_id: int) -> int | None:
    """The id of the server a project uses."""
    return session.get_one(ProjectRow, project_id).server_id


def own_pool(session: Session, project_id: int, pool_id: int) -> None:
    """Makes a pool the project's own."""
    session.get_one(ProjectRow, project_id).pool_id = pool_id


def account_with_id(session: Session, server_id: int, ls_user_id: int) -> AccountRow | None:
    """The account with that Label Studio id on a server."""
    return session.scalar(
        select(AccountRow).where(AccountRow.server_id == server_id, AccountRow.ls_user_id == ls_user_id)
    )


def pool_with_key(session: Session, key: str) -> PoolRow:
    """The pool of that key.

    Raises:
        NotFound: There is none.
    """
    row = session.scalar(select(PoolRow).where(PoolRow.key == key))
    if row is None:
        raise NotFound(f"there is no pool {key!r}")
    return row
