"""A disk that is full: a file system of 20 MB in memory, filled up while items are imported and worked on."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.exc import OperationalError

from tests.campaign.simulation import Life
from tests.campaign.template import Clock, Template
from tests.campaign.unruly import Unruly
from workbench.invariants.service import check

SIZE_MB = 20
WITHOUT_WORKER = {"I17"}


@contextmanager
def small_disk() -> Iterator[Path]:
    """A file system of its own; mounting one takes root."""
    folder = Path(tempfile.mkdtemp(prefix="small-disk-"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
        folder.rmdir()


def fill(folder: Path, leave: int) -> Path:
    """A file that leaves so many bytes free."""
    ballast = folder / "ballast"
    ballast.write_bytes(b"")
    size = shutil.disk_usage(folder).free - leave
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(size, 1))
    return ballast


def trial(seed: int) -> tuple[int, int, str]:
    """The line at work while the disk fills up at some point, then has room again."""
    rng = random.Random(seed)
    with small_disk() as folder:
        template = Template(folder / "template")
        clock = Clock()
        server = Unruly(clock.of_server, random.Random(seed + 1))
        with template.copy(clock, random.Random(seed + 2), server) as outside:
            life = Life(outside, clock, server, template, seed)
            life.is_wild = False
            failed = 0
            try:
                for _ in range(4):
                    ballast = fill(folder, rng.choice((0, 8_000, 40_000, 120_000)))
                    for name in ("import", "predict", "decide", "sync", "resolve"):
                        try:
                            life.bring_in() if name == "import" else life.work(name)
                        except (OperationalError, OSError):
                            # Full, not writable, no room for the shared memory: the job is tried again.
                            failed += 1
                    ballast.unlink()
                    for _ in range(3):
                        life.person()
                life.finish_imports()
                life.settle()
                results = check(outside, settle_s=0)
            finally:
                life.over()
        template.close()
        wrong = [v.sentence for one in results if one.key not in WITHOUT_WORKER for v in one.violations]
        if not failed:
            wrong.append("the disk was never full")
        return 1, int(bool(wrong)), f"seed {seed}: {wrong[:4]}" if wrong else ""
