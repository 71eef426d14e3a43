"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import settings

from tests.factories import NOW
from workbench.db.tables import all_tables
from workbench.outside import Outside, outside_of
from workbench.settings import load_settings

os.environ.setdefault("WORKBENCH_ALLOWED_HOSTS", '["testserver"]')  # what Starlette's client calls us

# How long a test takes says more about the machine than about the code.
settings.register_profile("workbench", deadline=None)
settings.load_profile("workbench")

pytest_plugins = ["tests.label_studio_server", "tests.postgresql_server"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--database",
        choices=("sqlite", "postgresql", "both"),
        default="both",
        help="what tests with a database run on (both: on each in turn)",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Whatever needs a database runs on each kind, unless it is marked for one."""
    if "database_kind" not in metafunc.fixturenames:
        return
    chosen = metafunc.config.getoption("--database")
    kinds = ["sqlite", "postgresql"] if chosen == "both" else [chosen]
    only = metafunc.definition.get_closest_marker("database")
    if only is not None:
        kinds = [kind for kind in kinds if kind in only.args]
    metafunc.parametrize("database_kind", kinds, indirect=True, scope="function")


@pytest.fixture
def database_kind(request: pytest.FixtureRequest) -> str:
    """`sqlite` or `postgresql`."""
    kind: str = request.param
    return kind


@pytest.fixture
def database_url(database_kind: str, request: pytest.FixtureRequest) -> str:
    """The address of an empty database with this release's schema; empty for SQLite in the data folder."""
    return request.getfixturevalue("new_postgresql") if database_kind == "postgresql" else ""


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
def outside(tmp_path: Path, clock: Clock, database_url: str) -> Iterator[Outside]:
    """An installation with an empty database: SQLite in a temporary folder, and PostgreSQL."""
    made = outside_of(
        load_settings(data_dir=tmp_path / "data", database_url=database_url),
        label_studio=_no_label_studio,
        now=clock,  # type: ignore[arg-type]
    )
    if not database_url:
        all_tables().create_all(made.db.writer)
    yield made
    made.db.close()
