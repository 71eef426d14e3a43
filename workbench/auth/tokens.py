"""API tokens: what programs sign in with. Limited in what they may do and for how long, shown once."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from datetime import timedelta

from sqlalchemy.orm import Session

from workbench.activity.store import record
from workbench.auth import store
from workbench.auth.domain import Identity, Permission, Role, digest
from workbench.auth.sessions import SEEN_EVERY
from workbench.auth.tables import TokenRow
from workbench.errors import InvalidInput, NotAllowed
from workbench.outside import Outside

DEFAULT_DAYS = 90
MAKES_TOKENS = "tokens.create"
"""The scope of a token that may make further tokens; no role has it, it must be asked for by name."""
_PARTS = 3


def create_token(
    session: Session,
    outside: Outside,
    user_id: int,
    *,
    name: str,
    scopes: Iterable[str] | None = None,
    days: int | None = None,
    by: str = "",
    strong: bool = True,
) -> str:
    """A new API token, `wb_<id>_<secret>`; it can be read this once.

    Args:
        session: A writing session.
        outside: Clock and chance.
        user_id: The token may do what this user may.
        name: What it is for.
        scopes: Permissions it is limited to; empty or None for no further limit.
        days: How long it holds; None for 90, or the longest that is allowed.
        by: Who makes it; empty for its owner.
        strong: Whether who makes it proved themselves with a second factor.

    Raises:
        InvalidInput: No name, an unknown permission, one the user lacks, or too long a life.
    """
    wanted = sorted(set(scopes or ()))
    longest = outside.settings.token_days_max
    days = min(DEFAULT_DAYS, longest) if days is None else days
    _check(session, outside, user_id, name, wanted, days)
    prefix = outside.random_bytes(4).hex()
    secret = outside.random_bytes(32).hex()
    now = outside.now()
    row = TokenRow(
        prefix=prefix,
        sha256=digest(secret),
        user_id=user_id,
        name=name.strip()[:100],
        scopes=wanted,
        created_at=now,
        expires_at=now + timedelta(days=days),
        strong=strong,
    )
    session.add(row)
    session.flush()
    after = {"name": row.name, "scopes": wanted, "days": days, "user": user_id}
    _record(session, outside, user_id, row.id, "token.created", by, after)
    return f"wb_{prefix}_{secret}"


def _check(session: Session, outside: Outside, user_id: int, name: str, wanted: list[str], days: int) -> None:
    unknown = sorted(set(wanted) - set(Permission) - {MAKES_TOKENS})
    if unknown:
        raise InvalidInput(f"there is no permission {unknown[0]!r}")
    if not name.strip():
        raise InvalidInput("say what the token is for")
    if not 1 <= days <= outside.settings.token_days_max:
        raise InvalidInput(f"a token holds 1 to {outside.settings.token_days_max} days")
    lacking = sorted(set(wanted) - permissions_of(session, user_id) - {MAKES_TOKENS})
    if lacking:
        raise InvalidInput(f"a token cannot do what its owner may not: {', '.join(lacking)}")


def permissions_of(session: Session, user_id: int) -> frozenset[str]:
    """Everything that a user may do somewhere."""
    granted = store.role_permissions(session)
    held = frozenset().union(*store.roles_of(session, user_id).values())
    if store.supplier_of(session, user_id) is not None:
        held |= {Role.SUPPLIER_LEAD}
    return frozenset().union(*(granted.get(role, frozenset()) for role in held))


def checked_maker(identity: Identity, scopes: Iterable[str]) -> None:
    """Nothing, where this browser or token may make a token with these scopes.

    Raises:
        NotAllowed: A token makes one without being made for it, or one that may more than itself.
    """
    if identity.session_secret:
        return
    if identity.scopes is None or MAKES_TOKENS not in identity.scopes:
        raise NotAllowed(
            f"this token may not make tokens; make one with the scope {MAKES_TOKENS}, or sign in"
        )
    wanted = set(scopes)
    if not wanted or not wanted <= identity.scopes:
        raise NotAllowed("a token can only make tokens that may no more than itself; name their scopes")


def identify_token(outside: Outside, given: str) -> Identity | None:
    """Who a token belongs to; None where it does not hold."""
    parts = given.split("_")
    if len(parts) != _PARTS or parts[0] != "wb":
        return None
    now = outside.now()
    with outside.db.read() as session:
        token = store.token_by_prefix(session, parts[1][:16])
        if token is None or not hmac.compare_digest(token.sha256, digest(parts[2])):
            return None
        if token.revoked_at is not None or (token.expires_at is not None and token.expires_at <= now):
            return None
        user = store.find_user(session, token.user_id)
        roles = store.roles_of(session, user.id)
        supplier_id = store.supplier_of(session, user.id)
    if not user.active:
        return None
    if token.used_at is None or now - token.used_at > SEEN_EVERY:
        with outside.db.write() as session:
            store.token_used(session, token.id, now)
    scopes = frozenset(token.scopes) if token.scopes else None
    return Identity(
        user.id,
        user.name,
        user.email,
        roles,
        scopes=scopes,
        strong=bool(token.strong),
        supplier_id=supplier_id,
    )


def revoke_token(session: Session, outside: Outside, user_id: int, token_id: int, *, by: str = "") -> None:
    """Ends a token of a user.

    Raises:
        NotFound: They have no such token.
    """
    if store.revoke_token(session, user_id, token_id, outside.now()):
        _record(session, outside, user_id, token_id, "token.revoked", by, None)


def revoke_all(session: Session, outside: Outside, user_id: int, *, by: str = "") -> int:
    """How many tokens of a user were ended."""
    found = store.tokens_of(session, user_id)
    for row in found:
        revoke_token(session, outside, user_id, row.id, by=by)
    return len(found)


def _record(
    session: Session,
    outside: Outside,
    user_id: int,
    token_id: int,
    verb: str,
    by: str,
    after: dict[str, object] | None,
) -> None:
    actor = by or store.find_user(session, user_id).email
    record(session, at=outside.now(), actor=actor, verb=verb, about=f"token:{token_id}", after=after)
