"""Receivers: made, given new secrets, and what to do with letters that nobody could read."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from sqlalchemy.orm import Session

from workbench.activity.store import record
from workbench.errors import InvalidInput
from workbench.inbox import store
from workbench.inbox.domain import ReceiverState
from workbench.inbox.tables import ReceiverRow
from workbench.incidents.store import heal_incident
from workbench.outside import Outside

HOOKS = "/hooks/label-studio/"
HEADER = "X-Workbench-Secret"
DEAD_LETTER = "dead_letter"


@dataclass(frozen=True)
class Address:
    """Where a server shall send, and the header that proves it.

    Attributes:
        ours: The beginning that all addresses of this workbench share: what starts so is ours to remove.
    """

    url: str
    ours: str
    secret: str

    @property
    def headers(self) -> dict[str, str]:
        """What the server sends along."""
        return {HEADER: self.secret}


def receiver_for(outside: Outside, session: Session, server_id: int) -> ReceiverRow:
    """A server's receiver, made with a fresh address and secret where it is missing."""
    row = store.receiver_of(session, server_id)
    if row is None:
        row = ReceiverRow(
            server_id=server_id,
            path_key=outside.random_bytes(24).hex(),
            secret=outside.vault.lock(outside.random_bytes(32).hex().encode()),
            state=ReceiverState.NEW,
            reason="",
            created_at=outside.now(),
        )
        session.add(row)
        session.flush()
    return row


def address_of(outside: Outside, row: ReceiverRow) -> Address:
    """Where the receiver's server shall send."""
    ours = outside.settings.webhook_url.rstrip("/") or outside.settings.address.rstrip("/")
    return Address(
        url=f"{ours}{HOOKS}{row.path_key}",
        ours=f"{ours}{HOOKS}",
        secret=outside.vault.unlock(row.secret).decode(),
    )


def reachable_from(outside: Outside, server_url: str) -> str:
    """Why a server cannot reach us, as far as the addresses tell; empty where it may."""
    ours = urlsplit(outside.settings.webhook_url or outside.settings.address)
    local = {"127.0.0.1", "localhost", "::1", "0.0.0.0"}  # noqa: S104 - compared, not bound
    if ours.hostname in local and urlsplit(server_url).hostname not in local:
        return (
            "the workbench has no address that this server could reach; set webhook_url (or public_url) "
            "to one, until then the server is asked every few seconds"
        )
    return ""


def rotate_secret(outside: Outside, session: Session, server_id: int, *, by: str) -> ReceiverRow:
    """A new secret; the one before still holds until the next rotation, while lanes change over."""
    row = store.find_receiver(session, server_id)
    row.previous, row.secret = row.secret, outside.vault.lock(outside.random_bytes(32).hex().encode())
    row.rotated_at = outside.now()
    record(
        session,
        at=outside.now(),
        actor=by,
        verb="server.webhook_secret_rotated",
        about=f"server:{server_id}",
    )
    return row


def set_dead_letters_aside(outside: Outside, session: Session, server_id: int, *, by: str) -> int:
    """How many letters that nobody could read were looked at and put away.

    Raises:
        InvalidInput: There are none.
    """
    rows = store.dead_letters(session, server_id, limit=10_000)
    if not rows:
        raise InvalidInput("there are no dead letters of this server")
    now = outside.now()
    store.mark_handled(session, [row.id for row in rows], now)
    for row in rows:
        row.dead_at = None
    heal_incident(session, DEAD_LETTER, f"server:{server_id}", f"{len(rows)} put aside by {by}", now=now)
    record(
        session,
        at=now,
        actor=by,
        verb="server.dead_letters_put_aside",
        about=f"server:{server_id}",
        after={"letters": len(rows)},
    )
    return len(rows)
