"""Back-ups of a living installation, their check, and the way back."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import func, select
from typer.testing import CliRunner

from tests.factories import make_items, make_project
from tests.unit.workbench.items.running import Run
from workbench.activity.tables import EventRow
from workbench.cli.main import app
from workbench.db import migrate
from workbench.db.database import job_engine_database
from workbench.errors import Conflict, InvalidInput
from workbench.incidents.store import open_incidents
from workbench.items.tables import ItemRow
from workbench.outside import Outside, outside_of
from workbench.processes import Lock
from workbench.settings import Settings, load_settings
from workbench.upkeep import backup as backups
from workbench.upkeep.backup import backups_in, make_backup, read_backup, verify_backup
from workbench.upkeep.copying import is_sqlite
from workbench.upkeep.domain import Chore, ChoreState
from workbench.upkeep.jobs import JOB, ask_for_chores
from workbench.upkeep.restore import restore
from workbench.upkeep.service import back_up
from workbench.upkeep.store import newest

SQLITE = pytest.mark.database("sqlite")


@pytest.fixture
def home(tmp_path: Path, clock, database_url: str, request, monkeypatch) -> Iterator[Outside]:
    """An installation with items, files and a job engine's database."""
    if database_url:
        programs = request.getfixturevalue("postgresql_server").programs
        monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    settings = load_settings(data_dir=tmp_path / "data", database_url=database_url)
    migrate.upgrade(settings)
    made = outside_of(settings, label_studio=lambda url, token: None, now=clock)  # type: ignore[arg-type,return-value]
    with made.db.write() as session:
        make_items(session, make_project(session), 20)
    if not database_url:
        engine = job_engine_database(settings.engine_url)
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE steps (id INTEGER)")
        engine.dispose()
    upload = settings.data_dir / "uploads" / "u1" / "posts.csv"
    upload.parent.mkdir(parents=True)
    upload.write_text("id,text\n1,hello\n", "utf-8")
    yield made
    made.db.close()


def items_in(settings: Settings) -> int:
    from workbench.db.database import Database

    database = Database(settings.database_url)
    try:
        with database.read() as session:
            return session.scalar(select(func.count(ItemRow.id))) or 0
    finally:
        database.close()


def add_items(outside: Outside, key: str, count: int) -> None:
    with outside.db.write() as session:
        make_items(session, make_project(session, key), count)


def test_there_and_back(home: Outside, clock):
    made = back_up(home, by="pm@example.org")
    assert verify_backup(made) == []
    names = ["engine.sqlite3", "workbench.sqlite3"] if is_sqlite(home.settings) else ["database.dump"]
    assert made.manifest["databases"] == names
    assert not (made.folder / "secret.key").exists()
    add_items(home, "later", 5)
    assert items_in(home.settings) == 25
    home.db.close()
    with pytest.raises(Conflict, match="--replace"):
        restore(home.settings, made, now=clock(), by="cli")
    done = restore(home.settings, made, now=clock(), by="cli", replace=True)
    assert items_in(home.settings) == 20
    assert (home.settings.data_dir / "uploads" / "u1" / "posts.csv").read_text("utf-8").startswith("id,text")
    # The state before the restore is whole, beside it.
    assert done.kept is not None
    if is_sqlite(home.settings):
        assert items_in(load_settings(data_dir=done.kept)) == 25
    with home.db.read() as session:
        assert [it.kind for it in open_incidents(session)] == ["database_restored"]
        assert session.scalars(select(EventRow.verb).order_by(EventRow.seq.desc())).first() == (
            "installation.restored"
        )


@pytest.mark.database("postgresql")
def test_from_before_an_upgrade(postgresql_server, empty_postgresql: str, tmp_path: Path, clock, monkeypatch):
    monkeypatch.setenv("PATH", f"{postgresql_server.programs}{os.pathsep}{os.environ['PATH']}")
    settings = load_settings(data_dir=tmp_path / "data", database_url=empty_postgresql)
    migrate.upgrade(settings, "0001")
    made = make_backup(settings, tmp_path / "backups", now=clock())
    # The newer release has tables that the dump does not name and that point at those it does.
    migrate.upgrade(settings)
    restore(settings, made, now=clock(), by="cli", replace=True)
    assert migrate.check(settings) == migrate.head()


@SQLITE
def test_into_an_empty_folder_paths_follow(home: Outside, clock, tmp_path: Path):
    from workbench.items.tables import ImportRow

    with home.db.write() as session:
        row = session.scalars(select(ImportRow)).first()
        row.path = str(home.settings.data_dir.resolve() / "uploads" / "u1" / "posts.csv")
    made = back_up(home, by="cli")
    elsewhere = load_settings(data_dir=tmp_path / "elsewhere")
    assert restore(elsewhere, made, now=clock(), by="cli").kept is None
    database = outside_of(elsewhere, label_studio=lambda url, token: None)  # type: ignore[arg-type,return-value]
    with database.db.read() as session:
        path = Path(session.scalars(select(ImportRow.path)).first())
    database.db.close()
    assert path == elsewhere.data_dir.resolve() / "uploads" / "u1" / "posts.csv"
    assert path.is_file()


@SQLITE
def test_a_back_up_during_writes_is_from_one_moment(home: Outside):
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            add_items(home, f"during-{number}", 10)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(5):
            made = make_backup(home.settings, home.settings.data_dir / "backups", now=home.now())
            assert verify_backup(made) == []
            with closing(sqlite3.connect(made.folder / "workbench.sqlite3")) as copy:
                (items,) = copy.execute("SELECT count(*) FROM items").fetchone()
                (counted,) = copy.execute("SELECT sum(items) FROM item_counts").fetchone()
            assert items == counted
            home.now.forward(seconds=2)  # type: ignore[attr-defined]
    finally:
        stop.set()
        writer.join()


@SQLITE
def test_damage_is_found_and_nothing_is_touched(home: Outside, clock):
    made = back_up(home, by="cli")
    home.db.close()
    path = made.folder / "workbench.sqlite3"
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.write_bytes(content)
    (made.folder / "files" / "uploads" / "u1" / "posts.csv").unlink()
    (made.folder / "extra").write_text("x", "utf-8")
    problems = verify_backup(made)
    assert len([one for one in problems if "workbench.sqlite3 was changed" in one]) == 1
    assert any("is missing" in one for one in problems)
    assert any("extra was added" in one for one in problems)
    with pytest.raises(InvalidInput, match="damaged, nothing was changed"):
        restore(home.settings, made, now=clock(), by="cli", replace=True)
    assert items_in(home.settings) == 20


@SQLITE
def test_not_while_a_worker_runs(home: Outside, clock):
    made = back_up(home, by="cli")
    lock = Lock(home.settings.data_dir / "worker.lock", "a worker")
    with pytest.raises(Conflict, match="a worker already runs"):
        restore(home.settings, made, now=clock(), by="cli", replace=True)
    lock.release()
    named = Lock(home.settings.data_dir / "worker-host-2.lock", "a worker")
    with pytest.raises(Conflict, match="a worker already runs"):
        restore(home.settings, made, now=clock(), by="cli", replace=True)
    named.release()


@SQLITE
def test_one_at_a_time(home: Outside):
    lock = Lock(home.settings.data_dir / "backup.lock", "a back-up")
    with pytest.raises(Conflict, match="a back-up already runs"):
        back_up(home, by="cli")
    lock.release()


def test_a_folder_that_is_no_back_up(tmp_path: Path):
    with pytest.raises(InvalidInput, match="is no back-up"):
        read_backup(tmp_path)
    (tmp_path / "manifest.json").write_text("[]", "utf-8")
    with pytest.raises(InvalidInput, match="is no back-up"):
        read_backup(tmp_path)


@SQLITE
def test_a_full_disk_leaves_no_half(home: Outside, monkeypatch):
    def full(settings: Settings, folder: Path) -> list[str]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(backups.copying, "copy_databases", full)
    with pytest.raises(InvalidInput, match=r"No space left on device.*--to"):
        back_up(home, by="cli")
    assert list((home.settings.data_dir / "backups").iterdir()) == []


@SQLITE
def test_killed_at_any_moment_there_is_a_whole_one_or_none(home: Outside, tmp_path: Path):
    home.db.close()
    folder = tmp_path / "there"
    command = [sys.executable, "-m", "workbench.cli.main", "--data-dir", str(home.settings.data_dir)]
    command += ["backup", "create", "--to", str(folder)]
    whole = 0
    for wait in (1.0, 1.4, 1.8):
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(wait)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        for one in backups_in(folder):
            assert verify_backup(one) == []
        whole = len(backups_in(folder))
    if whole == 0:
        assert subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode == 0
    assert not list(folder.glob("*.partial")) or whole


def test_each_night_once_and_missed_ones_are_told(home: Outside, clock):
    start = clock()
    clock.at = start.replace(hour=23)
    since = clock()
    with home.db.write() as session:
        assert ask_for_chores(session, home, since) == []
    clock.forward(hours=5)  # 04:00
    with home.db.write() as session:
        asked = ask_for_chores(session, home, since)
        assert len(asked) == len(Chore)
        assert ask_for_chores(session, home, since) == []
    due = clock().replace(hour=2, minute=30).isoformat()
    outcome = JOB.run(Run(home, twice=False), {"chore": "backup", "due_at": due})
    assert verify_backup(read_backup(home.settings.data_dir / "backups" / outcome["folder"])) == []
    clock.forward(days=3)
    with home.db.write() as session:
        ask_for_chores(session, home, since)
        from workbench.upkeep.tables import ChoreRow

        states = list(
            session.execute(
                select(ChoreRow.due_at, ChoreRow.state).where(ChoreRow.name == "backup").order_by("due_at")
            )
        )
    assert [state for _, state in states] == ["done", "missed", "missed", "running"]


def test_a_failed_night_is_an_incident_until_one_goes_well(home: Outside, clock, monkeypatch):
    due = clock().isoformat()

    def broken(settings: Settings, folder: Path) -> list[str]:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(backups.copying, "copy_databases", broken)
        with pytest.raises(InvalidInput):
            JOB.run(Run(home), {"chore": "backup", "due_at": due})
    with home.db.read() as session:
        assert [it.kind for it in open_incidents(session)] == ["backup_failed"]
        assert newest(session, Chore.BACKUP).state == ChoreState.FAILED
    clock.forward(days=1)
    JOB.run(Run(home), {"chore": "backup", "due_at": clock().isoformat()})
    with home.db.read() as session:
        assert open_incidents(session) == []


def test_the_commands(home: Outside, tmp_path: Path):
    home.db.close()

    def call(*words: str, folder: Path = home.settings.data_dir) -> tuple[int, object]:
        """The command in this process; an expected error is what it raises."""
        options = ["--data-dir", str(folder), "backup", *words]
        done = CliRunner().invoke(app, options, env={"WORKBENCH_DATABASE_URL": home.settings.database_url})
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            return 1, str(done.exception)
        return done.exit_code, json.loads(done.stdout) if done.stdout.startswith(("{", "[")) else done.stdout

    status, said = call("verify")
    assert (status, "make one with `workbench backup create`" in str(said)) == (1, True)
    status, made = call("create", "--json")
    assert status == 0
    assert call("verify", "--json")[1]["ok"] is True
    assert len(call("list", "--json")[1]) == 1
    status, said = call("restore", made["folder"])
    assert (status, "--replace" in said) == (1, True)
    status, done = call("restore", made["folder"], "--json", "--replace")
    assert status == 0, done
    assert call("verify", "--json")[1]["ok"] is True
