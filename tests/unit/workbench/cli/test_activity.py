"""`workbench activity` and `workbench why` on an installation of their own."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.factories import NOW, make_items, make_project
from workbench.activity.service import anchor_now
from workbench.activity.store import record
from workbench.cli import main as cli
from workbench.db import migrate
from workbench.outside import Outside, outside_of
from workbench.settings import load_settings

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Outside:
    monkeypatch.setenv("WORKBENCH_DATA_DIR", str(tmp_path))
    settings = load_settings(data_dir=tmp_path)
    migrate.upgrade(settings)
    made = outside_of(settings, label_studio=lambda url, token: None, now=lambda: NOW)  # type: ignore[arg-type,return-value]
    with made.db.write() as session:
        project = make_project(session)
        make_items(session, project, 1)
        for verb in ("project.created", "policy.activated", "model.promoted"):
            record(
                session, at=NOW, actor="ada@example.org", verb=verb, about="thing:1", project_id=project.id,
                after={"version": 1},
            )  # fmt: skip
    yield made
    made.db.close()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["workbench", *arguments])
        capsys.readouterr()
        try:
            cli.main()
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
        said = capsys.readouterr()
        return code, said.out, said.err

    return command


def test_a_record_that_holds(there: Outside, run: Run) -> None:
    code, out, _ = run("activity", "verify", "--json")
    value = json.loads(out)
    assert (code, value["ok"], value["events"]) == (0, True, 3)
    assert run("activity", "verify", "--deep", "--expect", value["anchor"])[0] == 0
    code, _, error = run("activity", "verify", "--expect", "nonsense")
    assert code == 1
    assert "SEQ:HASH" in error


def test_a_record_that_was_cut(there: Outside, run: Run) -> None:
    anchor = anchor_now(there, "test")
    with there.db.writer.begin() as connection:
        connection.execute(text("DROP TRIGGER activity_no_delete"))
        connection.execute(text("DELETE FROM activity WHERE seq = 3"))
    code, out, _ = run("activity", "verify")
    assert code == 3
    assert "events 3 to 3 at least were removed" in out
    (there.settings.data_dir / "activity-anchors.jsonl").unlink()
    assert run("activity", "verify")[0] == 0
    assert run("activity", "verify", "--expect", str(anchor))[0] == 3


def test_events_as_table_and_json(there: Outside, run: Run) -> None:
    code, out, _ = run("activity", "list", "--verb", "policy", "--project", "sentiment")
    assert code == 0
    assert "put a routing policy in force" in out
    assert "made the project" not in out
    value = json.loads(run("activity", "list", "--limit", "2", "--json")[1])
    assert [one["seq"] for one in value["events"]] == [3, 2]
    assert value["before"] == 2
    assert run("activity", "list", "--since", "someday")[0] == 1
    assert run("activity", "list", "--project", "nowhere")[0] == 1


def test_why_an_item_has_no_label_yet(there: Outside, run: Run) -> None:
    code, out, _ = run("why", "sentiment", "1-0")
    assert code == 0
    assert "import: by test, items.csv" in out
    assert json.loads(run("why", "sentiment", "1-0", "--json")[1])["steps"][-1]["kind"] == "import"
    assert "SELECT" in run("why", "sentiment", "1-0", "--sql")[1]
    code, _, error = run("why", "sentiment", "nothing")
    assert code == 1
    assert "no item nothing" in error
