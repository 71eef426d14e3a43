"""PostgreSQL as this service needs it: addresses, what it is, the command line on it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.postgresql_server import PostgreSQLServer
from workbench.cli.checks import database
from workbench.db.database import Database
from workbench.db.server import server_of
from workbench.db.urls import database_address, shown_address
from workbench.errors import InvalidInput, Unavailable
from workbench.settings import load_settings

on_postgresql = pytest.mark.database("postgresql")


@pytest.mark.parametrize(
    "url", ["postgresql://u:geheim@h:1/d", "postgres://u:geheim@h:1/d", "postgresql+psycopg://u:geheim@h:1/d"]
)
def test_addresses_of_postgresql_get_our_driver_and_hide_their_password(url: str) -> None:
    assert database_address(url).drivername == "postgresql+psycopg"
    assert database_address(url).password == "geheim"
    assert "geheim" not in shown_address(url)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://u:geheim@h/d", "names mysql"),
        ("postgresql+asyncpg://u:geheim@h/d", "the driver asyncpg"),
        ("postgresql+psycopg2://u:geheim@h/d", "the driver psycopg2"),
        ("sqlite+aiosqlite:///geheim", "the driver aiosqlite"),
        ("geheim", "cannot be read"),
        ("postgresql://u:geheim@h:port/d", "cannot be read"),
    ],
)
def test_other_databases_are_refused_without_their_password(url: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words) as problem:
        Database(url)
    assert "geheim" not in str(problem.value)


def test_settings_show_no_password(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path, database_url="postgresql://u:geheim@h/d")
    assert "geheim" not in repr(settings)


@on_postgresql
def test_the_doctor_says_what_it_is(tmp_path: Path, database_kind: str, new_postgresql: str) -> None:
    settings = load_settings(data_dir=tmp_path, database_url=new_postgresql)
    [check] = database(settings)
    assert check.state == "ok"
    assert "UTF8, times in UTC" in check.sentence


@on_postgresql
@pytest.mark.parametrize(
    ("values", "words"),
    [
        (("14.9", 14, "UTF8", "UTC"), "15 or newer"),
        (("16.1", 16, "SQL_ASCII", "UTC"), "SQL_ASCII"),
        (("16.1", 16, "UTF8", "Asia/Kathmandu"), "Asia/Kathmandu"),
    ],
)
def test_what_does_not_fit_is_named(database_kind: str, values: tuple[object, ...], words: str) -> None:
    class Told:
        def execute(self, _statement: object) -> Told:
            return self

        def one(self) -> tuple[object, ...]:
            return values

    found = server_of(Told())  # type: ignore[arg-type]
    assert words in found.problem
    assert found.remedy
    assert not replace(found, problem="").problem


@on_postgresql
def test_nobody_is_there(tmp_path: Path, database_kind: str) -> None:
    url = "postgresql://u:geheim@127.0.0.1:9/d"
    settings = load_settings(data_dir=tmp_path, database_url=url)
    [check] = database(settings)
    assert check.state == "fail"
    assert "geheim" not in check.sentence
    with pytest.raises(Unavailable, match="cannot be reached") as problem, Database(url).read() as session:
        session.connection()
    assert "geheim" not in str(problem.value)


def _workbench(folder: Path, url: str, *words: str) -> tuple[int, str]:
    command: Sequence[str] = [sys.executable, "-m", "workbench.cli.main", "--data-dir", str(folder), *words]
    environment = {"WORKBENCH_DATABASE_URL": url, "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, check=False, input="pass word 12 3\n"
    )
    return done.returncode, done.stdout + done.stderr


@on_postgresql
def test_the_command_line(
    tmp_path: Path, database_kind: str, empty_postgresql: str, postgresql_server: PostgreSQLServer
) -> None:
    assert _workbench(tmp_path, empty_postgresql, "db", "check")[0] == 3
    code, said = _workbench(tmp_path, empty_postgresql, "init", "--password-stdin", "--json")
    assert code == 0, said
    assert _workbench(tmp_path, empty_postgresql, "db", "check")[0] == 0
    code, said = _workbench(tmp_path, empty_postgresql, "db", "upgrade", "--json")
    assert code == 0
    assert json.loads(said.splitlines()[-1])["current"] is True
