"""Label Studio accounts that were found on a server, and the persons behind them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from integrations.label_studio.interface import Member
from workbench.outside import Outside
from workbench.people.belonging import take_into
from workbench.people.tables import AccountRow, PersonRow, ServerRow


def adopt_accounts(outside: Outside, server_id: int, members: Sequence[Member]) -> int:
    """Persons for the accounts of a server that are not known yet; returns how many were new.

    Somebody may work with an account that nobody here made: their answers must not hang in the air.
    A person of the same e-mail address is taken to be the same, but on a supplier's own server only among
    its own people: who rules that server could otherwise make accounts in anybody's name.
    """
    with outside.db.write() as session:
        server = session.get_one(ServerRow, server_id)
        known = set(session.scalars(select(AccountRow.ls_user_id).where(AccountRow.server_id == server_id)))
        new = [member for member in members if member.user_id not in known]
        for member in new:
            person = _person_behind(outside, session, server, member)
            session.add(
                AccountRow(
                    server_id=server_id,
                    person_id=person.id,
                    ls_user_id=member.user_id,
                    email=member.email.strip().lower(),
                    supplier_id=person.supplier_id,
                    created_at=outside.now(),
                )
            )
    return len(new)


def _person_behind(outside: Outside, session: Session, server: ServerRow, member: Member) -> PersonRow:
    email = member.email.strip().lower()
    person = session.scalar(select(PersonRow).where(PersonRow.email == email))
    owner = server.supplier_id
    if person is not None and (owner is None or person.supplier_id in {owner, None}):
        if owner is not None:
            take_into(session, person, owner)
        return person
    if person is not None:
        # The same address at another supplier: somebody else as far as anybody here may know.
        email = f"{email[:220]} on {server.public_id}"
    name = f"{member.first_name} {member.last_name}".strip() or email.partition("@")[0]
    person = PersonRow(
        public_id=outside.new_id(),
        name=name,
        email=email,
        supplier_id=owner,
        active=True,
        created_at=outside.now(),
    )
    session.add(person)
    session.flush()
    return person
