"""Power cuts: what SQLite and the job engine wrote is recorded, and every disk state that may be left is opened.

`strace` notes each write, truncation and sync of a writing process. A power cut may happen after any of
them: what was synced is there, each later write of a file may be there, missing, or half there, in any
order. States drawn from these are rebuilt, opened as after a restart, and asked whether all that was
acknowledged is there and whether the two files agree.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

SECTOR = 512
ROWS = 60
_CALLS = "openat,close,pwrite64,write,ftruncate,fsync,fdatasync,unlink,unlinkat"
_LINE = re.compile(r"^(?:\[pid +\d+\] |\d+ +)?(\w+)\((.*)\) += (-?\d+)")
_SUFFIXES = ("workbench.sqlite3", "workbench.sqlite3-wal", "jobs.sqlite3", "jobs.sqlite3-wal")


@dataclass(frozen=True)
class Write:
    """One change of a file, not yet sure."""

    file: str
    at: int
    data: bytes
    is_cut: bool = False


@dataclass
class Recording:
    """What a process did to its files, in order.

    Attributes:
        steps: A write, the name of a file that was synced, or an acknowledgement `+N`.
    """

    steps: list[Write | str] = field(default_factory=list)


WRITER = """
import sys
from sqlalchemy import text
from workbench.db.database import Database, job_engine_database
folder, rows, synchronous = sys.argv[1], int(sys.argv[2]), sys.argv[3]
ours = Database(f"sqlite:///{folder}/workbench.sqlite3")
theirs = job_engine_database(f"sqlite:///{folder}/jobs.sqlite3")
from sqlalchemy import event
# Checkpoints come after a few pages rather than a thousand, so that some fall into the recording.
for engine in (ours.writer, theirs):
    event.listen(engine, "connect", lambda c, _: c.execute("PRAGMA wal_autocheckpoint=40"))
if synchronous != "FULL":
    event.listen(ours.writer, "connect", lambda c, _: c.execute(f"PRAGMA synchronous={synchronous}"))
with ours.write() as session:
    session.execute(text("CREATE TABLE IF NOT EXISTS kept (n INTEGER PRIMARY KEY, filler TEXT)"))
with theirs.begin() as connection:
    connection.execute(text("CREATE TABLE IF NOT EXISTS done (n INTEGER PRIMARY KEY)"))
import os
told = os.open(f"{folder}/acknowledged", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
os.write(told, b"+0\\n")
for n in range(1, rows + 1):
    with ours.write() as session:
        session.execute(text("INSERT INTO kept VALUES (:n, :filler)"), {"n": n, "filler": "x" * (n * 37 % 3000)})
    with theirs.begin() as connection:
        connection.execute(text("INSERT INTO done VALUES (:n)"), {"n": n})
    os.write(told, f"+{n}\\n".encode())
os._exit(0)
"""
"""Does what a step does: rows of ours committed, then the engine's note that the step is done, then the next."""


def record(folder: Path, *, synchronous: str = "FULL") -> Recording:
    """What a writer of `ROWS` acknowledged rows does to the disk."""
    data = folder / "data"
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir(parents=True)
    trace = folder / "trace"
    command = ["strace", "-f", "-xx", "-s", "200000", "-e", f"trace={_CALLS}", "-o", str(trace)]
    writer = [sys.executable, "-c", WRITER, str(data), str(ROWS), synchronous]
    root = str(Path(__file__).resolve().parents[2])
    subprocess.run([*command, *writer], check=True, env=os.environ | {"PYTHONPATH": root}, cwd=root)
    return read(trace)


def _bytes(quoted: str) -> bytes:
    return bytes.fromhex(quoted.replace("\\x", ""))


def read(trace: Path) -> Recording:
    """The recording in a trace of strace."""
    files: dict[int, str] = {}
    found = Recording()
    with trace.open(encoding="ascii", errors="replace") as lines:
        for line in lines:
            told = _LINE.match(line)
            if told is None or int(told[3]) < 0:
                continue
            _step(found, files, told[1], told[2], int(told[3]))
    return found


def _step(found: Recording, files: dict[int, str], call: str, given: str, result: int) -> None:
    if call == "openat":
        name = _bytes(given.split('"')[1]).decode(errors="replace").rpartition("/")[2]
        files[result] = name
        return
    number = re.match(r"(\d+)", given)
    name = files.get(int(number[1]), "") if number else ""
    if call == "close" and number:
        files.pop(int(number[1]), None)
    elif call == "pwrite64" and name in _SUFFIXES:
        data = _bytes(given.split('"')[1])
        found.steps.append(Write(name, int(given.rpartition(",")[2]), data))
    elif call == "ftruncate" and name in _SUFFIXES:
        found.steps.append(Write(name, int(given.rpartition(",")[2]), b"", is_cut=True))
    elif call in {"fsync", "fdatasync"} and name in _SUFFIXES:
        found.steps.append(name)
    elif call == "write" and name == "acknowledged":
        found.steps.append(_bytes(given.split('"')[1]).decode().strip())


def cut(recording: Recording, rng: random.Random) -> tuple[dict[str, bytearray], int]:
    """Files as a power cut at a moment of its choice may leave them, and the last row that was acknowledged."""
    moment = rng.randrange(1, len(recording.steps) + 1)
    disk: dict[str, bytearray] = {}
    waiting: list[Write] = []
    acknowledged = 0
    for step in recording.steps[:moment]:
        if isinstance(step, Write):
            waiting.append(step)
        elif step.startswith("+"):
            acknowledged = int(step[1:])
        else:
            for write in [one for one in waiting if one.file == step]:
                _apply(disk, write)
            waiting = [one for one in waiting if one.file != step]
    lost = rng.choice((0.0, 0.3, 0.7, 1.0))
    kept = [one for one in waiting if rng.random() >= lost]
    if rng.random() < 0.5:  # The disk writes in whatever order.
        rng.shuffle(kept)
    for write in kept:
        _apply(disk, _torn(write, rng))
    return disk, acknowledged


def _torn(write: Write, rng: random.Random) -> Write:
    """A write of which perhaps only some sectors came through."""
    if write.is_cut or len(write.data) <= SECTOR or rng.random() < 0.7:
        return write
    sectors = rng.randrange(1, len(write.data) // SECTOR + 1)
    return Write(write.file, write.at, write.data[: sectors * SECTOR])


def _apply(disk: dict[str, bytearray], write: Write) -> None:
    content = disk.setdefault(write.file, bytearray())
    if write.is_cut:
        del content[write.at :]
        return
    if len(content) < write.at:
        content.extend(bytes(write.at - len(content)))
    content[write.at : write.at + len(write.data)] = write.data


def judge(folder: Path, disk: dict[str, bytearray], acknowledged: int) -> str:
    """What is wrong when the files are opened after the cut; empty where nothing is."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, content in disk.items():
        (folder / name).write_bytes(content)
    try:
        ours = _numbers(folder / "workbench.sqlite3", "kept")
        theirs = _numbers(folder / "jobs.sqlite3", "done")
    except sqlite3.DatabaseError as problem:
        return f"damaged: {problem}"
    if missing := [n for n in range(1, acknowledged + 1) if n not in ours]:
        return f"{len(missing)} acknowledged rows are gone, the first is {missing[0]} of {acknowledged}"
    if ahead := sorted(theirs - ours):
        return f"the engine knows step {ahead[0]} as done and its rows are gone"
    return ""


def _numbers(path: Path, table: str) -> set[int]:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA mmap_size=0")
        if connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("quick_check")
        has = connection.execute("SELECT 1 FROM sqlite_master WHERE name=?", (table,)).fetchone()
        rows = connection.execute(f"SELECT n FROM {table}").fetchall() if has else []
    connection.close()
    return {n for (n,) in rows}


STATES_A_TRIAL = 100


@dataclass
class Site:
    """A recording and a place to rebuild disks in."""

    recording: Recording
    folder: Path

    def trial(self, seed: int) -> tuple[int, int, str]:
        """A hundred disk states."""
        rng = random.Random(seed)
        problems = []
        for _ in range(STATES_A_TRIAL):
            disk, acknowledged = cut(self.recording, rng)
            if told := judge(self.folder / "disk", disk, acknowledged):
                problems.append(told)
        return STATES_A_TRIAL, len(problems), f"seed {seed}: {problems[0]}" if problems else ""


@contextmanager
def site(folder: Path, *, synchronous: str = "FULL") -> Iterator[Site]:
    """A recording to cut; disks are rebuilt in memory where there is room for them."""
    memory = Path("/dev/shm")
    place = memory / f"power-{os.getpid()}" if memory.is_dir() else folder / "place"
    try:
        yield Site(record(folder, synchronous=synchronous), place)
    finally:
        shutil.rmtree(place, ignore_errors=True)
