"""Consistent copies of the databases: SQLite's own backup, PostgreSQL's pg_dump."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import tempfile
from contextlib import closing
from pathlib import Path

from sqlalchemy.engine import URL, make_url

from workbench.db.engines import SCHEMA
from workbench.db.tenancy import ROLE
from workbench.errors import InvalidInput, Unavailable
from workbench.settings import Settings

ENGINE, APPLICATION, DUMP = "engine.sqlite3", "workbench.sqlite3", "database.dump"

# Roles belong to a whole server and are in no dump: a new server lacks the suppliers'.
_ROLE = f"""
DO $$ BEGIN CREATE ROLE {ROLE} NOLOGIN NOINHERIT; GRANT {ROLE} TO CURRENT_USER;
EXCEPTION WHEN duplicate_object OR insufficient_privilege THEN NULL; END $$;
"""
# Whatever release's tables are there: one that is newer than the dump has some that the dump does not name.
_EMPTY = f"""
BEGIN;
DROP SCHEMA IF EXISTS {SCHEMA} CASCADE;
DO $$ DECLARE statement text; BEGIN
FOR statement IN
  SELECT format('DROP TABLE IF EXISTS %s CASCADE', oid::regclass) FROM pg_class
    WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = pg_class.oid AND d.deptype = 'e')
  UNION ALL SELECT format('DROP ROUTINE %s CASCADE', oid::regprocedure) FROM pg_proc
    WHERE pronamespace = 'public'::regnamespace
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = pg_proc.oid AND d.deptype = 'e')
LOOP EXECUTE statement; END LOOP; END $$;
"""  # noqa: S608 - our own names


def is_sqlite(settings: Settings) -> bool:
    """Whether the installation's databases are two SQLite files."""
    return settings.database_url.startswith("sqlite")


def copy_databases(settings: Settings, folder: Path) -> list[str]:
    """The databases as they stand, into `folder`; the names of the files.

    The job engine's file comes first: a copy of ours that is younger only repeats steps, which changes
    nothing; a copy of the engine's that is younger would count steps as done whose rows are missing.
    """
    if not is_sqlite(settings):
        _pg_dump(settings.database_url, folder / DUMP)
        return [DUMP]
    names = []
    for url, name in ((settings.engine_url, ENGINE), (settings.database_url, APPLICATION)):
        source = Path(make_url(url).database or "")
        if source.is_file():
            _copy_sqlite(source, folder / name)
            names.append(name)
    return names


def _copy_sqlite(source: Path, target: Path) -> None:
    with (
        closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True, timeout=60)) as there,
        closing(sqlite3.connect(target)) as here,
    ):
        # In one go: from one moment, and writers need not wait (WAL).
        there.backup(here)
        here.execute("PRAGMA journal_mode=DELETE")


def check_copy(path: Path) -> str:
    """What is wrong with a copied database; empty where nothing is."""
    if path.name == DUMP:
        listed = _run(["pg_restore", "--list", str(path)], {}, "the dump cannot be read")
        return "" if "TABLE DATA" in listed else "the dump holds no tables"
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as database:
            (found,) = database.execute("PRAGMA integrity_check").fetchone()
            orphans = database.execute("PRAGMA foreign_key_check").fetchone()
    except sqlite3.DatabaseError as problem:
        return f"it is no readable database ({problem})"
    if found != "ok":
        return f"its pages are damaged ({found})"
    return "rows point at rows that are not there" if orphans else ""


def put_back(settings: Settings, folder: Path, names: list[str]) -> None:
    """Put copied databases in the place of the installation's own; these must be out of the way."""
    if not is_sqlite(settings):
        if DUMP not in names:
            raise InvalidInput(
                "this back-up holds SQLite files, the installation's database is PostgreSQL; restore it into "
                "a data folder without WORKBENCH_DATABASE_URL"
            )
        _pg_restore(settings.database_url, folder / DUMP, settings.data_dir)
        return
    if APPLICATION not in names:
        raise InvalidInput(
            "this back-up was made of PostgreSQL; set WORKBENCH_DATABASE_URL to an empty PostgreSQL database"
        )
    # Ours last: where it lies, the restore was finished.
    for url, name in ((settings.engine_url, ENGINE), (settings.database_url, APPLICATION)):
        if name in names:
            _place(folder / name, Path(make_url(url).database or ""))


def _place(source: Path, target: Path) -> None:
    """Copy a file so that it is there whole or not at all, whenever the power goes."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.partial")
    shutil.copyfile(source, partial)
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(target)


def _pg_dump(url: str, target: Path) -> None:
    address, environment = _address(url)
    command = ["pg_dump", "--format=custom", "--no-owner", "--file", str(target), address]
    _run(command, environment, "PostgreSQL could not be dumped")


def _pg_restore(url: str, source: Path, scratch: Path) -> None:
    address, environment = _address(url)
    what = "the dump could not be restored, nothing was changed"
    psql = ["psql", "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--dbname", address]
    with tempfile.TemporaryDirectory(dir=scratch, prefix=".restore-") as folder:
        script = Path(folder) / "script.sql"
        _run(["pg_restore", "--no-owner", "--file", str(script), str(source)], {}, "the dump cannot be read")
        _run([*psql, "--command", _ROLE], environment, what)
        # All in one transaction: whatever goes wrong, what is there stays.
        done = ["--command", _EMPTY, "--file", str(script), "--command", "COMMIT"]
        _run([*psql, *done], environment, what)


def _address(url: str) -> tuple[str, dict[str, str]]:
    """The database's address without its password, which must not stand in a list of processes."""
    parts = make_url(url)
    environment = {"PGPASSWORD": parts.password} if parts.password else {}
    plain = URL.create(
        "postgresql",
        username=parts.username,
        host=parts.host,
        port=parts.port,
        database=parts.database,
        query=parts.query,
    )
    return plain.render_as_string(hide_password=False), environment


def _run(command: list[str], environment: dict[str, str], what: str) -> str:
    if shutil.which(command[0]) is None:
        raise Unavailable(
            f"{command[0]} is missing: install PostgreSQL's client programs (Debian: apt install "
            "postgresql-client), of the server's version or newer"
        )
    done = subprocess.run(  # noqa: S603 - fixed programs, arguments as a list
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        # What follows the error itself are the words of a statement.
        lines = [line for line in lines if "error:" in line.lower()] or lines
        raise Unavailable(f"{what}: {lines[-1] if lines else f'exit status {done.returncode}'}")
    return done.stdout
