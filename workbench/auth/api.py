"""Who a program is signed in as, its tokens and the sessions beside it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from workbench.auth import sessions, store, tokens
from workbench.auth.access import Caller, require
from workbench.auth.domain import Permission, browser_name, digest
from workbench.errors import NotAllowed, NotFound
from workbench.web.current import Out, RowId

router = APIRouter(prefix="/api/v1")
Me = Annotated[Caller, require(Permission.ACCOUNT)]


class Person(BaseModel):
    """The caller, with what they may do outside any project."""

    email: str
    name: str
    roles: list[str]
    permissions: list[str]
    second_factor_needed: bool


class Token(BaseModel):
    """A token without its secret; an empty list of scopes is no limit."""

    id: int
    name: str
    begins_with: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    used_at: datetime | None


class NewToken(BaseModel):
    """What a token is for; `scopes` left out: whatever its owner may."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str = Field(min_length=1, max_length=100)
    scopes: list[str] = []
    days: int | None = Field(default=None, ge=1, le=36500)


class MadeToken(BaseModel):
    """A token; it can be read this once."""

    token: str


class SignedIn(BaseModel):
    """A browser that is signed in as the caller."""

    id: str
    browser: str
    address: str | None
    how: str
    created_at: datetime
    seen_at: datetime
    expires_at: datetime
    current: bool


@router.get("/me")
def me(caller: Me) -> Person:
    """Who this token or session belongs to."""
    return Person(
        email=caller.email,
        name=caller.name,
        roles=sorted(caller.roles),
        permissions=sorted(caller.permissions),
        second_factor_needed=caller.held_back,
    )


@router.get("/tokens")
def list_tokens(outside: Out, caller: Me) -> list[Token]:
    """One's own tokens that were not revoked."""
    with outside.db.read() as session:
        return [
            Token(
                id=row.id,
                name=row.name,
                begins_with=f"wb_{row.prefix}",
                scopes=row.scopes,
                created_at=row.created_at,
                expires_at=row.expires_at,
                used_at=row.used_at,
            )
            for row in store.tokens_of(session, caller.user_id)
        ]


@router.post("/tokens", status_code=201)
def create_token(outside: Out, given: NewToken, caller: Me) -> MadeToken:
    """A new token; a token makes one only where it was made for that, and never one that may more."""
    tokens.checked_maker(caller.known, given.scopes)
    with outside.db.write() as session:
        made = tokens.create_token(
            session,
            outside,
            caller.user_id,
            name=given.name,
            scopes=given.scopes,
            days=given.days,
            strong=caller.known.strong,
        )
    return MadeToken(token=made)


@router.delete("/tokens/{token_id}", status_code=204)
def revoke_token(outside: Out, token_id: RowId, caller: Me) -> Response:
    """Ends one of one's own tokens."""
    with outside.db.write() as session:
        tokens.revoke_token(session, outside, caller.user_id, token_id)
    return Response(status_code=204)


@router.delete("/tokens", status_code=204)
def revoke_tokens(outside: Out, caller: Me) -> Response:
    """Ends all of one's own tokens, this one too."""
    with outside.db.write() as session:
        tokens.revoke_all(session, outside, caller.user_id)
    return Response(status_code=204)


@router.get("/sessions")
def list_sessions(outside: Out, caller: Me) -> list[SignedIn]:
    """The browsers that are signed in as the caller."""
    this = digest(caller.known.session_secret)
    with outside.db.read() as session:
        return [
            SignedIn(
                id=row.id_sha256.hex(),
                browser=browser_name(row.browser),
                address=row.address,
                how=row.how,
                created_at=row.created_at,
                seen_at=row.seen_at,
                expires_at=row.expires_at,
                current=row.id_sha256 == this,
            )
            for row in sessions.live_sessions(session, outside, caller.user_id)
        ]


@router.delete("/sessions/{session_id}", status_code=204)
def end_session(outside: Out, session_id: str, caller: Me) -> Response:
    """Signs one browser out."""
    try:
        wanted = bytes.fromhex(session_id)
    except ValueError:
        raise NotFound("there is no such session of yours; it may have ended already") from None
    _not_a_limited_token(caller)
    with outside.db.write() as session:
        sessions.end_sessions(session, outside, caller.user_id, by=caller.email, only=wanted)
    return Response(status_code=204)


@router.delete("/sessions", status_code=204)
def end_other_sessions(outside: Out, caller: Me) -> Response:
    """Signs every browser out but the one that asks."""
    _not_a_limited_token(caller)
    keep = digest(caller.known.session_secret) if caller.known.session_secret else None
    with outside.db.write() as session:
        sessions.end_sessions(session, outside, caller.user_id, by=caller.email, keep=keep)
    return Response(status_code=204)


def _not_a_limited_token(caller: Caller) -> None:
    if caller.known.scopes is not None:
        raise NotAllowed("a token with limited scopes cannot sign browsers out")
