"""Label Studio is down, slow, broken or lies: the work goes on by itself, and nothing is sent twice."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime

import httpx
import pytest
from sqlalchemy import select

from tests.contracts.label_studio.fault_proxy import Faults, fault_proxy
from tests.end_to_end import truth
from tests.end_to_end.gate import Gate, gate
from tests.end_to_end.installation import (
    Given,
    Installation,
    Note,
    at_work,
    installation,
    notes,
    wait_until,
    worker,
)
from tests.label_studio_server import TestServer
from workbench.labeling.tables import AnnotationRow, LaneRow, VisitRow
from workbench.outside import system_now
from workbench.people.service import connect_server
from workbench.people.tables import ServerRow

pytestmark = pytest.mark.label_studio

A_MINUTE = 60.0
SPEED = 3
ITEMS = 16


def fast_clock() -> Callable[[], datetime]:
    """The workbench's clock, so that its pauses are shorter; the server's runs as ever."""
    began = system_now()
    return lambda: began + (system_now() - began) * SPEED


@dataclass
class Site:
    """An installation at work behind a proxy that misbehaves when told to."""

    made: Installation
    faults: Faults
    gate: Gate
    given: Given
    batches: int = 0
    has_copies: bool = False

    def bring_in(self) -> None:
        """More work for people: nothing that the model is sure of."""
        self.batches += 1
        batch = [
            Note(f"{self.batches}-{one.external_id}", f"{self.batches} {one.text}", one.label, one.kind)
            for one in notes(ITEMS * 3)
            if one.kind in {"hint", "mixed"}
        ][:ITEMS]
        self.made.bring_in(batch, f"batch-{self.batches}.csv")

    def trouble(self) -> ServerRow | None:
        """The server's row while it says that something is wrong."""
        row = self.made.server_row()
        return row if row.problem else None

    def wait_for_trouble(self, *words: str) -> ServerRow:
        row: ServerRow = wait_until(self.trouble, seconds=40, what="the server's row tells of the problem")
        assert row.state != "ready"
        for word in words:
            assert word in row.problem
        return row

    def settles(self) -> float:
        """Seconds, on the workbench's clock, until all is resolved and the server's row is clear again."""
        began = self.made.outside.now()
        wanted = {"resolved": self.batches * ITEMS}
        wait_until(lambda: self.made.states() == wanted, seconds=A_MINUTE, what=self.made.states)
        wait_until(
            lambda: self.made.server_row().state == "ready" and not self.trouble(),
            seconds=A_MINUTE,
            what="the server's row is clear",
        )
        took = (self.made.outside.now() - began).total_seconds()
        wait_until(
            lambda: self.arrived() == {one[3] for one in self.given.annotations}, seconds=10, what="all"
        )
        return took

    def arrived(self) -> set[int]:
        with self.made.outside.db.read() as session:
            return set(session.scalars(select(AnnotationRow.ls_annotation_id)))

    def pushing(self) -> list[VisitRow]:
        with self.made.outside.db.read() as session:
            return list(session.scalars(select(VisitRow).where(VisitRow.state == "pushing")))


@pytest.fixture(scope="module")
def site(tmp_path_factory, label_studio_server: TestServer) -> Iterator[Site]:
    routing = {"routes": [{"when": 'meta.kind == "mixed"', "overlap": 2, "show_suggestion": False}]}
    with ExitStack() as stack:
        address, faults = stack.enter_context(fault_proxy(label_studio_server.url))
        port = httpx.URL(address).port
        assert port is not None
        front = stack.enter_context(gate(port))
        made = stack.enter_context(
            installation(
                tmp_path_factory.mktemp("faults"),
                label_studio_server,
                address=front.url,
                readers=("Ann", "Ben", "Cleo"),
                routing=routing,
                clock=fast_clock(),
            )
        )
        made.patience_s = 1.0
        stack.enter_context(worker(made))
        given = stack.enter_context(at_work(made))
        found = Site(made, faults, front, given)
        found.bring_in()
        found.settles()
        yield found


@pytest.fixture(autouse=True)
def all_is_well_afterwards(site: Site) -> Iterator[None]:
    yield
    site.faults.status, site.faults.delay_s = None, 0.0
    site.faults.lose_answer, site.faults.only = False, None
    assert truth.wrong_rows(site.made) == {}
    assert truth.wrong_tallies(site.made) == {}
    assert truth.wrong_tasks(site.made, copies=site.has_copies) == {}


def test_it_is_down_for_a_while(site: Site):
    site.gate.shut()
    site.bring_in()
    row = site.wait_for_trouble("cannot be reached", site.gate.url, "by itself")
    assert row.state == "unreachable"
    time.sleep(3)
    site.gate.open()
    assert site.settles() < A_MINUTE


def test_it_is_slow(site: Site):
    site.faults.delay_s = 30.0
    site.bring_in()
    site.wait_for_trouble("did not answer within", "by itself")
    site.faults.delay_s = 0.0
    assert site.settles() < A_MINUTE


def test_it_answers_500_before_anything_happened(site: Site):
    site.faults.only, site.faults.status = "POST", 500
    site.bring_in()
    site.wait_for_trouble("answered 500", "/import")
    site.faults.status = None
    assert site.settles() < A_MINUTE


def test_its_answer_is_lost_after_the_tasks_were_made(site: Site):
    site.faults.only, site.faults.lose_answer = "POST", True
    site.bring_in()
    wait_until(site.pushing, seconds=20, what="a push")
    site.wait_for_trouble("cannot be reached")
    site.faults.lose_answer = False
    assert site.settles() < A_MINUTE


def test_people_answer_tasks_that_we_do_not_know_to_be_there(site: Site):
    """The answer is lost, then the server is away so long that the answers are old news when it is back."""
    before = len(site.given.annotations)
    site.faults.only, site.faults.lose_answer = "POST", True
    site.bring_in()
    wait_until(
        lambda: len(site.given.annotations) > before, seconds=20, what="people found the tasks", look_s=0.01
    )
    site.gate.shut()
    site.faults.lose_answer = False
    time.sleep(12)
    site.gate.open()
    assert site.settles() < A_MINUTE


def test_its_token_is_wrong(site: Site):
    made = site.made
    with made.outside.db.write() as session:
        row = session.get_one(ServerRow, made.server_id)
        row.token = made.outside.vault.lock(b"0123456789012345678901234567890123456789")
    site.bring_in()
    row = site.wait_for_trouble("refuses our token (401", "give a new token")
    assert made.server.token not in row.problem
    connect_server(made.outside, name="local", url=site.gate.url, token=made.server.token)
    assert site.settles() < A_MINUTE


def test_a_push_that_was_given_up_takes_effect_much_later(site: Site):
    site.has_copies = True
    site.faults.only, site.faults.delay_s = "POST", 16.0
    site.bring_in()
    wait_until(site.pushing, seconds=20, what="a push")
    sent = time.monotonic()
    time.sleep(1)
    site.faults.delay_s = 0.0
    wait_until(lambda: not site.pushing(), seconds=20, what="it is sent again")
    assert time.monotonic() - sent < 16, "it was sent again before the first one came through"
    wait_until(lambda: tasks_there(site.made) > known_tasks(site.made), seconds=15, what="the late push")
    wait_until(
        lambda: tasks_there(site.made) == known_tasks(site.made), seconds=A_MINUTE, what="copies settle"
    )
    site.settles()


def tasks_there(made: Installation) -> int:
    with made.server.client() as client:
        return sum(len(client.task_ids(lane)) for lane in made.lanes())


def known_tasks(made: Installation) -> int:
    with made.outside.db.read() as session:
        return len(session.scalars(select(VisitRow.id).where(VisitRow.ls_task_id.is_not(None))).all())


def test_no_lane_is_left_with_a_problem(site: Site):
    with site.made.outside.db.read() as session:
        assert {(lane.state, lane.problem) for lane in session.scalars(select(LaneRow))} == {("ready", "")}
