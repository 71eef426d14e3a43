"""Erasure of a person: name and address go, what they did and were paid stays under an opaque name."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from integrations.errors import IntegrationError
from workbench.activity.store import record
from workbench.auth import store as users
from workbench.auth.service import set_active
from workbench.auth.tables import UserRow
from workbench.errors import NotFound
from workbench.labeling.lanes import client_of
from workbench.outside import Outside
from workbench.people.store import find_server
from workbench.people.tables import AccountRow, PersonRow
from workbench.upkeep.erasure import checked_reason
from workbench.upkeep.tables import ErasureRow

NOBODY = "!"
"""A password hash that no password has."""
RECORD = "the activity record and the moves of items, which say who acted and cannot be changed"


def erase_person(outside: Outside, email: str, *, reason: str, by: str) -> dict[str, Any]:
    """Take somebody's name and address out of the tables and off Label Studio, and end their access.

    Returns:
        `name` they have now, and `left`: where the old one still stands and why.

    Raises:
        NotFound: Nobody has this address.
        WrongState: They are the last admin.
        InvalidInput: No reason is given.
    """
    reason = checked_reason(reason)
    now = outside.now()
    with outside.db.write() as session:
        user, person = _find(session, email.strip().lower())
        mark = person.public_id[:12] if person is not None else f"user-{user.id if user else 0}"
        name, address = f"Erased {mark}", f"erased-{mark}@invalid"
        accounts: list[tuple[int, int]] = []
        if user is not None:
            set_active(session, outside, user.id, active=False)
            user.name, user.email, user.password_hash = name, address, NOBODY
        if person is not None:
            person.name, person.email, person.active, person.erased_at = name, address, False, now
            for account in session.scalars(select(AccountRow).where(AccountRow.person_id == person.id)):
                account.email = f"erased-{mark}-{account.id}@invalid"
                accounts.append((account.server_id, account.ls_user_id))
        session.add(
            ErasureRow(about=f"person:{mark}", project_id=None, reason=reason, by=by, at=now, left=[RECORD])
        )
        record(
            session, at=now, actor=by, verb="person.erased", about=f"person:{mark}", after={"reason": reason}
        )
    return {"name": name, "left": [RECORD, *_rename_accounts(outside, accounts, name)]}


def _find(session: Session, email: str) -> tuple[UserRow | None, PersonRow | None]:
    user = users.user_by_email(session, email)
    person = session.scalar(select(PersonRow).where(func.lower(PersonRow.email) == email))
    if person is None and user is not None:
        person = session.scalar(select(PersonRow).where(PersonRow.user_id == user.id))
    if user is None and person is None:
        raise NotFound(f"nobody here has the address {email}")
    if user is None and person is not None and person.user_id is not None:
        user = session.get(UserRow, person.user_id)
    return user, person


def _rename_accounts(outside: Outside, accounts: list[tuple[int, int]], name: str) -> list[str]:
    """Overwrite the name in Label Studio; its account and address only its owner can remove there."""
    left = []
    for server_id, ls_user_id in accounts:
        with outside.db.read() as session:
            server = find_server(session, server_id)
        try:
            client_of(outside, server).set_names(ls_user_id, first_name=name, last_name="")
            left.append(
                f"the address of account {ls_user_id} on {server.name}: its owner can delete it there"
            )
        except IntegrationError as problem:
            left.append(f"name and address of account {ls_user_id} on {server.name} ({problem})")
    return left
