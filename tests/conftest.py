"""Fixtures shared by all tests."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.factories import NOW
from workbench.db.tables import all_tables
from workbench.outside import Outside, outside_of
from workbench.settings import load_settings

pytest_plugins = ["tests.label_studio_server"]


class Clock:
    """A clock that moves when told to."""

    def __init__(self, at: datetime = NOW) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at

    def forward(self, **by: float) -> None:
        self.at += timedelta(**by)


def _no_label_studio(url: str, token: str) -> object:
    raise AssertionError("this test did not say which Label Studio to use")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def outside(tmp_path: Path, clock: Clock) -> Iterator[Outside]:
    """An installation with an empty database in a temporary folder."""
    made = outside_of(
        load_settings(data_dir=tmp_path / "data"),
        label_studio=_no_label_studio,
        now=clock,  # type: ignore[arg-type]
    )
    all_tables().create_all(made.db.writer)
    yield made
    made.db.close()
