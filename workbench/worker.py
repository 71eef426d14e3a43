"""The worker process: runs jobs, loads models, talks to Label Studio."""

from __future__ import annotations

import os
import signal
import threading

import structlog

from workbench import logs
from workbench.adapters import label_studio_clients, model_loader
from workbench.db import migrate
from workbench.decisions.jobs import JOB as DECIDE_JOB
from workbench.deliveries.jobs import JOB as EXPORT_JOB
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

log = structlog.get_logger(__name__)

JOBS = (IMPORT_JOB, PRELABEL_JOB, DECIDE_JOB, SYNC_JOB, RESOLVE_JOB, TRAIN_JOB, EXPORT_JOB)


def work(settings: Settings) -> None:
    """Run jobs until told to stop (SIGTERM or SIGINT); a step that runs is let finish.

    Raises:
        Conflict: Another worker runs on this data folder.
        InvalidInput: The database was written by a newer release.
    """
    logs.configure_logs()
    migrate.upgrade(settings)
    lock = Lock(settings.data_dir / "worker.lock", "a worker")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    outside = outside_of(
        settings, label_studio=label_studio_clients(settings), load_model=model_loader(settings)
    )
    engine = Engine(outside, JOBS)
    engine.start()
    log.info("worker started", pid=os.getpid())
    try:
        beat_until(stop, outside, engine)
    finally:
        engine.stop()
        outside.db.close()
        lock.release()
        log.info("worker stopped")


def main() -> None:
    """Entry point of the child that `workbench serve` starts."""
    if parent := os.environ.get(CHILD):
        die_with_parent(int(parent))
    work(load_settings())


if __name__ == "__main__":
    main()
