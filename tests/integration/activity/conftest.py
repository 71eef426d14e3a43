from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Clock
from workbench.db import migrate
from workbench.outside import Outside, outside_of
from workbench.settings import load_settings


@pytest.fixture
def migrated(tmp_path: Path, clock: Clock, database_url: str) -> Iterator[Outside]:
    """An installation made by the migrations, with the database's own guards."""
    settings = load_settings(data_dir=tmp_path / "migrated", database_url=database_url)
    migrate.upgrade(settings)
    made = outside_of(settings, label_studio=lambda url, token: None, now=clock)
    yield made
    made.db.close()
