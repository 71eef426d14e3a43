"""What a server's page shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from workbench.inbox import store as inbox
from workbench.inbox.store import InboxCounts
from workbench.inbox.tables import DeliveryRow, ReceiverRow
from workbench.labeling import store
from workbench.labeling.life import FROZEN
from workbench.labeling.restoring import epochs_of
from workbench.labeling.tables import LaneRow
from workbench.outside import Outside
from workbench.people.store import find_server
from workbench.people.tables import ServerRow


@dataclass(frozen=True)
class ServerView:
    """One server, whether it tells us of changes, its lanes and its epochs."""

    server: ServerRow
    is_frozen: bool
    receiver: ReceiverRow | None
    counts: InboxCounts
    letters: list[DeliveryRow]
    lanes: list[LaneRow]
    epochs: list[dict[str, Any]]


def server_view(outside: Outside, session: Session, server_id: int) -> ServerView:  # noqa: ARG001 - as all views
    """Everything about one server.

    Raises:
        NotFound: There is none of that id.
    """
    server = find_server(session, server_id)
    return ServerView(
        server=server,
        is_frozen=server.state == FROZEN,
        receiver=inbox.receiver_of(session, server_id),
        counts=inbox.inbox_counts(session).get(server_id, InboxCounts()),
        letters=inbox.dead_letters(session, server_id, limit=20),
        lanes=store.lanes_on(session, server_id),
        epochs=epochs_of(session, server_id),
    )
