"""Suppliers' leads: users bound to one supplier, who see what is its own and nothing else."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from workbench.activity.store import record
from workbench.auth import store
from workbench.auth.domain import EVERYWHERE, Role
from workbench.auth.tables import MembershipRow, UserRow
from workbench.errors import WrongState
from workbench.outside import Outside

BESIDE = {Role.ANNOTATOR}
"""What a supplier's lead may be as well."""


def make_lead(
    session: Session, outside: Outside, user_id: int, supplier_id: int, *, by: str = "machine"
) -> None:
    """Makes a user a supplier's lead; nothing happens where they are.

    Raises:
        WrongState: They lead another supplier, or have a role that sees more than one.
    """
    user = store.find_user(session, user_id)
    held = store.lead_row(session, user_id)
    if held is not None and held.supplier_id == supplier_id:
        return
    if held is not None and held.supplier_id is not None:
        raise WrongState(f"{user.email} leads another supplier; one person leads one supplier")
    others = frozenset().union(*store.roles_of(session, user_id).values()) - BESIDE
    if others:
        raise WrongState(
            f"{user.email} has the role {min(others)} here and would see other suppliers; "
            "invite the lead under another address"
        )
    if held is None:
        held = MembershipRow(
            user_id=user_id,
            project_id=EVERYWHERE,
            role=Role.SUPPLIER_LEAD,
            created_at=outside.now(),
        )
        session.add(held)
    held.supplier_id = supplier_id
    session.flush()
    _record(session, outside, user_id, supplier_id, by, leads=True)


def end_lead(session: Session, outside: Outside, user_id: int, supplier_id: int, *, by: str) -> None:
    """Ends a user's lead of a supplier, at once."""
    held = store.lead_row(session, user_id)
    if held is not None and held.supplier_id == supplier_id:
        session.delete(held)
        store.revoke_sessions(session, user_id, outside.now())
        session.flush()
        _record(session, outside, user_id, supplier_id, by, leads=False)


def leads_of(session: Session, supplier_id: int) -> list[UserRow]:
    """A supplier's leads, by name."""
    return list(
        session.scalars(
            select(UserRow)
            .join(MembershipRow, MembershipRow.user_id == UserRow.id)
            .where(MembershipRow.role == Role.SUPPLIER_LEAD, MembershipRow.supplier_id == supplier_id)
            .order_by(UserRow.name, UserRow.id)
        )
    )


def _record(
    session: Session, outside: Outside, user_id: int, supplier_id: int, by: str, *, leads: bool
) -> None:
    record(
        session,
        at=outside.now(),
        actor=by,
        verb="supplier.lead_added" if leads else "supplier.lead_removed",
        about=f"user:{user_id}",
        after={"supplier": supplier_id if leads else None},
        before={"supplier": None if leads else supplier_id},
    )
