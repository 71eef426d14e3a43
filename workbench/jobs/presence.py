"""A worker's presence: its signs of life, its part in leading, and what the leader does about the dead."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version

import structlog

from workbench.db.fence import Fenced, fenced_by
from workbench.errors import Conflict, Unavailable, WorkbenchError
from workbench.jobs import workers
from workbench.outside import Outside

log = structlog.get_logger(__name__)


class Presence:
    """One worker among others, until it leaves or is declared dead.

    Args:
        outside: Settings and database.
        name: Unique among workers, and the same after a restart.
        tend: What the leader does at every beat, given the names of the living: nobody is without an owner.
    """

    def __init__(self, outside: Outside, name: str, tend: Callable[[set[str]], None]) -> None:
        self.outside = outside
        self.me = workers.myself(name, client=outside.db.client, version=_version())
        self.epoch = 0
        self.lost = threading.Event()
        self._tend = tend
        self._stop = threading.Event()
        self._lease: int | None = None
        self._lease_ends = 0.0
        self._led_beats = 0
        self._thread = threading.Thread(target=self._live, name="presence", daemon=True)

    def enter(self, *, patience_s: float) -> None:
        """Take this worker's name, and live from now on.

        Raises:
            Conflict: Another process of the name lives.
        """
        ends = time.monotonic() + patience_s
        while True:
            with self.outside.db.beside() as session:
                epoch = workers.enter(session, self.me, silent_s=self.silent_s)
            if epoch is not None:
                break
            if time.monotonic() > ends:
                raise Conflict(
                    f"a worker named {self.me.name} runs already; give this one another: --name NAME"
                )
            time.sleep(0.5)
        self.epoch = epoch
        self._beat()
        self._thread.start()

    def leave(self) -> None:
        """Say goodbye; the lead is free at once."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)
        try:
            with self.outside.db.beside() as session:
                workers.leave(session, self.me.name, self.epoch)
        except Unavailable as problem:
            log.warning("could not say goodbye", problem=str(problem))

    @property
    def silent_s(self) -> float:
        """After so many seconds of silence a worker counts as dead."""
        return self.outside.settings.worker_silent_s

    @property
    def beat_s(self) -> float:
        """Seconds between two signs of life."""
        return self.silent_s / 4

    def leads(self) -> bool:
        """Whether this worker does what only one may do."""
        return self._lease is not None and time.monotonic() < self._lease_ends

    @contextmanager
    def leading(self) -> Iterator[None]:
        """What the block writes is refused, and the block left quietly, if somebody else leads by then."""
        number = self._lease or 0
        try:
            with fenced_by(lambda session: workers.holds_lease(session, workers.LEADER, number)):
                yield
        except Fenced:
            self._lease = None
            log.warning("somebody else leads by now", worker=self.me.name)

    def _live(self) -> None:
        while not self._stop.wait(self.beat_s):
            try:
                self._beat()
                if self.lost.is_set():
                    return
                if self.leads():
                    self._look_after_others()
            except Unavailable as problem:
                self._led_beats = 0
                log.warning("no sign of life could be given", worker=self.me.name, problem=str(problem))
            except Exception as problem:
                log.exception("a sign of life failed", worker=self.me.name, error=type(problem).__name__)

    def _beat(self) -> None:
        asked = time.monotonic()
        with self.outside.db.beside() as session:
            if not workers.beat(session, self.me.name, self.epoch):
                self._lease = None
                self.lost.set()
                log.warning("this worker was declared dead; it starts again", worker=self.me.name)
                return
            holder = workers.holder(self.me.name, self.epoch)
            # Shorter than the silence of the dead: nobody leads twice.
            lease = workers.take_lease(session, workers.LEADER, holder, seconds=self.silent_s * 0.75)
        self._led_beats = self._led_beats + 1 if lease is not None and lease == self._lease else 0
        if lease is not None and lease != self._lease:
            log.info("this worker leads", worker=self.me.name)
        self._lease, self._lease_ends = lease, asked + self.silent_s * 0.75

    def _look_after_others(self) -> None:
        db, now = self.outside.db, self.outside.now()
        # After a pause of the database everybody looks silent: let them speak first.
        silent_s = self.silent_s if self._led_beats > 1 else float("inf")
        with db.read() as session:
            gone = workers.gone_workers(session, self.me, silent_s=min(silent_s, 1e9))
        for worker in gone:
            try:
                with db.beside() as session:
                    workers.end_connections(session, worker.client)
            except (Unavailable, WorkbenchError):
                raise
            except Exception as problem:  # noqa: BLE001 - not ours to end; the database does it after a while
                log.warning("connections could not be ended", worker=worker.id, error=type(problem).__name__)
            with db.beside() as session:
                n = workers.declare_dead(session, worker, now=now)
            if n is not None:
                log.warning("a worker was declared dead", worker=worker.id, jobs=n)
        with db.read() as session:
            living = workers.names_of(workers.live_workers(session))
        self._tend(living)
        with db.beside() as session:
            workers.heal_deaths(session, now=now)
            workers.forget_workers(session)


def _version() -> str:
    try:
        return version("annotation-workbench")
    except PackageNotFoundError:
        return ""
