"""Headers, assets, errors, limits, live streams."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import httpx
import pytest
import structlog
from sqlalchemy import text
from starlette.testclient import TestClient

from tests.factories import make_project
from tests.integration.web.clients import client_as
from workbench.app import create_app
from workbench.auth.access import Caller, public
from workbench.db.database import Database
from workbench.db.migrate import upgrade
from workbench.db.tables import all_tables
from workbench.logs import configure_logs
from workbench.outside import Outside
from workbench.settings import load_settings
from workbench.web import assets


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """What is logged, line by line; logging is as it was afterwards."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logs(stream)
    yield stream
    root.handlers, root.level = before, level
    structlog.reset_defaults()


def test_every_answer_carries_the_strict_headers(outside: Outside) -> None:
    client = client_as(outside)
    for path in ("/account", "/sign-in", "/nothing-here", "/api/v1/me", "/health", "/projects/none/people"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"


def test_pages_hold_no_inline_code_or_style(outside: Outside) -> None:
    import re

    client = client_as(outside)
    for path in ("/account", "/users", "/servers", "/sign-in"):
        text = client.get(path).text
        assert not re.search(
            r"\son\w+=|\sstyle=|javascript:|hx-on|https?://(?!127)", text.replace("http://127", "")
        )


def test_assets_are_addressed_by_content_and_never_asked_for_again(outside: Outside) -> None:
    client = client_as(outside)
    url = client.app.state.assets.url("app.css")
    answer = client.get(url)
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert hashlib.sha256(answer.content).hexdigest()[:12] in url
    assert answer.headers["content-encoding"] == "gzip"
    plain = client.get(url, headers={"Accept-Encoding": "identity"})
    assert plain.content == answer.content
    assert client.get("/assets/app.000000000000.css").status_code == 404
    assert client.get("/assets/../../app.py").status_code == 404


def test_vega_is_the_one_of_its_package_and_cached(outside: Outside) -> None:
    app = create_app(outside)
    client = TestClient(app)
    answer = client.get(app.state.assets.url("vega.js"))
    assert b"window.vegaEmbed" in answer.content
    assert len(gzip.compress(answer.content)) < 400_000


def test_htmx_is_the_script_that_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert b"htmx" in assets.htmx()
    monkeypatch.setattr(assets, "HTMX_SHA256", {})
    with pytest.raises(Exception, match="not the one that was checked"):
        assets.htmx()


def test_an_unexpected_failure_tells_a_number_and_logs_no_text(outside: Outside, logged: io.StringIO) -> None:
    client = client_as(outside)

    @client.app.get("/break")
    def broken(caller: Annotated[Caller, public()]) -> None:
        raise ValueError("secret words of an item")

    answer = client.get("/break")
    assert answer.status_code == 500
    assert "Something broke here" in answer.text
    assert "secret words" not in answer.text + logged.getvalue()
    assert "Traceback" not in answer.text
    line = next(line for line in map(json.loads, logged.getvalue().splitlines()) if "failure" in line)
    assert line["failure"] in answer.text
    assert line["error"] == "ValueError"


def test_programs_get_problem_json(outside: Outside) -> None:
    with outside.db.write() as session:
        make_project(session)
    client = client_as(outside)
    answer = client.get("/api/v1/projects/none/people")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == 404
    assert "no project 'none'" in answer.json()["detail"]
    invalid = client.post("/api/v1/projects/sentiment/prices", json={"prize": "hunter2"})
    assert invalid.status_code == 422
    assert "hunter2" not in invalid.text
    assert {error["where"] for error in invalid.json()["errors"]} >= {"pool", "unit", "prize"}


def test_large_bodies_are_refused(outside: Outside) -> None:
    client = client_as(outside)
    answer = client.post("/api/v1/servers", content=b"x" * (2 * 1024 * 1024 + 1))
    assert answer.status_code == 413
    assert "larger than 2 MB" in answer.json()["detail"]

    def endless():
        for _ in range(40):
            yield b"x" * 65536

    streamed = client.post("/api/v1/servers", content=endless(), headers={"Content-Type": "application/json"})
    assert streamed.status_code == 413


def test_health_tells_live_from_ready(outside: Outside, tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path / "upgraded")
    upgrade(settings)
    there = replace(outside, settings=settings, db=Database(settings.database_url))
    client = TestClient(create_app(there))
    assert client.get("/health").json() == {"status": "live"}
    assert client.get("/health/ready").json() == {"status": "ready", "database": "ok"}
    with there.db.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = 'other'"))
    answer = client.get("/health/ready")
    assert answer.status_code == 503
    assert "workbench db upgrade" in answer.text
    all_tables().drop_all(there.db.writer)
    answer = client.get("/health/ready")
    assert answer.status_code == 503
    assert "workbench doctor" in answer.text
    assert client.get("/health").status_code == 200
    there.db.close()


SERVER = """
import sys
from pathlib import Path
import uvicorn
from tests.conftest import _no_label_studio
from tests.factories import make_project
from tests.integration.web.clients import client_as
from workbench.app import create_app
from workbench.db.tables import all_tables
from workbench.outside import outside_of
from workbench.settings import load_settings
outside = outside_of(load_settings(data_dir=Path(sys.argv[1])), label_studio=_no_label_studio)
all_tables().create_all(outside.db.writer)
with outside.db.write() as session:
    make_project(session)
print(client_as(outside).cookies["wb_session"], flush=True)
uvicorn.run(create_app(outside), host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")
"""


def test_the_server_stops_though_somebody_is_listening(tmp_path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(tmp_path / "data"), str(port)],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": "."},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        cookie = process.stdout.readline().strip()
        base = f"http://127.0.0.1:{port}"
        with httpx.Client(cookies={"wb_session": cookie}, timeout=20, trust_env=False) as client:
            for _ in range(100):
                try:
                    if client.get(f"{base}/health").status_code == 200:
                        break
                except httpx.TransportError:
                    time.sleep(0.1)
            with client.stream("GET", f"{base}/projects/sentiment/live") as stream:
                assert stream.headers["content-type"].startswith("text/event-stream")
                lines = stream.iter_lines()
                assert next(lines) == "event: ready"
                process.send_signal(signal.SIGTERM)
                assert list(lines) is not None  # ends by itself
        process.wait(timeout=10)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()
    assert process.returncode in {0, -signal.SIGTERM}
