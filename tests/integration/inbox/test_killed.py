"""The service is killed while deliveries come in: whatever was answered with 202 is there, and is handled."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from integrations.label_studio.server import free_port
from tests.factories import make_pool, make_project, make_server
from workbench.db import migrate
from workbench.demo.children import start_workbench, stop
from workbench.inbox.domain import digest_of
from workbench.inbox.service import Address, address_of, receiver_for
from workbench.inbox.tables import DeliveryRow
from workbench.items.domain import Stage
from workbench.labeling.domain import LaneState
from workbench.labeling.lanes import ensure_lane
from workbench.outside import Outside, outside_of
from workbench.settings import load_settings

KILLS = 3
SENDERS = 6
SEED = 31
LANE = 3


@dataclass
class Traffic:
    """Senders that go on whatever happens to the receiver, and what it said it has."""

    hook: Address
    stop: threading.Event = field(default_factory=threading.Event)
    kept: list[bytes] = field(default_factory=list)
    unanswered: int = 0
    _next: Iterator[int] = field(default_factory=lambda: count(1))

    def send(self) -> None:
        client = httpx.Client(trust_env=False, timeout=5)
        while not self.stop.is_set():
            n = next(self._next)
            told = {"action": "ANNOTATION_CREATED", "annotation": {"id": n, "task": n}, "project": LANE}
            body = json.dumps(told).encode()
            try:
                answer = client.post(self.hook.url, content=body, headers=self.hook.headers)
            except httpx.HTTPError:
                self.unanswered += 1
                time.sleep(0.02)
            else:
                assert answer.status_code == httpx.codes.ACCEPTED, answer.status_code
                self.kept.append(digest_of(body))
        client.close()

    def wait_for_more(self) -> None:
        """Until fifty more were answered."""
        wanted, deadline = len(self.kept) + 50, time.monotonic() + 30
        while len(self.kept) < wanted:
            assert time.monotonic() < deadline, f"{len(self.kept)} deliveries were answered, {wanted} wanted"
            time.sleep(0.01)

    @contextlib.contextmanager
    def flowing(self) -> Iterator[None]:
        threads = [threading.Thread(target=self.send) for _ in range(SENDERS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.stop.set()
            for thread in threads:
                thread.join(10)


@pytest.fixture
def site(tmp_path: Path, database_url: str) -> Iterator[Outside]:
    """An installation with one lane, on a server that nobody asks: it is frozen."""
    settings = load_settings(data_dir=tmp_path / "data", port=free_port(), database_url=database_url)
    migrate.upgrade(settings)
    outside = outside_of(settings, label_studio=lambda *_: pytest.fail("nobody asks the server"))
    with outside.db.write() as session:
        server, pool = make_server(session), make_pool(session)
        project = make_project(session, server_id=server.id, pool_id=pool.id)
        lane = ensure_lane(outside, session, project, pool.id, Stage.LABEL, 1)
        lane.ls_project_id, lane.state = LANE, LaneState.FROZEN
    yield outside
    outside.db.close()


def waiting(outside: Outside) -> int:
    with outside.db.read() as session:
        return len(session.scalars(select(DeliveryRow.id).where(DeliveryRow.handled_at.is_(None))).all())


def test_nothing_that_was_answered_is_lost(site: Outside) -> None:
    chance = random.Random(SEED)
    with site.db.write() as session:
        hook = address_of(site, receiver_for(site, session, 1))
    traffic = Traffic(hook)
    process = start_workbench(site.settings)
    try:
        with traffic.flowing():
            for _ in range(KILLS):
                traffic.wait_for_more()
                time.sleep(chance.uniform(0, 0.3))
                os.kill(process.pid, signal.SIGKILL)
                process.wait(10)
                process = start_workbench(site.settings)
            traffic.wait_for_more()
        deadline = time.monotonic() + 30
        while waiting(site) and time.monotonic() < deadline:
            time.sleep(0.2)
    finally:
        stop(process)
    with site.db.read() as session:
        rows = list(session.scalars(select(DeliveryRow)))
    assert traffic.unanswered > 0, "it was not killed in the middle of anything"
    assert len(traffic.kept) > (KILLS + 1) * 50
    assert set(traffic.kept) <= {row.digest for row in rows}, "answered with 202, and gone"
    assert [row.problem for row in rows if row.handled_at is None] == []
