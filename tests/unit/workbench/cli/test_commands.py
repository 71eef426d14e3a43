"""The command line: what it prints, its exit codes, and one sentence for every mistake."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from integrations.errors import IntegrationError
from models.errors import ModelUnavailable
from routing.errors import PolicyInvalid
from workbench.cli import main as cli
from workbench.db import migrate
from workbench.db.database import Database
from workbench.settings import load_settings

ROOT = Path(__file__).parents[4]
DOCUMENT = (
    "id: spam\ntitle: Spam\nlabels: [{value: spam}, {value: ham}]\npools: [{id: readers, price: 0.08}]\n"
)
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`workbench` with a data folder of its own: exit code, standard output, standard error."""
    monkeypatch.delenv("WORKBENCH_DEBUG", raising=False)
    monkeypatch.delenv("LABEL_STUDIO_TOKEN", raising=False)
    monkeypatch.setenv("WORKBENCH_DATA_DIR", str(tmp_path / "data"))

    def command(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["workbench", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            cli.main()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        out, err = capsys.readouterr()
        return code, out, err

    return command


@pytest.fixture
def ready(run: Run, tmp_path: Path) -> Run:
    """The same on an installation that has one project."""
    settings = load_settings(data_dir=tmp_path / "data")
    migrate.upgrade(settings)
    (tmp_path / "p.yaml").write_text(DOCUMENT, "utf-8")
    assert run("project", "create", "-f", tmp_path / "p.yaml")[0] == 0
    return run


def test_version_is_quick_and_loads_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['workbench', 'version', '--json']\n"
        "from workbench.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit as ended:\n    assert not ended.code\n"
        "heavy = {'torch', 'transformers', 'sqlalchemy', 'fastapi', 'dbos', 'label_studio_sdk'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["python"].startswith("3.")


def test_the_entry_point_is_this_one() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]
    assert scripts["workbench"] == "workbench.cli.main:main"


def test_init_makes_an_admin_once(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("init", "--json")
    made = json.loads(out)
    assert code == 0
    assert made["created"]
    assert len(made["password"]) == 20
    assert (tmp_path / "data" / "secret.key").stat().st_mode & 0o077 == 0
    code, out, _ = run("init", "--json")
    assert (code, json.loads(out)["created"]) == (0, False)
    assert "password" not in json.loads(out)


def test_init_takes_a_password_from_standard_input(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))
    code, _, err = run("init", "--password-stdin")
    assert (code, err) == (1, "error: choose a password of 10 to 200 characters\n")
    monkeypatch.setattr("sys.stdin", io.StringIO("a long enough password\n"))
    code, out, _ = run("init", "--email", "me@example.org", "--password-stdin")
    assert code == 0
    assert out.splitlines()[-1].endswith(" as me@example.org")
    assert "a long enough password" not in out


def test_without_installation_every_command_says_how_to_make_one(run: Run) -> None:
    for arguments in (
        ["project", "list"],
        ["ls", "status"],
        ["model", "list", "-p", "x"],
        ["serve"],
        ["db", "check"],
    ):
        code, out, err = run(*arguments)
        assert code == 1
        assert out == ""
        assert err.startswith("error: there is no workbench in ")
        assert "workbench init" in err


def test_create_apply_show_list(ready: Run, tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    assert json.loads(ready("project", "apply", "-f", file, "--json")[1])["changed"] is False
    file.write_text(DOCUMENT.replace("title: Spam", "title: Junk"), "utf-8")
    assert "would change" in ready("project", "apply", "-f", file, "--dry-run")[1]
    code, out, _ = ready("project", "apply", "-f", file)
    assert code == 0
    assert 'title: "Spam" → "Junk"' in out
    assert json.loads(ready("project", "list", "--json")[1])[0]["title"] == "Junk"
    shown = json.loads(ready("project", "show", "spam", "--json")[1])
    assert shown["specification"]["title"] == "Junk"
    assert "title: Junk" in ready("project", "show", "spam")[1]
    assert json.loads(ready("project", "pause", "spam", "--json")[1])["state"] == "paused"
    assert json.loads(ready("project", "schema")[1])["title"] == "Workbench project"
    assert "valid" in ready("project", "check", "-f", file)[1]


def test_errors_are_one_line_each_and_exit_1(ready: Run, tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    code, _, err = ready("project", "create", "-f", file)
    assert (code, err.count("\n")) == (1, 1)
    assert err.startswith("error: there is a project `spam` already")
    file.write_text(DOCUMENT + "titel: x\nlane_limit: many\n", "utf-8")
    code, out, err = ready("project", "apply", "-f", file)
    assert (code, out) == (1, "")
    assert err.splitlines() == [
        "error: p.yaml:5: titel: is not a key of this part; did you mean `title`?",
        "error: p.yaml:6: lane_limit: must be a whole number",
    ]
    assert "no project `spm`; did you mean `spam`" in ready("project", "show", "spm")[2]
    assert "there is no file" in ready("item", "import", tmp_path / "nope.csv", "-p", "spam")[2]
    assert "there is no folder" in ready("model", "register", tmp_path / "nope", "-p", "spam")[2]
    assert (
        "write MODEL_LABEL=PROJECT_LABEL"
        in ready("model", "register", tmp_path, "-p", "spam", "--map", "x")[2]
    )
    assert (
        "has no model version toxic@3; there are: none"
        in ready("model", "promote", "toxic@3", "-p", "spam")[2]
    )
    assert "no token: put it into LABEL_STUDIO_TOKEN" in ready("ls", "connect", "http://127.0.0.1:9")[2]
    assert (
        "there is no user nobody@example.org" in ready("token", "create", "--user", "nobody@example.org")[2]
    )


def test_users_and_tokens(ready: Run) -> None:
    made = json.loads(ready("user", "create", "a@example.org", "--role", "pm", "--json")[1])
    assert len(made["password"]) == 20
    assert "has a user already" in ready("user", "create", "a@example.org")[2]
    assert "there is no role" in ready("user", "create", "b@example.org", "--role", "boss")[2]
    assert json.loads(ready("token", "create", "--user", "a@example.org", "--json")[1])["token"].startswith(
        "wb_"
    )


def test_usage_errors_exit_2(run: Run) -> None:
    assert run("projct")[0] == 2
    assert run("project", "apply")[0] == 2
    assert run("serve", "--port", "99999")[0] == 2


def test_import_is_asked_for_once_and_waits_for_a_worker(ready: Run, tmp_path: Path) -> None:
    file = tmp_path / "items.csv"
    file.write_text("id,text\n1,hello\n", "utf-8")
    job = json.loads(ready("item", "import", file, "-p", "spam", "--no-wait", "--json")[1])
    assert (job["kind"], job["state"]) == ("import", "queued")
    code, _, err = ready("item", "import", file, "-p", "spam", "--text", "txt", "--no-wait")
    assert code == 1
    assert 'no column "txt"' in err


@pytest.mark.parametrize(
    "problem",
    [IntegrationError("Label Studio is down; start it"), ModelUnavailable("no model; add one"), PolicyInvalid("rules", "empty")],
)  # fmt: skip
def test_errors_of_the_libraries_are_one_line(
    run: Run, monkeypatch: pytest.MonkeyPatch, problem: Exception
) -> None:
    def fail(*_: Any) -> None:
        raise problem

    monkeypatch.setattr("workbench.cli.projects._read", fail)
    code, _, err = run("project", "check", "-f", "x.yaml")
    assert (code, err) == (1, f"error: {problem}\n")
    monkeypatch.setenv("WORKBENCH_DEBUG", "1")
    with pytest.raises(type(problem)):
        run("project", "check", "-f", "x.yaml")


def test_an_unexpected_error_is_a_sentence_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("workbench.cli.projects._read", fail)
    code, _, err = run("project", "check", "-f", "x.yaml")
    assert code == 1
    assert err.startswith("error: ZeroDivisionError: division by zero; this should not happen")


def test_a_newer_and_an_older_database_are_told_apart(ready: Run, tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path / "data")
    database = Database(settings.database_url)
    with database.writer.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    code, out, _ = ready("db", "check", "--json")
    assert code == 3
    assert "newer release" in json.loads(out)["problem"]
    code, _, err = ready("project", "list")
    assert code == 1
    assert "written by a newer release" in err
    database = Database(settings.database_url)
    with database.writer.begin() as connection:
        connection.exec_driver_sql("DELETE FROM alembic_version")
    database.close()
    assert "bring it up to date: workbench db upgrade" in ready("project", "list")[2]


def test_bad_settings_are_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_PORT", "eighty")
    code, _, err = run("project", "list")
    assert code == 1
    assert err.startswith("error: settings cannot be used: port: ")


def test_demo_hands_its_options_on(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen = []
    monkeypatch.setattr("workbench.demo.main.run_demo", lambda options: seen.append(options) or 3)
    code, _, _ = run("demo", "--exit", "--json", "--items", "400", "--port", "8123", "--data-dir", tmp_path)
    (options,) = seen
    assert code == 3
    assert (options.exit_when_done, options.as_json, options.fresh) == (True, True, False)
    assert (options.items, options.port, options.label_studio_port, options.data_dir) == (
        400,
        8123,
        8080,
        tmp_path,
    )


def test_a_plan_is_shown_and_applied_by_its_digest(ready: Run, tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    assert ready("project", "plan", file, "--exit-code")[0] == 0
    file.write_text(DOCUMENT.replace("title: Spam", "title: Ham"), "utf-8")
    code, out, _ = ready("project", "plan", file)
    assert (code, '~ title: "Spam" → "Ham"' in out) == (0, True)
    code, out, _ = ready("project", "plan", file, "--exit-code", "--json")
    assert code == 4
    digest = json.loads(out)["digest"]
    assert ready("project", "apply", "-f", file, "--plan", digest)[0] == 0
    code, _, err = ready("project", "apply", "-f", file, "--plan", digest)
    assert (code, "changed since the plan was made" in err) == (1, True)
    file.write_text(DOCUMENT + "server: nowhere\n", "utf-8")
    code, out, _ = ready("project", "plan", file)
    assert (code, "cannot be applied" in out) == (1, True)


def test_verify_names_what_is_not_there(ready: Run, tmp_path: Path) -> None:
    assert "no export nothing" in ready("export", "verify", "nothing")[2]
    assert "no manifest.json" in ready("export", "verify", tmp_path)[2]


@pytest.mark.parametrize(
    "words",
    [
        ("recall", "nothing", "--reason", "a test"),
        ("reroute", "nothing", "--pool", "readers", "--reason", "a test"),
        ("erase", "nothing", "--reason", "a test", "--yes"),
    ],
    ids=lambda words: words[0],
)
def test_items_are_taken_back_and_erased_by_command(ready: Run, words: tuple[str, ...]) -> None:
    code, out, err = ready("item", *words, "--project", "spam")
    assert "unexpected" not in err
    assert "should not happen" not in err
    assert (code, bool(err)) == (1, True) or out
