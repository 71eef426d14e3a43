"""A real server tells what happened: answers show within seconds, and without a word of it a poll later."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx
import pytest
from sqlalchemy import func, select

from integrations.label_studio.server import free_port
from tests.end_to_end.installation import (
    KEY,
    Installation,
    answer_to,
    give,
    installation,
    next_task,
    notes,
    wait_until,
)
from tests.label_studio_server import PASSWORD, running_server, sign_in
from workbench.auth.service import create_user, open_session
from workbench.demo.children import start_workbench, stop
from workbench.inbox.service import HOOKS
from workbench.inbox.tables import DeliveryRow, ReceiverRow
from workbench.incidents.tables import IncidentRow
from workbench.labeling.tables import AnnotationRow, LaneRow, VisitRow

pytestmark = pytest.mark.label_studio

POLL_S = 12.0
WITHIN_S = 3.0
ITEMS = 24


@dataclass
class Site:
    """An installation that polls rarely, a page that is looked at, and somebody at work."""

    made: Installation
    page: httpx.Client
    browser: httpx.Client
    lane: int
    given: list[int] = field(default_factory=list)

    def answer(self) -> float:
        """Seconds from one person's answer until the project's figures count it."""
        task = next_task(self.browser, self.lane)
        assert task is not None
        self.given.append(give(self.browser, task["id"], answer_to(task["data"]["text"], 0)))
        began = time.monotonic()
        wanted = len(self.given)
        wait_until(lambda: self.shown() == wanted, seconds=POLL_S * 3, what="the answer in the figures")
        took = time.monotonic() - began
        assert self.arrived() == set(self.given)
        return took

    def shown(self) -> int:
        answer = self.page.get(f"/api/v1/projects/{KEY}/figures")
        assert answer.status_code == httpx.codes.OK, answer.text
        return int(answer.json()["annotations_received"])

    def arrived(self) -> set[int]:
        with self.made.outside.db.read() as session:
            return set(session.scalars(select(AnnotationRow.ls_annotation_id)))

    def deliveries(self, *where) -> int:
        with self.made.outside.db.read() as session:
            return session.scalar(select(func.count()).select_from(DeliveryRow).where(*where)) or 0


@pytest.fixture
def site(tmp_path, database_url: str) -> Iterator[Site]:
    port = free_port()
    settings = {
        "port": port,
        "poll_seconds": POLL_S,
        "idle_poll_seconds": POLL_S,
        "database_url": database_url,
    }
    with (
        running_server(
            tmp_path / "label-studio", receiver=f"http://127.0.0.1:{port}{HOOKS}", workers=1
        ) as server,
        installation(tmp_path, server, readers=("Ann",), settings=settings, lane_limit=40) as made,
    ):
        process = start_workbench(made.settings)
        try:
            made.bring_in([one for one in notes(ITEMS * 3) if one.kind == "hint"][:ITEMS])
            lane = wait_until(lambda: main_lane(made), seconds=60, what=made.states)
            with (
                httpx.Client(
                    base_url=made.settings.address, cookies=signed_in(made), trust_env=False, timeout=10
                ) as page,
                sign_in(server.url, made.people[0].email, PASSWORD) as browser,
            ):
                yield Site(made, page, browser, lane)
        finally:
            stop(process)


def main_lane(made: Installation) -> int | None:
    """The lane with the most tasks, once they are there."""
    with made.outside.db.read() as session:
        if not session.scalar(select(func.count()).where(VisitRow.state == "in_lane")):
            return None
        found = session.execute(
            select(VisitRow.lane_id, func.count()).group_by(VisitRow.lane_id).order_by(func.count().desc())
        ).first()
        return session.get_one(LaneRow, found.lane_id).ls_project_id if found else None


def signed_in(made: Installation) -> dict[str, str]:
    """The cookie of a project manager."""
    with made.outside.db.write() as session:
        user = create_user(
            session,
            made.outside,
            email="paula@example.org",
            name="Paula",
            password="a long pass phrase",
            role="pm",
        )
        return {"wb_session": open_session(session, made.outside, user.id, browser="test")}


def test_an_answer_shows_within_seconds_and_without_webhooks_a_poll_later(site: Site):
    told = [site.answer() for _ in range(4)]
    assert max(told) < WITHIN_S, told
    assert site.deliveries() == 4
    assert site.deliveries(DeliveryRow.handled_at.is_(None)) == 0
    with site.made.outside.db.read() as session:
        assert session.scalars(select(ReceiverRow.state)).all() == ["ready"]

    # Any member may remove a webhook, and a server that cannot reach us tells nothing either.
    with site.made.server.client() as client:
        for lane in site.made.lanes():
            for hook in client.hooks(lane):
                client.delete_hook(hook.hook_id)
    polled = site.answer()
    assert polled < POLL_S * 2
    assert site.deliveries() == 4, "nobody told us"

    # The webhook is missed at the next look at the lane, put back, and says so.
    wait_until(lambda: hooked_again(site), seconds=90, what="the webhook is put back")
    assert site.answer() < WITHIN_S
    with site.made.outside.db.read() as session:
        incidents = session.scalars(select(IncidentRow)).all()
    assert {(one.kind, one.healed_at is not None) for one in incidents} == {("lane_repaired", True)}


def hooked_again(site: Site) -> bool:
    with site.made.server.client() as client:
        return bool(client.hooks(site.lane))
