"""Invitations: a link with which a person gets their account here and in Label Studio.

Every step can be taken twice: what is there already is adopted, so a try that broke off half way is
mended by opening the link again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy.orm import Session

from integrations.label_studio import accounts
from integrations.label_studio.errors import AccountExists
from integrations.label_studio.interface import Member
from integrations.outbound.rules import Purpose
from workbench.activity.store import record
from workbench.auth import service as auth
from workbench.auth.domain import EVERYWHERE, Role, checked_email, checked_password, checked_role, digest
from workbench.auth.leads import make_lead
from workbench.auth.store import find_user, role_permissions, user_by_email
from workbench.errors import InvalidInput, NotAllowed, NotFound, NotSignedIn, Unavailable, WrongState
from workbench.outbound import rules_for, trusted
from workbench.outside import Outside
from workbench.people import store
from workbench.people.belonging import take_into
from workbench.people.service import add_to_pool, client_for
from workbench.people.tables import AccountRow, InvitationRow, PersonRow, ServerRow

HOLDS = timedelta(days=7)


@dataclass(frozen=True)
class Invited:
    """An invitation; its token can be read this once."""

    person_id: int
    email: str
    token: str = field(repr=False)

    def link(self, address: str) -> str:
        """What to send to the person."""
        return f"{address}/invitations/{self.token}"


@dataclass(frozen=True)
class Welcome:
    """Whom an invitation is for.

    Attributes:
        known: They have a user here: the password asked for is their present one.
    """

    name: str
    email: str
    role: str
    known: bool
    person_id: int
    server: ServerRow | None
    project_id: int | None
    supplier_id: int | None = None


@dataclass(frozen=True)
class Accepted:
    """What accepting led to; `adopted`: they had a Label Studio account with a password of its own."""

    user_id: int
    adopted: bool


def invite_person(
    session: Session,
    outside: Outside,
    *,
    email: str,
    name: str,
    pool_id: int | None,
    project_id: int | None,
    server_id: int | None,
    by: str,
    may: frozenset[str],
    role: str = Role.ANNOTATOR,
    supplier_id: int | None = None,
) -> Invited:
    """A person who works in the pool from now on, and a link that holds for seven days.

    Args:
        session: A writing session.
        outside: Clock and chance.
        email: Of the person; also their sign-in.
        name: What people see.
        pool_id: Where they will work; None for somebody who does not annotate.
        project_id: Where roles other than annotator hold; None for everywhere.
        server_id: Where they get a Label Studio account; None for the project's server when they accept.
        by: Who invites.
        may: What the inviting person may do: nobody can give more than they have.
        role: What the person becomes.
        supplier_id: The supplier whose lead they become; for other roles that of the pool holds.

    Raises:
        InvalidInput: Address or role cannot be used.
        NotAllowed: The role may do more than who invites.
    """
    email, wanted = checked_email(email), checked_role(role)
    if (wanted == Role.SUPPLIER_LEAD) != (supplier_id is not None):
        raise InvalidInput("a supplier's lead is invited on the page of that supplier")
    if not role_permissions(session).get(wanted, frozenset()) <= may:
        raise NotAllowed(f"you cannot invite somebody as {wanted}: that role may do more than yours")
    person = store.person_with_email(session, email)
    if person is None:
        person = PersonRow(
            public_id=outside.new_id(),
            name=name.strip() or email.partition("@")[0],
            email=email,
            active=True,
            created_at=outside.now(),
        )
        session.add(person)
        session.flush()
    person.active = True
    if supplier_id is not None:
        take_into(session, person, supplier_id)
    if pool_id is not None:
        add_to_pool(session, outside, store.find_pool(session, pool_id).id, person.id, by=by)
    token = outside.random_bytes(24).hex()
    session.add(
        InvitationRow(
            token_sha256=digest(token),
            person_id=person.id,
            supplier_id=person.supplier_id,
            role=wanted,
            project_id=project_id,
            server_id=server_id,
            created_by=by,
            created_at=outside.now(),
            expires_at=outside.now() + HOLDS,
        )
    )
    session.flush()
    record(
        session,
        at=outside.now(),
        actor=by,
        verb="person.invited",
        about=f"person:{person.public_id}",
        project_id=project_id,
        after={"role": str(wanted), "days": HOLDS.days},
    )
    return Invited(person.id, email, token)


def welcome(session: Session, outside: Outside, token: str) -> Welcome:
    """Whom a link is for.

    Raises:
        NotFound: No such invitation.
        WrongState: It was used, or has expired.
    """
    found = store.invitation_with(session, digest(token))
    if found is None:
        raise NotFound("this invitation is not known; ask for a new link")
    invitation, person = found
    if invitation.accepted_at is not None:
        raise WrongState("this invitation was used already; sign in instead")
    if invitation.expires_at <= outside.now():
        raise WrongState("this invitation has expired; ask for a new link")
    server_id = invitation.server_id
    if server_id is None and invitation.role != Role.SUPPLIER_LEAD:
        server_id = store.server_of_person(session, person, invitation.project_id)
    return Welcome(
        name=person.name,
        email=person.email,
        role=invitation.role,
        known=user_by_email(session, person.email) is not None,
        person_id=person.id,
        server=store.find_server(session, server_id) if server_id is not None else None,
        project_id=invitation.project_id,
        supplier_id=invitation.supplier_id if invitation.role == Role.SUPPLIER_LEAD else None,
    )


def accept_invitation(outside: Outside, token: str, password: str, *, address: str = "") -> Accepted:
    """The person's user here, with their role and their Label Studio account.

    The network is used outside any transaction; where it fails nothing is lost and the link still holds.

    Raises:
        NotFound: No such invitation.
        WrongState: It was used, or has expired.
        InvalidInput: The password is too short, or not the one of a user that is there.
        TooMany: Too many were not: a link is no way round the brakes of signing in.
        Unavailable: Label Studio does not answer.
    """
    with outside.db.read() as session:
        guest = welcome(session, outside, token)
        user = user_by_email(session, guest.email)
        account = guest.server and store.account_of(session, guest.server.id, guest.email)
    if user is not None:
        try:
            auth.check_password(outside, email=user.email, password=password, address=address)
        except NotSignedIn:
            raise InvalidInput(
                "you have an account here already: give the password you sign in with"
            ) from None
    hashed = "" if user is not None else auth.password_hash_of(checked_password(password))
    member, adopted = None, False
    if guest.server is not None and account is None:
        member, adopted = _label_studio_account(outside, guest.server, guest, password)
    with outside.db.write() as session:
        user_id = _write(session, outside, token, hashed, member)
    return Accepted(user_id, adopted)


def _label_studio_account(
    outside: Outside, server: ServerRow, guest: Welcome, password: str
) -> tuple[Member, bool]:
    client = client_for(outside, server)
    first, _, last = guest.name.partition(" ")
    timeout_s = outside.settings.label_studio_timeout_s
    try:
        invite = client.invite_token()
        made = accounts.sign_up(
            server.url,
            invite,
            guest.email,
            password,
            first_name=first,
            last_name=last,
            timeout_s=timeout_s,
            rules=rules_for(outside.settings, Purpose.LABEL_STUDIO),
            tls=trusted(outside.settings),
        )
    except AccountExists:
        found = next((one for one in client.members() if one.email.lower() == guest.email), None)
        if found is None:
            raise Unavailable(
                f"{guest.email} has an account on this Label Studio, but not in its organization; "
                "ask its admin to add it, then open this link again"
            ) from None
        return found, True
    return made, False


def _write(session: Session, outside: Outside, token: str, hashed: str, member: Member | None) -> int:
    guest = welcome(session, outside, token)
    user = user_by_email(session, guest.email)
    everywhere = guest.role == Role.ANNOTATOR or guest.project_id is None
    place = EVERYWHERE if everywhere else guest.project_id or EVERYWHERE
    if user is None:
        user = auth.create_user_hashed(
            session,
            outside,
            email=guest.email,
            name=guest.name,
            password_hash=hashed,
            role=guest.role,
            project_id=place,
            by=guest.email,
        )
    elif guest.supplier_id is None:
        auth.grant(session, outside, find_user(session, user.id).id, guest.role, place, by=guest.email)
    if guest.supplier_id is not None:
        make_lead(session, outside, user.id, guest.supplier_id, by=guest.email)
    person = session.get_one(PersonRow, guest.person_id)
    person.user_id = user.id
    if guest.server is not None and member is not None:
        _keep_account(session, outside, guest.server.id, person.id, member)
    found = store.invitation_with(session, digest(token))
    assert found is not None
    found[0].accepted_at = outside.now()
    record(
        session,
        at=outside.now(),
        actor=guest.email,
        verb="invitation.accepted",
        about=f"person:{person.public_id}",
        project_id=guest.project_id,
        after={"role": str(guest.role), "label_studio_account": member is not None},
    )
    return user.id


def _keep_account(session: Session, outside: Outside, server_id: int, person_id: int, member: Member) -> None:
    """Reconciliation may have found the account in between."""
    row = store.account_with_id(session, server_id, member.user_id)
    if row is None:
        session.add(
            AccountRow(
                server_id=server_id,
                person_id=person_id,
                ls_user_id=member.user_id,
                email=member.email.lower(),
                supplier_id=session.get_one(PersonRow, person_id).supplier_id,
                created_at=outside.now(),
            )
        )
    else:
        row.person_id = person_id
        row.supplier_id = session.get_one(PersonRow, person_id).supplier_id
    session.flush()
