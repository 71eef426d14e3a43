"""The whole service is killed again and again during the main job; at the end nothing is missing or doubled."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from integrations.label_studio.server import free_port
from tests.end_to_end import truth
from tests.end_to_end.installation import Installation, at_work, installation, notes, wait_until
from tests.label_studio_server import TestServer
from workbench.deliveries.service import start_delivery
from workbench.deliveries.tables import DeliveryRow
from workbench.demo.children import start_workbench, stop
from workbench.items.tables import ItemMoveRow, ItemRow
from workbench.jobs.tables import JobRow
from workbench.labeling.tables import AnnotationRow, VisitRow
from workbench.prelabeling.tables import PredictionRow

pytestmark = pytest.mark.label_studio

ITEMS = 160
SEED = 20


@dataclass
class Service:
    """`workbench serve` as it runs for real, and how often it was killed in what."""

    made: Installation
    chance: random.Random
    process: subprocess.Popen[bytes]
    kills: list[str] = field(default_factory=list)

    def worker(self) -> int | None:
        """Process id of the worker that holds the lock, if one does."""
        path = self.made.settings.data_dir / "worker.lock"
        number = path.read_text().strip() if path.exists() else ""
        if not number or not _runs(int(number)):
            return None
        return int(number)

    def kill_worker(self, during: str, reached: Callable[[Session], object], *, within_s: float) -> None:
        """SIGKILL to the worker at a random moment once something is under way."""
        worker = self._await(during, reached, within_s)
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: self.worker() not in {None, worker}, seconds=40, what="another worker")

    def kill_all(self, during: str, reached: Callable[[Session], object], *, within_s: float) -> None:
        """SIGKILL to the whole tree, and a new one."""
        worker = self._await(during, reached, within_s)
        for number in (self.process.pid, worker):
            os.kill(number, signal.SIGKILL)
        self._start_again(worker)

    def kill_web(self, during: str, reached: Callable[[Session], object], *, within_s: float) -> None:
        """SIGKILL to the web process alone: its worker must not live on without it."""
        worker = self._await(during, reached, within_s)
        os.kill(self.process.pid, signal.SIGKILL)
        self._start_again(worker)

    def _await(self, during: str, reached: Callable[[Session], object], within_s: float) -> int:
        def look() -> int | None:
            with self.made.outside.db.read() as session:
                return self.worker() if reached(session) else None

        worker: int = wait_until(look, seconds=40, what=during, look_s=0.005)
        time.sleep(self.chance.uniform(0, within_s))
        self.kills.append(during)
        return worker

    def _start_again(self, worker: int) -> None:
        self.process.wait(timeout=10)
        self.process = start_workbench(self.made.settings)
        wait_until(lambda: not _runs(worker), seconds=40, what="the old worker ends")
        wait_until(self.worker, seconds=40, what="a worker")


def _runs(process_id: int) -> bool:
    try:
        facts = Path(f"/proc/{process_id}/stat").read_text(encoding="utf-8")
        return facts.rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@contextmanager
def service(made: Installation) -> Iterator[Service]:
    found = Service(made, random.Random(SEED), start_workbench(made.settings))
    try:
        yield found
    finally:
        stop(found.process)


def some(model: type, n: int) -> Callable[[Session], bool]:
    """There are at least so many rows."""
    return lambda session: (session.scalar(select(func.count()).select_from(model)) or 0) >= n


def moved_to(state: str, n: int) -> Callable[[Session], bool]:
    """So many items have come to a state."""
    query = select(func.count()).select_from(ItemMoveRow).where(ItemMoveRow.to_state == state)
    return lambda session: (session.scalar(query) or 0) >= n


def sending(session: Session) -> VisitRow | None:
    """A push is on its way: whether the server has it, nobody knows."""
    return session.scalar(select(VisitRow).where(VisitRow.state == "pushing").limit(1))


def exporting(session: Session) -> JobRow | None:
    return session.scalar(select(JobRow).where(JobRow.kind == "export", JobRow.state == "running"))


def test_nothing_is_lost_or_doubled(tmp_path, label_studio_server: TestServer, database_url: str):
    small = {"chunk_items": 8, "port": free_port(), "database_url": database_url}
    with installation(tmp_path, label_studio_server, lane_limit=24, settings=small) as made:
        brought = notes(ITEMS, seed=SEED)
        with service(made) as running, at_work(made, skips=0.04) as given:
            import_job = made.bring_in(brought)
            running.kill_worker("import", some(ItemRow, 20), within_s=0.05)
            running.kill_worker("prelabel", some(PredictionRow, 30), within_s=0.03)
            running.kill_all("decide", moved_to("queued", 40), within_s=0.02)
            running.kill_worker("push", sending, within_s=0.3)
            running.kill_worker("reconcile", some(AnnotationRow, 30), within_s=1.0)
            running.kill_web("resolve", moved_to("resolved", 90), within_s=0.5)
            running.kill_worker("a second push", sending, within_s=0.1)
            wait_until(
                lambda: made.states() == {"resolved": ITEMS},
                seconds=150,
                what=made.states,
            )
            export_job = ask_for_export(made)
            running.kill_worker("export", exporting, within_s=0.03)
            wait_until(lambda: job_state(made, export_job) == "done", seconds=60, what="the export")
        with made.outside.db.read() as session:
            found = {row.external_id for row in session.scalars(select(ItemRow))}
            [delivery] = session.scalars(select(DeliveryRow)).all()
        assert len(running.kills) == 8
        assert found == {one.external_id for one in brought}
        assert job_state(made, import_job) == "done"
        assert truth.wrong_rows(made) == {}
        assert truth.wrong_tallies(made) == {}
        assert truth.wrong_tasks(made) == {}
        assert nobody_waits_for_nothing(made, given.annotations)
        assert (delivery.state, delivery.rows) == ("done", ITEMS)
        labels_are_right(made, brought)


def ask_for_export(made: Installation) -> str:
    with made.outside.db.write() as session:
        return start_delivery(made.outside, session, made.project_id, "jsonl", "pm@example.com")


def job_state(made: Installation, job_id: str) -> str:
    with made.outside.db.read() as session:
        return session.get_one(JobRow, job_id).state


def nobody_waits_for_nothing(made: Installation, given: list[tuple[str, int, str, int]]) -> bool:
    """Every answer that was given has arrived."""
    with made.outside.db.read() as session:
        arrived = set(session.scalars(select(AnnotationRow.ls_annotation_id)))
    return {annotation_id for *_, annotation_id in given} == arrived


def labels_are_right(made: Installation, brought) -> None:
    expected = {one.text: one.label for one in brought if one.kind != "mixed"}
    with made.outside.db.read() as session:
        rows = truth.current_labels(session, made.project_id)
    assert {text: label for text, label, _ in rows if text in expected} == expected
