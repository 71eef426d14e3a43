"""Users: who they are, what they are, and how they prove it with a password."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy.orm import Session

from workbench.activity.store import record
from workbench.auth import brakes, sessions, store, tokens
from workbench.auth.domain import (
    DEFAULT_ROLES,
    EVERYWHERE,
    Identity,
    Role,
    checked_email,
    checked_role,
    digest,
)
from workbench.auth.passwords import hash_password, password_fits, uncommon_password
from workbench.auth.sessions import close_session, identify_session, open_session
from workbench.auth.tables import MembershipRow, PermissionRow, ResetLinkRow, UserRow
from workbench.auth.tokens import create_token, identify_token
from workbench.errors import AlreadyExists, InvalidInput, NotFound, NotSignedIn, TooMany, WrongState
from workbench.incidents.store import heal_incident, report_incident
from workbench.outside import Outside

RESET_HOLDS = timedelta(hours=2)
INVITED_HOLDS = timedelta(days=7)
__all__ = [
    "close_session",
    "create_token",
    "identify_session",
    "identify_token",
    "open_session",
]


@dataclass(frozen=True)
class Proven:
    """Somebody who gave the right password; `failed_before`: tries that were wrong since the last time."""

    user_id: int
    failed_before: int = 0


def ensure_roles(session: Session) -> None:
    """Adds to the table of roles what is new in this release; what somebody took away stays away."""
    known = store.permissions_offered(session)
    for role, granted in DEFAULT_ROLES.items():
        for permission in sorted(granted):
            if (role, permission) not in known and session.get(PermissionRow, (role, permission)) is None:
                session.add(PermissionRow(role=role, permission=permission))
    store.note_offered(session, known)
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
    by: str = "machine",
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
        password_hash=password_hash_of(password, about=email),
        role=role,
        project_id=project_id,
        by=by,
    )


def password_hash_of(password: str, *, about: str = "") -> str:
    """The password of the user with the e-mail address `about`, as it is stored.

    Raises:
        InvalidInput: It is too short, or among the first that are tried.
    """
    return hash_password(uncommon_password(password, about=about))


def create_user_hashed(
    session: Session,
    outside: Outside,
    *,
    email: str,
    name: str,
    password_hash: str,
    role: str,
    project_id: int = EVERYWHERE,
    by: str = "machine",
) -> UserRow:
    """A new user, with the password hashed already; empty for somebody who has none yet."""
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
    after = {"email": email, "role": role, "project": project_id or None}
    _record(session, outside, by, "user.created", user.id, after=after)
    _add_role(session, outside, user.id, role, project_id)
    return user


def grant(
    session: Session,
    outside: Outside,
    user_id: int,
    role: str,
    project_id: int = EVERYWHERE,
    *,
    by: str = "machine",
) -> None:
    """Gives a user a role; nothing happens where they have it."""
    if checked_role(role) not in store.roles_of(session, user_id).get(project_id, frozenset()):
        _add_role(session, outside, user_id, role, project_id)
        after = {"role": role, "project": project_id or None}
        _record(session, outside, by, "user.role_granted", user_id, after=after)


def _add_role(session: Session, outside: Outside, user_id: int, role: str, project_id: int) -> None:
    if role not in {Role.ANNOTATOR, Role.SUPPLIER_LEAD} and store.supplier_of(session, user_id) is not None:
        raise WrongState("a supplier's lead may have no role that sees more than their supplier")
    session.add(
        MembershipRow(
            user_id=user_id, project_id=project_id, role=checked_role(role), created_at=outside.now()
        )
    )
    session.flush()


def change_role(
    session: Session,
    outside: Outside,
    user_id: int,
    role: str,
    *,
    by: str = "machine",
    keep: bytes | None = None,
) -> None:
    """Gives a user one role everywhere, in place of those they had; their sessions end.

    Args:
        session: A writing session.
        outside: Clock.
        user_id: Whose role.
        role: The new one.
        by: Who changes it.
        keep: A session that goes on, because its owner changes their own role.

    Raises:
        WrongState: They are the last admin.
    """
    user = store.find_user(session, user_id)
    before = store.roles_of(session, user_id).get(EVERYWHERE, frozenset())
    if before == {checked_role(role)}:
        return
    _keep_an_admin(session, user, role)
    for row in session.query(MembershipRow).filter_by(user_id=user_id, project_id=EVERYWHERE):
        session.delete(row)
    session.flush()
    _add_role(session, outside, user_id, role, EVERYWHERE)
    _record(
        session,
        outside,
        by,
        "user.role_changed",
        user_id,
        before={"roles": sorted(before)},
        after={"roles": [role]},
    )
    sessions.end_sessions(session, outside, user_id, by=by, keep=keep)


def set_active(
    session: Session, outside: Outside, user_id: int, *, active: bool, by: str = "machine"
) -> None:
    """Lets a user in, or ends their access at once: their API tokens for good, also if they are let in again.

    Raises:
        WrongState: They are the last admin.
    """
    user = store.find_user(session, user_id)
    if user.active == active:
        return
    if not active:
        _keep_an_admin(session, user, "")
        sessions.end_sessions(session, outside, user_id, by=by)
        tokens.revoke_all(session, outside, user_id, by=by)
    user.active = active
    verb = "user.activated" if active else "user.deactivated"
    _record(session, outside, by, verb, user_id)


def _keep_an_admin(session: Session, user: UserRow, new_role: str) -> None:
    is_admin = Role.ADMIN in store.roles_of(session, user.id).get(EVERYWHERE, frozenset())
    if is_admin and new_role != Role.ADMIN and store.other_admins(session, user.id) == 0:
        raise WrongState(f"{user.email} is the last admin; make somebody else an admin first")


def confirm_password(outside: Outside, user_id: int, given: str, *, address: str = "") -> None:
    """Nothing, where a signed-in user gives their present password again; also where they have none.

    Raises:
        InvalidInput: It is not right.
        TooMany: Too many were not.
    """
    with outside.db.read() as session:
        user = store.find_user(session, user_id)
    if not user.password_hash:
        return
    try:
        check_password(outside, email=user.email, password=given, address=address)
    except NotSignedIn:
        raise InvalidInput("the present password is not right") from None


def change_password(outside: Outside, identity: Identity, old: str, new: str, *, address: str = "") -> str:
    """The secret of a new session in place of this one, after another password was set; all others end.

    Raises:
        InvalidInput: The old one is wrong, or the new one too short or too well known.
        TooMany: Too many old ones were wrong.
    """
    confirm_password(outside, identity.user_id, old, address=address)
    hashed = password_hash_of(new, about=identity.email)
    with outside.db.write() as session:
        store.find_user(session, identity.user_id).password_hash = hashed
        _record(session, outside, identity.email, "user.password_changed", identity.user_id)
        keep = digest(identity.session_secret)
        sessions.end_sessions(session, outside, identity.user_id, by=identity.email, keep=keep)
        return sessions.renew(session, outside, identity)


def check_password(outside: Outside, *, email: str, password: str, address: str) -> Proven:
    """Who has this e-mail address and password.

    Raises:
        NotSignedIn: One of them is wrong; the same words, and the same time, for an unknown address.
        TooMany: Too many failed tries.
    """
    email = email.strip().lower()
    names: brakes.Names = [(brakes.PAIR, f"{email}|{address}")]
    names += [(brakes.ADDRESS, address)] if address else []
    with outside.db.write() as session:
        # A stranger who guesses from afar must not keep the owner out where they usually are.
        names += [] if store.knows_address(session, email, address) else [(brakes.ACCOUNT, email)]
        begun = brakes.count_try(session, outside.now(), names)
        user = store.user_by_email(session, email)
        if begun and user is not None:
            _braked(session, outside, user, begun)
    try:
        fits = password_fits(password, user.password_hash if user is not None else None)
    except TooMany:
        with outside.db.write() as session:
            for brake, name in names:
                brakes.give_back(session, brake, name)
        raise
    if user is None or not fits or not user.active:
        raise NotSignedIn("e-mail or password is not right")
    with outside.db.write() as session:
        failed = max(brakes.forget(session, brake, name) for brake, name in names if brake != brakes.ADDRESS)
        if address:
            brakes.give_back(session, brakes.ADDRESS, address)
        heal_incident(
            session, "sign_in_guessing", f"user:{user.id}", "the owner signed in", now=outside.now()
        )
    return Proven(user.id, failed)


def _braked(session: Session, outside: Outside, user: UserRow, begun: set[brakes.Brake]) -> None:
    _record(
        session,
        outside,
        "sign-in",
        "user.sign_in_braked",
        user.id,
        after={"failures": max(brake.free for brake in begun), "counted_by": sorted(b.kind for b in begun)},
    )
    if brakes.ACCOUNT in begun:
        report_incident(
            session,
            "sign_in_guessing",
            f"user:{user.id}",
            f"somebody tries passwords of {user.email}: {brakes.ACCOUNT.free} were wrong, tries are slowed",
            now=outside.now(),
            remedy="ask them whether it was they; a second factor makes guessing useless",
        )


def make_reset_link(
    session: Session, outside: Outside, user_id: int, *, by: str, invited: bool = False
) -> str:
    """The token of a link with which somebody sets a password, once, within two hours; earlier links end.

    Raises:
        WrongState: They are deactivated.
    """
    user = store.find_user(session, user_id)
    if not user.active:
        raise WrongState(f"{user.email} is deactivated; activate them first")
    store.forget_reset_links(session, user_id)
    token = outside.random_bytes(32).hex()
    now = outside.now()
    session.add(
        ResetLinkRow(
            sha256=digest(token),
            user_id=user_id,
            made_by=by[:254],
            created_at=now,
            expires_at=now + (INVITED_HOLDS if invited else RESET_HOLDS),
        )
    )
    session.flush()
    _record(session, outside, by, "user.reset_link_made", user_id)
    return token


def email_of_link(session: Session, outside: Outside, token: str) -> str:
    """The e-mail address of the user whose password the link sets.

    Raises:
        NotFound: There is no such link, or it does not hold any more.
    """
    user = store.reset_link_user(session, digest(token), outside.now())
    if user is None:
        raise NotFound("this link was used, has expired, or never was; ask an admin for a new one")
    return user.email


def reset_password(outside: Outside, token: str, new: str) -> None:
    """Sets the password of a link's user; all their sessions and API tokens end.

    Raises:
        NotFound: The link does not hold.
        InvalidInput: The password is too short or too well known; the link still holds.
    """
    with outside.db.read() as session:
        email = email_of_link(session, outside, token)
    hashed = password_hash_of(new, about=email)
    with outside.db.write() as session:
        email_of_link(session, outside, token)
        user_id = store.use_reset_link(session, digest(token), outside.now())
        assert user_id is not None
        store.find_user(session, user_id).password_hash = hashed
        brakes.forget(session, brakes.ACCOUNT, email)
        _record(session, outside, email, "user.password_reset", user_id)
        sessions.end_sessions(session, outside, user_id, by=email)
        tokens.revoke_all(session, outside, user_id, by=email)


def _record(
    session: Session,
    outside: Outside,
    by: str,
    verb: str,
    user_id: int,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    about = f"user:{user_id}"
    record(session, at=outside.now(), actor=by, verb=verb, about=about, before=before, after=after)
