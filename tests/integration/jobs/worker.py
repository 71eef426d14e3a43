"""A worker process for tests: `python -m tests.integration.jobs.worker DATA_DIR`, ended by SIGTERM."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from sqlalchemy import text

from workbench.errors import InvalidInput, Unavailable
from workbench.jobs.definition import JobKind, JobQueue, JobRun, Json
from workbench.jobs.engine import Engine
from workbench.outside import Outside, outside_of
from workbench.settings import load_settings


def note(outside: Outside, line: str) -> int:
    """How often this line stands in the notes, with this time."""
    path = outside.settings.data_dir / "notes.txt"
    with path.open("a") as file:
        file.write(line + "\n")
    return path.read_text().splitlines().count(line)


def effect(outside: Outside, job: str, n: int, pause_s: float) -> int:
    note(outside, f"{job} {n}")
    with outside.db.write() as session:
        session.execute(
            text("INSERT INTO effects VALUES (:job, :n) ON CONFLICT DO NOTHING"), {"job": job, "n": n}
        )
    time.sleep(pause_s)
    return n * n


def count(job: JobRun, arguments: dict[str, Any]) -> Json:
    total = 0
    for n in range(arguments["n"]):
        total += job.step(effect, job.job_id, n, arguments["pause_s"])
        job.progress(n + 1, arguments["n"], f"step {n}")
    return {"total": total}


def shaky_step(outside: Outside, job: str) -> str:
    if note(outside, job) < 3:
        raise Unavailable("Label Studio cannot be reached")
    return "fine"


def shaky(job: JobRun, arguments: dict[str, Any]) -> Json:
    return job.step(shaky_step, job.job_id)


def broken_step(outside: Outside, job: str) -> str:
    note(outside, f"{job} tried")
    if not (outside.settings.data_dir / "mended").exists():
        raise InvalidInput("the file has no column text; choose another column")
    return "mended"


def broken(job: JobRun, arguments: dict[str, Any]) -> Json:
    job.step(effect, job.job_id, 0, 0.0)
    return job.step(broken_step, job.job_id)


def wild_step(outside: Outside) -> None:
    raise ValueError("the secret text of an item")


def wild(job: JobRun, arguments: dict[str, Any]) -> Json:
    return job.step(wild_step)


def deadly_step(outside: Outside) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def deadly(job: JobRun, arguments: dict[str, Any]) -> Json:
    return job.step(deadly_step)


def pair_step(outside: Outside) -> Any:
    return (1, 2)


def pair(job: JobRun, arguments: dict[str, Any]) -> Json:
    return job.step(pair_step)


def pair_argument(job: JobRun, arguments: dict[str, Any]) -> Json:
    return job.step(effect, job.job_id, (1, 2), 0.0)  # type: ignore[arg-type]


KINDS = (
    JobKind("count", count, unit="steps"),
    JobKind("lanes", count, unit="steps", queue=JobQueue.LANES),
    JobKind("shaky", shaky, unit="steps"),
    JobKind("broken", broken, unit="steps"),
    JobKind("deadly", deadly, unit="steps"),
    JobKind("wild", wild, unit="steps"),
    JobKind("pair", pair, unit="steps"),
    JobKind("pair-argument", pair_argument, unit="steps"),
)


def no_label_studio(url: str, token: str) -> Any:
    raise AssertionError("no test of jobs speaks to Label Studio")


def main() -> None:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    outside = outside_of(load_settings(data_dir=Path(sys.argv[1])), label_studio=no_label_studio)
    engine = Engine(outside, KINDS)
    engine.start()
    print("ready", flush=True)
    stop.wait()
    engine.stop()
    outside.db.close()


if __name__ == "__main__":
    main()
