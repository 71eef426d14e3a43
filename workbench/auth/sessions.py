"""Sessions: browsers that are signed in. They lie in the database, so that they can be ended at once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from workbench.activity.store import record
from workbench.auth import store
from workbench.auth.domain import Identity, browser_name, digest
from workbench.auth.tables import SessionRow
from workbench.errors import NotFound
from workbench.outside import Outside

SEEN_EVERY = timedelta(minutes=5)


@dataclass(frozen=True)
class Arrival:
    """How somebody came in.

    Attributes:
        browser: What the browser calls itself.
        address: The sender's address or network.
        how: `password`, `invitation`, or the name of a provider.
        strong: They proved themselves with a second factor, or a provider that asks for one.
    """

    browser: str = ""
    address: str = ""
    how: str = "password"
    strong: bool = False


def open_session(
    session: Session, outside: Outside, user_id: int, *, browser: str, arrival: Arrival | None = None
) -> str:
    """The secret of a new session of a user, for the cookie; only its hash is stored."""
    secret = outside.random_bytes(32).hex()
    now = outside.now()
    came = arrival or Arrival(browser=browser)
    session.add(
        SessionRow(
            id_sha256=digest(secret),
            user_id=user_id,
            created_at=now,
            expires_at=now + timedelta(hours=outside.settings.session_hours),
            seen_at=now,
            browser=browser[:200],
            address=came.address[:45] or None,
            how=came.how[:60],
            strong_at=now if came.strong else None,
        )
    )
    session.flush()
    return secret


def begin(
    session: Session, outside: Outside, user_id: int, arrival: Arrival, *, failed_before: int = 0
) -> str:
    """The secret of a new session after signing in, recorded; the user's expired sessions are swept."""
    user = store.find_user(session, user_id)
    store.sweep_sessions(session, user_id, outside.now() - timedelta(days=90))
    record(
        session,
        at=outside.now(),
        actor=user.email,
        verb="user.signed_in",
        about=f"user:{user_id}",
        after={
            "how": arrival.how,
            "browser": browser_name(arrival.browser[:200]),
            "second_factor": arrival.strong,
            "failed_before": failed_before,
        },
    )
    return open_session(session, outside, user_id, browser=arrival.browser, arrival=arrival)


def renew(session: Session, outside: Outside, identity: Identity, *, strong: bool | None = None) -> str:
    """The secret of a session in place of this one, which ends; for when what it may do has changed."""
    row = session.get_one(SessionRow, digest(identity.session_secret))
    arrival = Arrival(
        browser=row.browser,
        address=row.address or "",
        how=row.how,
        strong=row.strong_at is not None if strong is None else strong,
    )
    store.revoke_sessions(session, identity.user_id, outside.now(), only=row.id_sha256)
    secret = open_session(session, outside, identity.user_id, browser=row.browser, arrival=arrival)
    session.get_one(SessionRow, digest(secret)).expires_at = row.expires_at
    session.flush()
    return secret


def close_session(session: Session, outside: Outside, user_id: int, secret: str) -> None:
    """Ends a session because its owner signs out."""
    if store.revoke_sessions(session, user_id, outside.now(), only=digest(secret)):
        _record(session, outside, user_id, "user.signed_out", "", 1)


def end_sessions(
    session: Session,
    outside: Outside,
    user_id: int,
    *,
    by: str,
    only: bytes | None = None,
    keep: bytes | None = None,
) -> int:
    """How many sessions of a user were ended: all, one, or all but one.

    Raises:
        NotFound: The one that was asked for is not there.
    """
    ended = store.revoke_sessions(session, user_id, outside.now(), only=only, keep=keep)
    if only is not None and not ended:
        raise NotFound("there is no such session of yours; it may have ended already")
    if ended:
        _record(session, outside, user_id, "user.sessions_ended", by, ended)
    return ended


def _record(session: Session, outside: Outside, user_id: int, verb: str, by: str, n: int) -> None:
    email = store.find_user(session, user_id).email
    record(
        session,
        at=outside.now(),
        actor=by or email,
        verb=verb,
        about=f"user:{user_id}",
        after={"sessions": n},
    )


def identify_session(outside: Outside, secret: str) -> Identity | None:
    """Who the session with this secret belongs to; None where it does not hold."""
    now = outside.now()
    with outside.db.read() as session:
        found = store.live_session(session, digest(secret), now, _idle_since(outside, now))
        if found is None:
            return None
        row, user = found
        roles = store.roles_of(session, user.id)
        supplier_id = store.supplier_of(session, user.id)
    if now - row.seen_at > SEEN_EVERY:
        with outside.db.write() as session:
            store.seen(session, row.id_sha256, now)
    strong = row.strong_at is not None
    return Identity(
        user.id,
        user.name,
        user.email,
        roles,
        session_secret=secret,
        strong=strong,
        supplier_id=supplier_id,
    )


def holds(outside: Outside, secret: str) -> bool:
    """Whether the session with this secret still holds; for streams that stay open."""
    now = outside.now()
    with outside.db.read() as session:
        return store.live_session(session, digest(secret), now, _idle_since(outside, now)) is not None


def live_sessions(session: Session, outside: Outside, user_id: int) -> list[SessionRow]:
    """The sessions of a user that still hold, last used first."""
    now = outside.now()
    return store.live_sessions(session, user_id, now, _idle_since(outside, now))


def _idle_since(outside: Outside, now: datetime) -> datetime:
    return now - timedelta(minutes=outside.settings.session_idle_minutes)
