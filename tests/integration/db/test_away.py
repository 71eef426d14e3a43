"""PostgreSQL goes away under a running application: people are told so, and all is well when it is back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.postgresql_server import PostgreSQLServer, running_server, schema_on
from workbench.app import create_app
from workbench.auth.service import ensure_roles
from workbench.cli.users import first_admin
from workbench.db.database import DatabaseAway
from workbench.outside import Outside, outside_of
from workbench.settings import load_settings

pytestmark = pytest.mark.database("postgresql")
EMAIL, PASSWORD = "admin@example.org", "correct horse battery"


@pytest.fixture
def server(database_kind: str) -> Iterator[PostgreSQLServer]:
    yield from running_server()


@pytest.fixture
def outside(tmp_path: Path, server: PostgreSQLServer) -> Iterator[Outside]:
    settings = load_settings(data_dir=tmp_path / "data", database_url=schema_on(server))
    made = outside_of(settings, label_studio=lambda url, token: None)  # type: ignore[arg-type, return-value]
    with made.db.write() as session:
        ensure_roles(session)
    first_admin(made, EMAIL, PASSWORD)
    yield made
    made.db.close()


def test_pages_say_so_and_recover(outside: Outside, server: PostgreSQLServer) -> None:
    with TestClient(create_app(outside)) as browser:
        signed_in = browser.post(
            "/sign-in", data={"email": EMAIL, "password": PASSWORD}, follow_redirects=False
        )
        assert signed_in.status_code == 303
        assert browser.get("/projects").status_code == 200
        server.kill()
        server.wait_until_down()
        for path in ("/projects", "/sign-in", "/account", "/"):
            answer = browser.get(path)
            assert answer.status_code == 503, path
            assert "database cannot be reached just now" in answer.text
            assert "Traceback" not in answer.text
        answer = browser.get("/api/v1/projects")
        assert (answer.status_code, answer.json()["title"]) == (503, "Not reachable right now")
        assert browser.get("/health").status_code == 200
        assert browser.get("/health/ready").status_code == 503
        server.start()
        assert browser.get("/projects").status_code == 200
        assert browser.get("/health/ready").status_code == 200


def test_what_was_under_way_is_taken_back(outside: Outside, server: PostgreSQLServer) -> None:
    def write() -> None:
        with outside.db.write() as session:
            ensure_roles(session)
            server.kill()
            server.wait_until_down()
            session.flush()
            ensure_roles(session)

    with pytest.raises(DatabaseAway):
        write()
    with pytest.raises(DatabaseAway), outside.db.read() as session:
        session.connection()
    server.start()
    with outside.db.write() as session:
        ensure_roles(session)
