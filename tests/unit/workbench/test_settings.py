import pytest

from workbench.errors import InvalidInput
from workbench.settings import load_settings


@pytest.fixture(autouse=True)
def bare(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


def test_the_databases_lie_beside_each_other(tmp_path):
    settings = load_settings(data_dir=tmp_path)
    assert settings.database_url == f"sqlite:///{tmp_path}/workbench.sqlite3"
    assert settings.engine_url == f"sqlite:///{tmp_path}/workbench-jobs.sqlite3"


def test_postgresql_is_one_for_both():
    url = "postgresql+psycopg://wb@db/wb"
    assert load_settings(database_url=url).engine_url == url


def test_arguments_beat_the_environment_which_beats_the_file(monkeypatch, tmp_path):
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "workbench.toml").write_text("port = 8001\npoll_seconds = 7\nchunk_items = 9\n")
    monkeypatch.setenv("WORKBENCH_PORT", "8002")
    monkeypatch.setenv("WORKBENCH_POLL_SECONDS", "8")
    settings = load_settings(port=8003)
    assert (settings.port, settings.poll_seconds, settings.chunk_items) == (8003, 8, 9)


@pytest.mark.parametrize(("name", "value"), [("port", "99999"), ("chunk_items", "0"), ("poll_seconds", "-1")])
def test_a_value_that_cannot_be_used_is_named(monkeypatch, name, value):
    monkeypatch.setenv(f"WORKBENCH_{name.upper()}", value)
    with pytest.raises(
        InvalidInput, match=rf"settings cannot be used: {name}: .*Mend configs/workbench\.toml"
    ):
        load_settings()


def test_an_unknown_name_is_named(tmp_path):
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "workbench.toml").write_text("prot = 8001\n")
    with pytest.raises(InvalidInput, match="prot"):
        load_settings()


def test_models_lie_in_the_data_folder_or_where_it_is_said(monkeypatch, tmp_path):
    assert load_settings(data_dir=tmp_path).model_folders == [tmp_path / "models"]
    monkeypatch.setenv("WORKBENCH_MODEL_FOLDERS", '["/srv/models", "/srv/more"]')
    assert [str(one) for one in load_settings().model_folders] == ["/srv/models", "/srv/more"]


def test_the_key_is_not_shown(monkeypatch):
    monkeypatch.setenv("WORKBENCH_SECRET_KEY", "0123456789-very-secret")
    assert "very-secret" not in repr(load_settings())
