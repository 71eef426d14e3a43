"""Short form of the power cuts; `make chaos` opens tens of thousands of disk states."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.campaign.power import site


@pytest.fixture(autouse=True)
def strace() -> None:
    """Never left out in silence: what was not recorded was not tested."""
    assert shutil.which("strace"), "the power cuts are recorded with strace: as root, apt install strace"


def test_what_was_acknowledged_outlives_every_power_cut(tmp_path: Path):
    with site(tmp_path) as made:
        files = {getattr(step, "file", step) for step in made.recording.steps}
        assert {"workbench.sqlite3", "workbench.sqlite3-wal", "jobs.sqlite3-wal"} <= files
        for seed in range(10):
            states, failed, told = made.trial(seed)
            assert (states, failed) == (100, 0), told


@pytest.mark.parametrize("synchronous", ["NORMAL", "OFF"])
def test_a_database_that_does_not_wait_for_the_disk_is_found(tmp_path: Path, synchronous: str):
    with site(tmp_path, synchronous=synchronous) as made:
        _, failed, told = made.trial(1)
        assert failed > 10
        assert "acknowledged rows are gone" in told or "its rows are gone" in told or "damaged" in told
