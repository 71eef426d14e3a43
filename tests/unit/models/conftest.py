import shutil
from pathlib import Path

import pytest

from tests.unit.models.building import build_bert


@pytest.fixture(scope="session")
def bert_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_bert(tmp_path_factory.mktemp("bert") / "moods")


@pytest.fixture
def bert_folder(bert_source: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bert_source, tmp_path / "moods"))
