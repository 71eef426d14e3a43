"""Users, sessions and tokens: who is who, and for how long."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy.orm import Session

from workbench.auth import store
from workbench.auth.domain import (
    DEFAULT_ROLES,
    EVERYWHERE,
    Identity,
    Permission,
    Role,
    checked_email,
    checked_password,
    checked_role,
    digest,
)
from workbench.auth.passwords import Throttle, hash_password, password_fits
from workbench.auth.tables import MembershipRow, PermissionRow, SessionRow, TokenRow, UserRow
from workbench.errors import AlreadyExists, InvalidInput, NotSignedIn, WrongState
from workbench.outside import Outside

SEEN_EVERY = timedelta(minutes=5)
_TOKEN_PARTS = 3


@dataclass(frozen=True)
class Throttles:
    """The brakes on signing in: by address of e-mail and by address of the network."""

    email: Throttle = field(default_factory=lambda: Throttle(8))
    address: Throttle = field(default_factory=lambda: Throttle(40))


def ensure_roles(session: Session) -> None:
    """Fills the table of roles from the code's default while it is empty."""
    if session.get(PermissionRow, (Role.ADMIN, Permission.ACCOUNT)) is None:
        for role, granted in DEFAULT_ROLES.items():
            session.add_all(PermissionRow(role=role, permission=permission) for permission in sorted(granted))
        session.flush()


def create_user(
    session: Session,
    outside: Outside,
    *,
    email: str,
    name: str,
    password: str,
    role: str,
    project_id: int = EVERYWHERE,
) -> UserRow:
    """A new user with one role.

    Hashing takes a moment in which the database's one writer would wait: pass `password_hash_of(password)`
    through `create_user_hashed` where that matters.

    Raises:
        InvalidInput: Address, password or role cannot be used.
        AlreadyExists: The address has a user.
    """
    return create_user_hashed(
        session,
        outside,
        email=email,
        name=name,
        password_hash=password_hash_of(password),
        role=role,
        project_id=project_id,
    )


def password_hash_of(password: str) -> str:
    """The password as it is stored.

    Raises:
        InvalidInput: It is too short.
    """
    return hash_password(checked_password(password))


def create_user_hashed(
    session: Session,
    outside: Outside,
    *,
    email: str,
    name: str,
    password_hash: str,
    role: str,
    project_id: int = EVERYWHERE,
) -> UserRow:
    """A new user, with the password hashed already; see `create_user`."""
    email = checked_email(email)
    checked_role(role)
    if store.user_by_email(session, email) is not None:
        raise AlreadyExists(f"{email} has a user already; give them another role instead")
    user = UserRow(
        email=email,
        name=name.strip() or email,
        password_hash=password_hash,
        active=True,
        created_at=outside.now(),
    )
    session.add(user)
    session.flush()
    grant(session, outside, user.id, role, project_id)
    return user


def grant(session: Session, outside: Outside, user_id: int, role: str, project_id: int = EVERYWHERE) -> None:
    """Gives a user a role; nothing happens where they have it."""
    if checked_role(role) not in store.roles_of(session, user_id).get(project_id, frozenset()):
        session.add(
            MembershipRow(user_id=user_id, project_id=project_id, role=role, created_at=outside.now())
        )
        session.flush()


def change_role(session: Session, outside: Outside, user_id: int, role: str) -> None:
    """Gives a user one role everywhere, in place of those they had everywhere.

    Raises:
        WrongState: They are the last admin.
    """
    user = store.find_user(session, user_id)
    _keep_an_admin(session, user, role)
    for row in session.query(MembershipRow).filter_by(user_id=user_id, project_id=EVERYWHERE):
        session.delete(row)
    session.flush()
    grant(session, outside, user_id, role)


def set_active(session: Session, outside: Outside, user_id: int, *, active: bool) -> None:
    """Lets a user in, or ends their access at once.

    Raises:
        WrongState: They are the last admin.
    """
    user = store.find_user(session, user_id)
    if not active:
        _keep_an_admin(session, user, "")
        store.revoke_sessions(session, user_id, outside.now())
    user.active = active


def _keep_an_admin(session: Session, user: UserRow, new_role: str) -> None:
    is_admin = Role.ADMIN in store.roles_of(session, user.id).get(EVERYWHERE, frozenset())
    if is_admin and new_role != Role.ADMIN and store.other_admins(session, user.id) == 0:
        raise WrongState(f"{user.email} is the last admin; make somebody else an admin first")


def change_password(outside: Outside, user_id: int, old: str, new: str, *, keep: str) -> None:
    """Sets another password and ends every session but the one with the secret `keep`.

    Raises:
        InvalidInput: The old one is wrong, or the new one too short.
    """
    with outside.db.read() as session:
        stored = store.find_user(session, user_id).password_hash
    if not password_fits(old, stored):
        raise InvalidInput("the present password is not right")
    hashed = password_hash_of(new)
    with outside.db.write() as session:
        store.find_user(session, user_id).password_hash = hashed
        store.revoke_sessions(session, user_id, outside.now(), keep=digest(keep))


def sign_in(
    outside: Outside, throttles: Throttles, *, email: str, password: str, address: str, browser: str
) -> str:
    """The secret of a new session.

    Raises:
        NotSignedIn: E-mail or password is wrong; the same words for an unknown address.
        TooMany: Too many failed tries.
    """
    email = email.strip().lower()
    throttles.email.check(email)
    throttles.address.check(address)
    with outside.db.read() as session:
        user = store.user_by_email(session, email)
    fits = password_fits(password, user.password_hash if user is not None else None)
    if user is None or not fits or not user.active:
        throttles.email.failed(email)
        throttles.address.failed(address)
        raise NotSignedIn("e-mail or password is not right")
    throttles.email.succeeded(email)
    with outside.db.write() as session:
        return open_session(session, outside, user.id, browser=browser)


def open_session(session: Session, outside: Outside, user_id: int, *, browser: str) -> str:
    """The secret of a new session of a user, for the cookie; only its hash is stored."""
    secret = outside.random_bytes(32).hex()
    now = outside.now()
    session.add(
        SessionRow(
            id_sha256=digest(secret),
            user_id=user_id,
            created_at=now,
            expires_at=now + timedelta(hours=outside.settings.session_hours),
            seen_at=now,
            browser=browser[:200],
        )
    )
    session.flush()
    return secret


def close_session(session: Session, outside: Outside, user_id: int, secret: str) -> None:
    """Ends a session."""
    store.revoke_sessions(session, user_id, outside.now(), only=digest(secret))


def identify_session(outside: Outside, secret: str) -> Identity | None:
    """Who the session with this secret belongs to; None where it does not hold."""
    now = outside.now()
    with outside.db.read() as session:
        found = store.live_session(session, digest(secret), now)
        if found is None:
            return None
        row, user = found
        roles = store.roles_of(session, user.id)
    if now - row.seen_at > SEEN_EVERY:
        with outside.db.write() as session:
            session.merge(row).seen_at = now
    return Identity(user.id, user.name, user.email, roles, session_secret=secret)


def create_token(
    session: Session,
    outside: Outside,
    user_id: int,
    *,
    name: str,
    scopes: list[str] | None = None,
    days: int | None = 90,
) -> str:
    """A new API token, `wb_<id>_<secret>`; it can be read this once.

    Args:
        session: A writing session.
        outside: Clock and chance.
        user_id: The token may do what this user may.
        name: What it is for.
        scopes: Permissions it is limited to; empty or None for no further limit.
        days: How long it holds; None for ever.

    Raises:
        InvalidInput: No name, or an unknown permission.
    """
    unknown = sorted(set(scopes or []) - set(Permission))
    if unknown or not name.strip():
        raise InvalidInput(
            f"there is no permission {unknown[0]!r}" if unknown else "say what the token is for"
        )
    prefix = outside.random_bytes(4).hex()
    secret = outside.random_bytes(32).hex()
    now = outside.now()
    session.add(
        TokenRow(
            prefix=prefix,
            sha256=digest(secret),
            user_id=user_id,
            name=name.strip()[:100],
            scopes=sorted(scopes or []),
            created_at=now,
            expires_at=None if days is None else now + timedelta(days=days),
        )
    )
    session.flush()
    return f"wb_{prefix}_{secret}"


def identify_token(outside: Outside, given: str) -> Identity | None:
    """Who a token belongs to; None where it does not hold."""
    parts = given.split("_")
    if len(parts) != _TOKEN_PARTS or parts[0] != "wb":
        return None
    now = outside.now()
    with outside.db.read() as session:
        token = store.token_by_prefix(session, parts[1])
        if token is None or not hmac.compare_digest(token.sha256, digest(parts[2])):
            return None
        if token.revoked_at is not None or (token.expires_at is not None and token.expires_at <= now):
            return None
        user = store.find_user(session, token.user_id)
        roles = store.roles_of(session, user.id)
    if not user.active:
        return None
    if token.used_at is None or now - token.used_at > SEEN_EVERY:
        with outside.db.write() as session:
            session.merge(token).used_at = now
    scopes = frozenset(token.scopes) if token.scopes else None
    return Identity(user.id, user.name, user.email, roles, scopes=scopes)
