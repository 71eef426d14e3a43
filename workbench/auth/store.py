"""Queries on users, roles, sessions and tokens."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

from sqlalchemy import CursorResult, delete, func, select, update
from sqlalchemy.orm import Session

from workbench.auth.domain import DEFAULT_ROLES, EVERYWHERE, Role
from workbench.auth.tables import (
    IdentityRow,
    MembershipRow,
    PermissionRow,
    RecoveryCodeRow,
    ResetLinkRow,
    SecondFactorRow,
    SessionRow,
    TokenRow,
    UserRow,
)
from workbench.errors import NotFound


def role_permissions(session: Session) -> dict[str, frozenset[str]]:
    """What each role may do; the code's default while the table is empty."""
    found: dict[str, set[str]] = {}
    for role, permission in session.execute(select(PermissionRow.role, PermissionRow.permission)):
        if not role.startswith(_OFFERED):
            found.setdefault(role, set()).add(permission)
    if not found:
        return {str(role): frozenset(map(str, granted)) for role, granted in DEFAULT_ROLES.items()}
    return {role: frozenset(granted) for role, granted in found.items()}


_OFFERED = "+"
"""Before a role: the row says that this permission was offered to the role once, whether it has it or not."""
_FIRST_RELEASE = frozenset(
    {
        "account", "work", "projects.read", "projects.create", "projects.edit", "items.read", "items.import",
        "items.edit", "people.read", "people.edit", "costs.read", "rates.read", "rates.edit", "models.read",
        "models.edit", "routing.read", "routing.propose", "routing.activate", "exports.read",
        "exports.create", "jobs.read", "jobs.edit", "servers.read", "servers.edit", "users.edit",
    }
)  # fmt: skip
_FIRST_ROLES = ("admin", "pm", "ml_engineer", "qa_lead", "viewer", "annotator")


def permissions_offered(session: Session) -> set[tuple[str, str]]:
    """(role, permission) that this or an earlier release has put into the table already."""
    rows = session.execute(select(PermissionRow.role, PermissionRow.permission)).all()
    noted = {(role.removeprefix(_OFFERED), given) for role, given in rows if role.startswith(_OFFERED)}
    if rows and not noted:
        # The first release kept no notes: all it knew was offered then.
        return {(role, given) for role in _FIRST_ROLES for given in _FIRST_RELEASE}
    return noted


def note_offered(session: Session, known: set[tuple[str, str]]) -> None:
    """Keep in mind what has been offered by now."""
    now = {(str(role), str(given)) for role, granted in DEFAULT_ROLES.items() for given in granted} | known
    for role, given in sorted(now):
        if session.get(PermissionRow, (_OFFERED + role, given)) is None:
            session.add(PermissionRow(role=_OFFERED + role, permission=given))


def user_by_email(session: Session, email: str) -> UserRow | None:
    """The user of that address."""
    return session.scalar(select(UserRow).where(UserRow.email == email))


def find_user(session: Session, user_id: int) -> UserRow:
    """The user of that id.

    Raises:
        NotFound: There is none.
    """
    row = session.get(UserRow, user_id)
    if row is None:
        raise NotFound(f"there is no user {user_id}")
    return row


def roles_of(session: Session, user_id: int) -> dict[int, frozenset[str]]:
    """Roles by project id; 0 holds everywhere."""
    found: dict[int, set[str]] = {}
    rows = session.execute(
        select(MembershipRow.project_id, MembershipRow.role).where(
            MembershipRow.user_id == user_id,
            # What a supplier's lead may do holds for their supplier alone, never everywhere.
            MembershipRow.role != Role.SUPPLIER_LEAD,
        )
    )
    for project_id, role in rows:
        found.setdefault(project_id, set()).add(role)
    return {project_id: frozenset(roles) for project_id, roles in found.items()}


def lead_row(session: Session, user_id: int) -> MembershipRow | None:
    """The row that makes a user a supplier's lead."""
    return session.scalar(
        select(MembershipRow).where(
            MembershipRow.user_id == user_id, MembershipRow.role == Role.SUPPLIER_LEAD
        )
    )


def supplier_of(session: Session, user_id: int) -> int | None:
    """The supplier that a user leads."""
    row = lead_row(session, user_id)
    return None if row is None else row.supplier_id


def users(session: Session) -> list[UserRow]:
    """Everybody, by name."""
    return list(session.scalars(select(UserRow).order_by(UserRow.name, UserRow.id)))


def all_roles(session: Session) -> dict[int, list[tuple[int, str]]]:
    """(project id, role) of every user, by user id."""
    found: dict[int, list[tuple[int, str]]] = {}
    for row in session.scalars(select(MembershipRow).order_by(MembershipRow.project_id, MembershipRow.role)):
        found.setdefault(row.user_id, []).append((row.project_id, row.role))
    return found


def other_admins(session: Session, user_id: int) -> int:
    """How many other active users are admins everywhere."""
    return (
        session.scalar(
            select(func.count(UserRow.id.distinct()))
            .join(MembershipRow, MembershipRow.user_id == UserRow.id)
            .where(
                MembershipRow.role == Role.ADMIN,
                MembershipRow.project_id == EVERYWHERE,
                UserRow.active,
                UserRow.id != user_id,
            )
        )
        or 0
    )


def count_users(session: Session) -> int:
    """How many users there are."""
    return session.scalar(select(func.count(UserRow.id))) or 0


def live_session(
    session: Session, id_sha256: bytes, now: datetime, idle_since: datetime
) -> tuple[SessionRow, UserRow] | None:
    """A session that still holds, with its active user."""
    row = session.execute(
        select(SessionRow, UserRow)
        .join(UserRow, UserRow.id == SessionRow.user_id)
        .where(
            SessionRow.id_sha256 == id_sha256,
            SessionRow.revoked_at.is_(None),
            SessionRow.expires_at > now,
            SessionRow.seen_at > idle_since,
            UserRow.active,
        )
    ).one_or_none()
    return None if row is None else (row[0], row[1])


def live_sessions(session: Session, user_id: int, now: datetime, idle_since: datetime) -> list[SessionRow]:
    """The sessions of a user that still hold, last used first."""
    return list(
        session.scalars(
            select(SessionRow)
            .where(
                SessionRow.user_id == user_id,
                SessionRow.revoked_at.is_(None),
                SessionRow.expires_at > now,
                SessionRow.seen_at > idle_since,
            )
            .order_by(SessionRow.seen_at.desc())
        )
    )


def seen(session: Session, id_sha256: bytes, now: datetime) -> None:
    """Remembers that a session was used."""
    session.execute(update(SessionRow).where(SessionRow.id_sha256 == id_sha256).values(seen_at=now))


def sweep_sessions(session: Session, user_id: int, before: datetime) -> None:
    """Removes sessions of a user that ended long ago."""
    session.execute(delete(SessionRow).where(SessionRow.user_id == user_id, SessionRow.expires_at < before))


def knows_address(session: Session, email: str, address: str) -> bool:
    """Whether a user of that e-mail signed in from that address before."""
    if not address:
        return False
    wanted = (
        select(SessionRow.user_id)
        .join(UserRow, UserRow.id == SessionRow.user_id)
        .where(UserRow.email == email, SessionRow.address == address)
    )
    return session.execute(wanted.limit(1)).first() is not None


def revoke_sessions(
    session: Session, user_id: int, now: datetime, *, only: bytes | None = None, keep: bytes | None = None
) -> int:
    """How many sessions of a user were ended: all, one, or all but one."""
    wanted = update(SessionRow).where(
        SessionRow.user_id == user_id, SessionRow.revoked_at.is_(None), SessionRow.expires_at > now
    )
    if only is not None:
        wanted = wanted.where(SessionRow.id_sha256 == only)
    if keep is not None:
        wanted = wanted.where(SessionRow.id_sha256 != keep)
    return _changed(session, wanted.values(revoked_at=now))


def _changed(session: Session, statement: Any) -> int:
    result = session.execute(statement.execution_options(synchronize_session="fetch"))
    return cast("CursorResult[Any]", result).rowcount


def token_by_prefix(session: Session, prefix: str) -> TokenRow | None:
    """The token with that beginning."""
    return session.scalar(select(TokenRow).where(TokenRow.prefix == prefix))


def token_used(session: Session, token_id: int, now: datetime) -> None:
    """Remembers that a token was used."""
    session.execute(update(TokenRow).where(TokenRow.id == token_id).values(used_at=now))


def tokens_of(session: Session, user_id: int) -> Sequence[TokenRow]:
    """The tokens of a user that were not revoked, newest first."""
    return session.scalars(
        select(TokenRow)
        .where(TokenRow.user_id == user_id, TokenRow.revoked_at.is_(None))
        .order_by(TokenRow.id.desc())
    ).all()


def revoke_token(session: Session, user_id: int, token_id: int, now: datetime) -> bool:
    """Whether a token of a user ended by this; False where it had before.

    Raises:
        NotFound: They have no such token.
    """
    row = session.get(TokenRow, token_id)
    if row is None or row.user_id != user_id:
        raise NotFound(f"there is no token {token_id} of yours")
    held = row.revoked_at is None
    row.revoked_at = row.revoked_at or now
    session.flush()
    return held


def identity(session: Session, issuer: str, subject: str) -> IdentityRow | None:
    """The user of a person at a provider."""
    return session.scalar(
        select(IdentityRow).where(IdentityRow.issuer == issuer, IdentityRow.subject == subject)
    )


def identities_of(session: Session, user_id: int) -> list[IdentityRow]:
    """The persons at providers who sign in as this user."""
    return list(
        session.scalars(select(IdentityRow).where(IdentityRow.user_id == user_id).order_by(IdentityRow.id))
    )


def providers_by_user(session: Session) -> dict[int, list[str]]:
    """The providers that users sign in with, by user id."""
    found: dict[int, list[str]] = {}
    rows = session.execute(select(IdentityRow.user_id, IdentityRow.provider).order_by(IdentityRow.id))
    for user_id, provider in rows:
        found.setdefault(user_id, []).append(provider)
    return found


def enrolled(session: Session) -> set[int]:
    """The users who have a second factor."""
    return set(
        session.scalars(select(SecondFactorRow.user_id).where(SecondFactorRow.confirmed_at.is_not(None)))
    )


def use_step(session: Session, user_id: int, step: int) -> bool:
    """Whether this time step, or a later one, was not used before; it is from now on."""
    wanted = update(SecondFactorRow).where(
        SecondFactorRow.user_id == user_id, SecondFactorRow.last_step < step
    )
    return _changed(session, wanted.values(last_step=step)) == 1


def use_code(session: Session, user_id: int, sha256: bytes, now: datetime) -> bool:
    """Whether this recovery code was there and unused; it is used from now on."""
    wanted = update(RecoveryCodeRow).where(
        RecoveryCodeRow.user_id == user_id,
        RecoveryCodeRow.sha256 == sha256,
        RecoveryCodeRow.used_at.is_(None),
    )
    return _changed(session, wanted.values(used_at=now)) == 1


def codes_left(session: Session, user_id: int) -> int:
    """How many recovery codes of a user are unused."""
    wanted = select(func.count()).where(RecoveryCodeRow.user_id == user_id, RecoveryCodeRow.used_at.is_(None))
    return session.scalar(wanted) or 0


def forget_codes(session: Session, user_id: int) -> None:
    """Removes every recovery code of a user."""
    session.execute(delete(RecoveryCodeRow).where(RecoveryCodeRow.user_id == user_id))


def use_reset_link(session: Session, sha256: bytes, now: datetime) -> int | None:
    """The user whose link this is, which is used from now on; None where it does not hold."""
    wanted = update(ResetLinkRow).where(
        ResetLinkRow.sha256 == sha256, ResetLinkRow.used_at.is_(None), ResetLinkRow.expires_at > now
    )
    if not _changed(session, wanted.values(used_at=now)):
        return None
    return session.get_one(ResetLinkRow, sha256).user_id


def reset_link_user(session: Session, sha256: bytes, now: datetime) -> UserRow | None:
    """The active user whose link this is, while it holds."""
    return session.scalar(
        select(UserRow)
        .join(ResetLinkRow, ResetLinkRow.user_id == UserRow.id)
        .where(
            ResetLinkRow.sha256 == sha256,
            ResetLinkRow.used_at.is_(None),
            ResetLinkRow.expires_at > now,
            UserRow.active,
        )
    )


def forget_reset_links(session: Session, user_id: int) -> None:
    """Removes every link of a user, used or not."""
    session.execute(delete(ResetLinkRow).where(ResetLinkRow.user_id == user_id))
