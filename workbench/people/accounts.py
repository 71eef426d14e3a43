"""Label Studio accounts that were found on a server, and the persons behind them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from integrations.label_studio.interface import Member
from workbench.outside import Outside
from workbench.people.tables import AccountRow, PersonRow


def adopt_accounts(outside: Outside, server_id: int, members: Sequence[Member]) -> int:
    """Persons for the accounts of a server that are not known yet; returns how many were new.

    Somebody may work with an account that nobody here made: their answers must not hang in the air.
    A person of the same e-mail address is taken to be the same.
    """
    with outside.db.write() as session:
        known = set(session.scalars(select(AccountRow.ls_user_id).where(AccountRow.server_id == server_id)))
        new = [member for member in members if member.user_id not in known]
        for member in new:
            email = member.email.strip().lower()
            person = session.scalar(select(PersonRow).where(PersonRow.email == email))
            if person is None:
                name = f"{member.first_name} {member.last_name}".strip() or email.partition("@")[0]
                person = PersonRow(
                    public_id=outside.new_id(), name=name, email=email, active=True, created_at=outside.now()
                )
                session.add(person)
                session.flush()
            session.add(
                AccountRow(
                    server_id=server_id,
                    person_id=person.id,
                    ls_user_id=member.user_id,
                    email=email,
                    created_at=outside.now(),
                )
            )
    return len(new)
