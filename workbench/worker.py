"""The worker process: runs jobs, loads models, talks to Label Studio."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
from urllib.parse import quote

import structlog

from workbench import logs
from workbench.adapters import label_studio_clients, model_loader
from workbench.db import migrate
from workbench.db.urls import is_sqlite
from workbench.decisions.jobs import JOB as DECIDE_JOB
from workbench.deliveries.jobs import JOB as EXPORT_JOB
from workbench.errors import Conflict
from workbench.items.jobs import JOB as IMPORT_JOB
from workbench.jobs.engine import Engine
from workbench.labeling.jobs import JOB as SYNC_JOB
from workbench.labels.jobs import JOB as RESOLVE_JOB
from workbench.outside import outside_of
from workbench.prelabeling.jobs import JOB as PRELABEL_JOB
from workbench.processes import CHILD, Lock, die_with_parent
from workbench.pump import beat_until
from workbench.settings import Settings, load_settings
from workbench.training.jobs import JOB as TRAIN_JOB
from workbench.upkeep.jobs import ERASE_JOB
from workbench.upkeep.jobs import JOB as UPKEEP_JOB

log = structlog.get_logger(__name__)

_MOST = 100
JOBS = (
    *(IMPORT_JOB, PRELABEL_JOB, DECIDE_JOB, SYNC_JOB, RESOLVE_JOB, TRAIN_JOB, EXPORT_JOB),
    *(UPKEEP_JOB, ERASE_JOB),
)


def work(settings: Settings, *, name: str = "") -> None:
    """Run jobs until told to stop (SIGTERM or SIGINT); a step that runs is let finish.

    On PostgreSQL any number of workers share the jobs. One that others took for dead starts again by itself.

    Args:
        settings: The installation.
        name: Unique among workers and the same after a restart; empty: this host's name and a number.

    Raises:
        Conflict: On SQLite: another worker runs on this data folder; else: one of this name runs.
        InvalidInput: The database was written by a newer release.
    """
    logs.configure_logs()
    migrate.upgrade(settings)
    lock, name = _place(settings, name)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    outside = outside_of(
        settings, label_studio=label_studio_clients(settings), load_model=model_loader(settings)
    )
    engine = Engine(outside, JOBS, name=name)
    # After a crash of its host one of the same name may still count as living for a while.
    engine.start(patience_s=settings.worker_silent_s + 5)
    log.info("worker started", pid=os.getpid(), name=name)
    try:
        beat_until(stop, outside, engine)
        if engine.presence.lost.is_set():
            _start_again()
    finally:
        engine.stop()
        outside.db.close()
        lock.release()
        log.info("worker stopped", name=name)
    if any(not one.daemon for one in threading.enumerate() if one is not threading.main_thread()):
        # Runs that were dropped wait for an outcome that may take long; nothing of theirs is left to do.
        _flush()
        os._exit(0)


def _place(settings: Settings, name: str) -> tuple[Lock, str]:
    """The lock file and the name of this worker: the first that is free on this data folder."""
    folder = settings.data_dir
    if is_sqlite(settings.database_url):
        return Lock(folder / "worker.lock", "a worker"), name or "worker-1"
    if name:
        return Lock(folder / f"worker-{quote(name, safe='')}.lock", f"a worker named {name}"), name
    for number in range(1, _MOST):
        with contextlib.suppress(Conflict):
            path = folder / ("worker.lock" if number == 1 else f"worker-{number}.lock")
            return Lock(path, "a worker"), f"{socket.gethostname()[:60]}-{number}"
    raise Conflict(f"{_MOST - 1} workers run on this data folder already; give this one a name: --name NAME")


def _start_again() -> None:
    """Begin anew in this process: whatever still runs in it is of a worker that counts as dead."""
    log.warning("this worker starts again", pid=os.getpid())
    _flush()
    os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - the command that started it


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()


def main() -> None:
    """Entry point of the child that `workbench serve` starts."""
    if parent := os.environ.get(CHILD):
        die_with_parent(int(parent))
    work(load_settings())


if __name__ == "__main__":
    main()
