"""Signing in with a provider: which user a person there is, and what they may be here.

Issuer and subject make the identity. An e-mail address, even a verified one, opens an account that exists
only where the operator said so (`link_by_email`), or where an admin made the account for that address and
nobody has ever entered it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session

from integrations.oidc.interface import Fetch, Person, ProviderConfig
from integrations.oidc.provider import Provider
from workbench.activity.store import record
from workbench.auth import service, store
from workbench.auth.domain import EVERYWHERE, Role
from workbench.auth.tables import IdentityRow, UserRow
from workbench.errors import AlreadyExists, NotAllowed, NotFound, WrongState
from workbench.outside import Outside
from workbench.settings import SignInProvider

_STRONGEST_FIRST = tuple(Role)


@dataclass(frozen=True)
class Door:
    """One provider: what the operator chose, and the provider itself."""

    chosen: SignInProvider
    provider: Provider

    @property
    def title(self) -> str:
        """What its button says."""
        return self.chosen.title or self.chosen.name


def doors(chosen: list[SignInProvider], fetch: Fetch) -> dict[str, Door]:
    """The providers of this installation by name."""
    return {
        one.name: Door(
            one,
            Provider(
                ProviderConfig(
                    issuer=one.issuer,
                    client_id=one.client_id,
                    client_secret=one.client_secret,
                    scopes=tuple(one.scopes),
                ),
                fetch,
            ),
        )
        for one in chosen
    }


def user_of_person(session: Session, outside: Outside, chosen: SignInProvider, person: Person) -> int:
    """The user that a person at a provider is, made or linked where that is allowed.

    Raises:
        NotAllowed: They have no account here, may not have one, or it is deactivated.
    """
    known = store.identity(session, person.issuer, person.subject)
    if known is not None:
        known.used_at = outside.now()
        user = store.find_user(session, known.user_id)
    else:
        user = _claimed(session, outside, chosen, person)
        _link(session, outside, chosen, person, user, by=user.email)
    if not user.active:
        raise NotAllowed(_no_account(chosen))
    _follow_groups(session, outside, chosen, person, user)
    return user.id


def link_person(
    session: Session, outside: Outside, chosen: SignInProvider, person: Person, user_id: int
) -> None:
    """Lets a person at a provider sign in as this user, who asked for it while signed in.

    Raises:
        AlreadyExists: They sign in as somebody else.
    """
    known = store.identity(session, person.issuer, person.subject)
    if known is not None and known.user_id != user_id:
        raise AlreadyExists("that account at the provider belongs to another user here")
    if known is None:
        user = store.find_user(session, user_id)
        _link(session, outside, chosen, person, user, by=user.email)


def unlink(session: Session, outside: Outside, user_id: int, identity_id: int, *, by: str) -> None:
    """Takes a provider's person off a user.

    Raises:
        NotFound: There is none of that id.
        WrongState: They could not sign in any more.
    """
    row = session.get(IdentityRow, identity_id)
    if row is None or row.user_id != user_id:
        raise NotFound("there is no such link of yours")
    only = len(store.identities_of(session, user_id)) == 1
    if only and not store.find_user(session, user_id).password_hash:
        raise WrongState("this is your only way in; have an admin give you a link to set a password first")
    session.delete(row)
    session.flush()
    _record(session, outside, by, "user.identity_unlinked", user_id, {"provider": row.provider})


def _claimed(session: Session, outside: Outside, chosen: SignInProvider, person: Person) -> UserRow:
    if not person.email:
        raise NotAllowed(
            f"{chosen.title or chosen.name} does not vouch for your e-mail address; verify it there first"
        )
    user = store.user_by_email(session, person.email)
    if user is None:
        return _made(session, outside, chosen, person)
    awaited = not user.password_hash and not store.identities_of(session, user.id)
    if not (chosen.link_by_email or awaited):
        raise NotAllowed(
            "there is an account with your e-mail address: sign in with its password, then link "
            f"{chosen.title or chosen.name} on your account page"
        )
    return user


def _made(session: Session, outside: Outside, chosen: SignInProvider, person: Person) -> UserRow:
    domain = person.email.rpartition("@")[2]
    role = _role_by_group(chosen, person.claims)
    if domain not in {one.lower().lstrip("@") for one in chosen.allowed_domains}:
        raise NotAllowed(_no_account(chosen))
    if role is None and chosen.roles_by_group:
        raise NotAllowed("none of your groups has a role here; ask your admin")
    return service.create_user_hashed(
        session,
        outside,
        email=person.email,
        name=person.name,
        password_hash="",
        role=role or chosen.default_role,
        by=f"provider {chosen.name}",
    )


def _no_account(chosen: SignInProvider) -> str:
    return f"you have no account here for {chosen.title or chosen.name}; ask your admin for one"


def _link(
    session: Session, outside: Outside, chosen: SignInProvider, person: Person, user: UserRow, *, by: str
) -> None:
    now = outside.now()
    session.add(
        IdentityRow(
            user_id=user.id,
            provider=chosen.name,
            issuer=person.issuer,
            subject=person.subject,
            email=person.email,
            created_at=now,
            used_at=now,
        )
    )
    session.flush()
    _record(session, outside, by, "user.identity_linked", user.id, {"provider": chosen.name})


def _follow_groups(
    session: Session, outside: Outside, chosen: SignInProvider, person: Person, user: UserRow
) -> None:
    if not chosen.roles_by_group:
        return
    role = _role_by_group(chosen, person.claims)
    if role is None:
        raise NotAllowed("none of your groups has a role here any more; ask your admin")
    if store.roles_of(session, user.id).get(EVERYWHERE, frozenset()) != frozenset({role}):
        service.change_role(session, outside, user.id, role, by=f"provider {chosen.name}")


def _role_by_group(chosen: SignInProvider, claims: Mapping[str, object]) -> str | None:
    said = claims.get(chosen.groups_claim)
    groups = [said] if isinstance(said, str) else said if isinstance(said, list) else []
    roles = {
        chosen.roles_by_group[one] for one in groups if isinstance(one, str) and one in chosen.roles_by_group
    }
    return next((str(role) for role in _STRONGEST_FIRST if role in roles), None)


def _record(
    session: Session, outside: Outside, by: str, verb: str, user_id: int, after: dict[str, object]
) -> None:
    record(session, at=outside.now(), actor=by, verb=verb, about=f"user:{user_id}", after=after)
