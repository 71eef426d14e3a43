"""What the People page shows of a project."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from workbench.people import store
from workbench.people.tables import PersonRow, PoolRow, RateCardRow, ServerRow


@dataclass(frozen=True)
class PersonLine:
    """One person in one pool.

    Attributes:
        account: E-mail of their account on the project's Label Studio; empty for none.
        invitation: "" (none open), "pending" or "expired".
    """

    person: PersonRow
    pool: PoolRow
    joined_at: datetime
    account: str
    invitation: str


@dataclass(frozen=True)
class PriceLine:
    """One price, where it holds and whether it does now."""

    card: RateCardRow
    pool: str
    place: str
    state: str


@dataclass(frozen=True)
class PeopleView:
    """Everything about the people of one project.

    Attributes:
        others: Who could be added to its pools, of those that the reader may know of.
    """

    server: ServerRow | None
    pools: list[PoolRow]
    people: list[PersonLine]
    others: list[PersonRow]
    prices: list[PriceLine]
    unpriced: list[str]


def people_of(
    session: Session, project_id: int, now: datetime, projects: Collection[int] | None
) -> PeopleView:
    """The people of a project, its pools and prices, for who has a role in `projects` (None: in all)."""
    server_id = store.server_of_project(session, project_id)
    pools = store.pools_of_project(session, project_id)
    by_id = {pool.id: pool for pool in pools}
    rows = store.memberships(session, by_id)
    reach = None if projects is None else [pool.id for pool in store.pools_in_reach(session, project_id)]
    accounts = store.accounts_on(session, server_id) if server_id is not None else {}
    invitations = store.last_invitations(session, [person.id for person, _ in rows])
    lines = []
    for person, member in rows:
        account, invitation = accounts.get(person.id), invitations.get(person.id)
        open_until = invitation.expires_at if invitation and invitation.accepted_at is None else None
        state = "" if open_until is None else "pending" if open_until > now else "expired"
        lines.append(
            PersonLine(
                person, by_id[member.pool_id], member.joined_at, account.email if account else "", state
            )
        )
    return PeopleView(
        server=store.find_server(session, server_id) if server_id is not None else None,
        pools=pools,
        people=lines,
        others=store.persons_outside(session, by_id, reach),
        prices=_prices(session, project_id, by_id, now),
        unpriced=[pool.name for pool in pools if not store.rate_cards_for(session, project_id, pool, now)],
    )


def _prices(session: Session, project_id: int, pools: dict[int, PoolRow], now: datetime) -> list[PriceLine]:
    suppliers = store.suppliers(session)
    own = {pool.supplier_id for pool in pools.values()}
    lines = []
    for card in store.cards_of_project(session, project_id, pools):
        if card.pool_id is None and card.supplier_id is not None and card.supplier_id not in own:
            continue
        supplier = suppliers[card.supplier_id].name if card.supplier_id in suppliers else "everybody"
        pool = pools[card.pool_id].name if card.pool_id is not None else f"all pools of {supplier}"
        place = "this project" if card.project_id is not None else "every project"
        ended = card.valid_to is not None and card.valid_to <= now
        state = "ended" if ended else "from then on" if card.valid_from > now else "now"
        lines.append(PriceLine(card, pool, place, state))
    return lines
