"""The annotator's one door: the lane with work for them."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from integrations.label_studio.interface import lane_address
from workbench.items.domain import Stage
from workbench.labeling.store import lanes_with_work
from workbench.people.store import pools_of_person
from workbench.people.tables import AccountRow, ServerRow


@dataclass(frozen=True)
class Door:
    """Where a person's next work is.

    Attributes:
        address: The Label Studio page that serves it.
        title: The lane's name.
        waiting: Visits there that this person can answer.
        is_direct: It leads straight to the next task; else "Label All Tasks" must be pressed there.
    """

    address: str
    title: str
    waiting: int
    is_direct: bool


def next_lane_for(session: Session, person_id: int) -> Door | None:
    """The lane a person should work in now; None where nothing waits for them.

    Disagreements come first, then the most urgent, then the longest queue.
    """
    servers = {
        server.id: server
        for server in session.scalars(
            select(ServerRow)
            .join(AccountRow, AccountRow.server_id == ServerRow.id)
            .where(AccountRow.person_id == person_id)
        )
    }
    lanes = lanes_with_work(session, pools_of_person(session, person_id), list(servers), person_id)
    if not lanes:
        return None
    lane, waiting, _ = max(lanes, key=lambda found: (found[0].stage == Stage.ADJUDICATE, found[2], found[1]))
    server = servers[lane.server_id]
    is_direct = bool(server.capabilities.get("door"))
    address = lane_address(server.url, lane.ls_project_id or 0, has_door=is_direct)
    return Door(address=address, title=lane.title, waiting=waiting, is_direct=is_direct)
