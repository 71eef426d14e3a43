"""SIGKILL of a worker process at named points; another takes over, and every invariant must hold.

The worker is the real one: engine, pump, jobs, SQLite with both files. Label Studio is the double behind a
socket: it outlives the worker and finishes what it was asked for, as a real server does. The clocks of
both run faster than the wall's, so that nothing waits long.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.managers import BaseManager
from pathlib import Path
from typing import Any

from sqlalchemy import select

from tests.campaign.dying import Points
from tests.campaign.simulation import CHECKED
from tests.campaign.template import PEOPLE, Template, stub
from tests.factories import LABELS, NOW
from tests.integration.line.label_studio_double import LabelStudioDouble
from workbench.deliveries.service import start_delivery
from workbench.invariants.service import check
from workbench.items.reading.detect import ColumnMapping
from workbench.items.service import start_import
from workbench.items.store import counts_by_state
from workbench.jobs.tables import JobRow
from workbench.outside import Outside, outside_of
from workbench.settings import Settings, load_settings

SPEED = 30
ITEMS = 14
QUICK = {"chunk_items": 5, "poll_seconds": 4.0, "idle_poll_seconds": 4.0, "worker_silent_s": 3.0}
GIVE_UP_S = 60.0
NEVER = "the worker never came by there, so nothing was killed"
_fork = multiprocessing.get_context("fork")


class Shared:
    """The double, one caller at a time."""

    def __init__(self, now: Any) -> None:
        self.double = LabelStudioDouble(now)
        self.lock = threading.RLock()

    def call(self, name: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """What the double answers; errors come as values, since not all of them travel."""
        with self.lock:
            try:
                return True, getattr(self.double, name)(*arguments, **named)
            except Exception as problem:  # noqa: BLE001 - raised again where it was asked for
                return False, (type(problem), str(problem), getattr(problem, "status", None))


class Remote:
    """The double from another process."""

    def __init__(self, proxy: Any) -> None:
        self._proxy = proxy

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            given = tuple(list(one) if hasattr(one, "__next__") else one for one in arguments)
            went_well, found = self._proxy.call(name, given, named)
            if went_well:
                return found
            kind, words, status = found
            raise kind(words, status=status) if status is not None else kind(words)

        return call


def fast(began: float) -> Any:
    """A clock that all processes share."""
    return lambda: NOW + timedelta(seconds=(time.monotonic() - began) * SPEED)


def _serve(shared: Shared, address: str) -> Any:
    class Manager(BaseManager):
        pass

    Manager.register("shared", callable=lambda: shared, exposed=["call"])
    server = Manager(address=address, authkey=b"campaign").get_server()

    def serve() -> None:
        with contextlib.suppress(SystemExit):  # That is how it ends when it is told to.
            server.serve_forever()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return server


def _connect(address: str) -> Remote:
    class Manager(BaseManager):
        pass

    Manager.register("shared")
    manager = Manager(address=address, authkey=b"campaign")
    manager.connect()
    return Remote(manager.shared())


def _opened(settings: Settings, began: float, client: Any) -> Outside:
    return outside_of(
        settings,
        label_studio=lambda url, token: client,
        load_model=stub,
        now=fast(began),
    )


def _worker(settings: Settings, began: float, address: str, points: Points) -> None:
    """A worker's whole life, in a process of its own."""
    from workbench import worker

    os.setpgrp()
    sink = os.open(str(settings.data_dir / "worker.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    client = points.client(_connect(address))

    def opened(given: Settings, **_: Any) -> Outside:
        outside = _opened(given, began, client)
        points.watch_database(outside)
        return outside

    worker.outside_of = opened  # type: ignore[assignment]
    worker.JOBS = tuple(points.watched(kind) for kind in worker.JOBS)
    worker.migrate.upgrade = lambda _: ""  # type: ignore[assignment, return-value]
    worker.work(settings)


@dataclass
class Site:
    """Where trials are held: a template, and the points that a worker passes."""

    folder: Path
    template: Template
    points: tuple[str, ...] = ()

    def survey(self) -> tuple[str, ...]:
        """Every point that a worker comes by when nobody kills it."""
        if not self.points:
            found = self.folder / "points.txt"
            told = self.life(random.Random(0), Points(survey=found))
            assert not told, told
            self.points = tuple(sorted(set(found.read_text().split())))
        return self.points

    def trial(self, seed: int) -> tuple[int, int, str]:
        """One kill, the seed's."""
        rng = random.Random(seed)
        points = self.survey()
        target, turn = points[seed % len(points)], rng.choice((1, 1, 2, 3))
        told = self.killed_at(target, turn, rng)
        if told == NEVER and turn > 1:  # It does not come by so often.
            told = self.killed_at(target, 1, rng)
        return 1, int(bool(told)), f"killed at {target}: {told}" if told else ""

    def killed_at(self, point: str, turn: int, rng: random.Random | None = None) -> str:
        """What is wrong after a worker was killed where it came by for the n-th time."""
        return self.life(rng or random.Random(1), Points(point, turn))

    def life(self, rng: random.Random, points: Points) -> str:
        """What is wrong after a worker lived by these points and another took over; else nothing."""
        place = self.folder / "site"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(self.template.folder, place)
        began = time.monotonic()
        settings = load_settings(data_dir=place, **QUICK)  # type: ignore[arg-type]
        shared = Shared(fast(began))
        address = str(self.folder / f"ls-{os.getpid()}-{began}")
        server = _serve(shared, address)
        outside = _opened(settings, began, _Direct(shared))
        workers: list[Any] = []
        try:
            return self._lived(rng, points, settings, began, address, shared, outside, workers)
        finally:
            for one in workers:
                if one.is_alive():
                    os.kill(one.pid, signal.SIGKILL)
                one.join(timeout=10)
            outside.db.close()
            server.stop_event.set()
            server.listener.close()

    def _lived(
        self,
        rng: random.Random,
        points: Points,
        settings: Settings,
        began: float,
        address: str,
        shared: Shared,
        outside: Outside,
        workers: list[Any],
    ) -> str:
        def start(given: Points) -> Any:
            one = _fork.Process(target=_worker, args=(settings, began, address, given), daemon=True)
            one.start()
            workers.append(one)
            return one

        self._bring_in(outside)
        running = start(points)
        deadline = time.monotonic() + GIVE_UP_S
        export = ""
        while time.monotonic() < deadline:
            if not running.is_alive():
                if len(workers) > 1 or running.exitcode != -signal.SIGKILL:
                    log = (settings.data_dir / "worker.log").read_text(errors="replace")[-1500:]
                    return f"a worker that nobody killed ended with {running.exitcode}\n{log}"
                running = start(Points())
            with shared.lock:
                self._people(rng, shared.double)
            with outside.db.read() as session:
                counts = counts_by_state(session, self.template.project_id)
                others = session.scalars(select(JobRow).where(JobRow.kind.not_in(["sync", "upkeep"])))
                jobs = {row.id: row.state for row in others}
            states = {state.value: n for state, n in counts.items() if n}
            if not export and set(states) == {"resolved"}:
                with outside.db.write() as session:
                    export = start_delivery(outside, session, self.template.project_id, "jsonl", "t")
            if export and jobs.get(export) == "done" and set(jobs.values()) == {"done"}:
                break
            if "failed" in jobs.values():
                return f"a job failed: {jobs}"
            time.sleep(0.05)
        else:
            log = (settings.data_dir / "worker.log").read_text(errors="replace")[-1500:]
            return f"not done in {GIVE_UP_S:.0f} s: {states}, {jobs}\n{log}"
        if points.target and workers[0].exitcode != -signal.SIGKILL:
            return NEVER
        # Two more rounds over the lanes, so that what was in doubt is settled.
        self._rounds(outside, 3)
        os.kill(running.pid, signal.SIGTERM)
        running.join(timeout=30)
        results = check(outside, (*CHECKED, "I12", "I17"), settle_s=0)
        wrong = [f"{one.key}: {v.sentence}" for one in results for v in one.violations]
        return "\n".join(wrong[:8])

    def _rounds(self, outside: Outside, n: int) -> None:
        """Waits for so many rounds over the lanes."""
        seen: set[str] = set()
        deadline = time.monotonic() + 15
        while len(seen) < n and time.monotonic() < deadline:
            with outside.db.read() as session:
                row = session.get(JobRow, f"sync-{self.template.project_id}")
            if row is not None and row.state == "done":
                seen.add(row.engine_id)
            time.sleep(0.05)

    def _bring_in(self, outside: Outside) -> None:
        path = outside.settings.data_dir / "items.csv"
        rows = ["id,text", *(f"{i},text {i}" for i in range(ITEMS)), "0,text 0", "99,"]
        path.write_text("\n".join(rows) + "\n")
        with outside.db.write() as session:
            mapping = ColumnMapping(text="text", external_id="id")
            start_import(outside, session, self.template.project_id, path, path.name, mapping, "t")

    def _people(self, rng: random.Random, double: LabelStudioDouble) -> None:
        for task in list(double.tasks.values()):
            if task.is_labeled or rng.random() < 0.5:
                continue
            given = {one.completed_by for one in task.annotations.values()}
            # Adjudicators are the last account: whoever comes first there answers.
            free = [user for user in range(PEOPLE + 1, 0, -1) if user not in given]
            if free:
                double.answer(
                    task, free[0] if rng.random() < 0.5 else rng.choice(free), rng.choice(LABELS[:2])
                )


class _Direct:
    """The double from the process it lives in."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            with self._shared.lock:
                return getattr(self._shared.double, name)(*arguments, **named)

        return call


@contextmanager
def site(folder: Path) -> Iterator[Site]:
    """A place for trials; the folder must be empty."""
    template = Template(folder / "template")
    try:
        yield Site(folder, template)
    finally:
        template.close()
