"""Queries on users, roles, sessions and tokens."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from workbench.auth.domain import DEFAULT_ROLES, EVERYWHERE, Role
from workbench.auth.tables import MembershipRow, PermissionRow, SessionRow, TokenRow, UserRow
from workbench.errors import NotFound


def role_permissions(session: Session) -> dict[str, frozenset[str]]:
    """What each role may do; the code's default while the table is empty."""
    found: dict[str, set[str]] = {}
    for role, permission in session.execute(select(PermissionRow.role, PermissionRow.permission)):
        found.setdefault(role, set()).add(permission)
    if not found:
        return {str(role): frozenset(map(str, granted)) for role, granted in DEFAULT_ROLES.items()}
    return {role: frozenset(granted) for role, granted in found.items()}


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
        select(MembershipRow.project_id, MembershipRow.role).where(MembershipRow.user_id == user_id)
    )
    for project_id, role in rows:
        found.setdefault(project_id, set()).add(role)
    return {project_id: frozenset(roles) for project_id, roles in found.items()}


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


def live_session(session: Session, id_sha256: bytes, now: datetime) -> tuple[SessionRow, UserRow] | None:
    """A session that still holds, with its active user."""
    row = session.execute(
        select(SessionRow, UserRow)
        .join(UserRow, UserRow.id == SessionRow.user_id)
        .where(
            SessionRow.id_sha256 == id_sha256,
            SessionRow.revoked_at.is_(None),
            SessionRow.expires_at > now,
            UserRow.active,
        )
    ).one_or_none()
    return None if row is None else (row[0], row[1])


def live_sessions(session: Session, user_id: int, now: datetime) -> list[SessionRow]:
    """The sessions of a user that still hold, last used first."""
    return list(
        session.scalars(
            select(SessionRow)
            .where(
                SessionRow.user_id == user_id, SessionRow.revoked_at.is_(None), SessionRow.expires_at > now
            )
            .order_by(SessionRow.seen_at.desc())
        )
    )


def revoke_sessions(
    session: Session, user_id: int, now: datetime, *, only: bytes | None = None, keep: bytes | None = None
) -> None:
    """Ends sessions of a user: all, one, or all but one."""
    wanted = update(SessionRow).where(SessionRow.user_id == user_id, SessionRow.revoked_at.is_(None))
    if only is not None:
        wanted = wanted.where(SessionRow.id_sha256 == only)
    if keep is not None:
        wanted = wanted.where(SessionRow.id_sha256 != keep)
    session.execute(wanted.values(revoked_at=now))


def token_by_prefix(session: Session, prefix: str) -> TokenRow | None:
    """The token with that beginning."""
    return session.scalar(select(TokenRow).where(TokenRow.prefix == prefix))


def tokens_of(session: Session, user_id: int) -> Sequence[TokenRow]:
    """The tokens of a user that were not revoked, newest first."""
    return session.scalars(
        select(TokenRow)
        .where(TokenRow.user_id == user_id, TokenRow.revoked_at.is_(None))
        .order_by(TokenRow.id.desc())
    ).all()


def revoke_token(session: Session, user_id: int, token_id: int, now: datetime) -> None:
    """Ends a token of a user.

    Raises:
        NotFound: They have no such token.
    """
    row = session.get(TokenRow, token_id)
    if row is None or row.user_id != user_id:
        raise NotFound(f"there is no token {token_id} of yours")
    row.revoked_at = now
