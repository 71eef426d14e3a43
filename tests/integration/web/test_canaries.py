"""Every secret of a seeded installation is a canary; no page, answer, log, file or row sings it in clear."""

from __future__ import annotations

import base64
import io
import json
import logging
import re
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyotp
import pytest
from httpx import Response
from sqlalchemy import select
from starlette.testclient import TestClient

from integrations.label_studio.interface import LabelStudio
from tests.integration.outbound.servers import plain, server
from tests.integration.overview.plausible import plausible_project
from workbench.adapters import label_studio_clients
from workbench.app import create_app
from workbench.auth import second_factor
from workbench.auth.access import guarded_routes
from workbench.auth.domain import DEFAULT_ROLES, Role, csrf_token
from workbench.auth.service import create_user, make_reset_link
from workbench.auth.sessions import open_session
from workbench.auth.tokens import create_token
from workbench.cli.checks import every_check
from workbench.db.tables import all_tables
from workbench.db.vault import read_keys
from workbench.decisions.service import ensure_lottery_key
from workbench.inbox.service import receiver_for, rotate_secret
from workbench.incidents.store import report_incident
from workbench.logs import configure_logs
from workbench.outside import Outside, outside_of
from workbench.people.invitations import invite_person
from workbench.people.service import connect_server, refresh_server
from workbench.people.tables import ServerRow
from workbench.settings import load_settings
from workbench.upkeep.backup import make_backup

LABEL_STUDIO_TOKEN = "canary0labelstudio0token0000000000000000"
PASSWORD = "canary-password-of-the-admin-1"
OIDC_SECRET = "canary-oidc-client-secret"
# Drawn for addresses that must be found again, not for secrets that are compared.
NO_SECRET_BYTES = {12, 24}
ENDS_THE_WALK = ("sign-out", "sessions", "tokens", "second-factor")


class Installation:
    """A seeded installation with everything that is secret in it, by name."""

    def __init__(self, folder: Path, clock: object) -> None:
        self.drawn: list[bytes] = []
        self.log = io.StringIO()
        self.outputs: dict[str, bytes] = {}
        self.new_in: dict[str, set[str]] = {}
        settings = load_settings(
            data_dir=folder / "data",
            backup_dir=str(folder / "backups"),
            sign_in_providers=[
                {
                    "name": "corp",
                    "issuer": "https://127.0.0.1:1",
                    "client_id": "wb",
                    "client_secret": OIDC_SECRET,
                }
            ],
        )
        self.clients: list[LabelStudio] = []
        self._adapters = label_studio_clients(settings)
        self.outside: Outside = outside_of(
            settings,
            label_studio=self._label_studio,
            now=clock,  # type: ignore[arg-type]
            random_bytes=self._draw,
        )
        all_tables().create_all(self.outside.db.writer)

    def _label_studio(self, url: str, token: str) -> LabelStudio:
        client = self._adapters(url, token)
        self.clients.append(client)
        return client

    def close(self) -> None:
        """Give connections back."""
        for client in self.clients:
            client.close()  # type: ignore[attr-defined]
        self.outside.db.close()

    def _draw(self, n: int) -> bytes:
        found = secrets.token_bytes(n)
        if n >= 16 and n not in NO_SECRET_BYTES:
            self.drawn.append(found)
        return found

    def secrets(self) -> dict[str, bytes]:
        """Every secret by name, as it would be written."""
        found = {
            "Label Studio token": LABEL_STUDIO_TOKEN.encode(),
            "password": PASSWORD.encode(),
            "OIDC client secret": OIDC_SECRET.encode(),
        }
        found |= {f"drawn {n}": one for n, one in enumerate(self.drawn)}
        keys = read_keys(self.outside.settings.data_dir / "secret.key")
        return found | {f"secret key {n}": one for n, one in enumerate(keys)}

    def leaks(self, where: dict[str, bytes]) -> list[str]:
        """`name of the secret in name of the output` for each that is there in any usual spelling."""
        return [
            f"{name} in {place}"
            for name, secret in self.secrets().items()
            for place, content in where.items()
            if name not in self.new_in.get(place, ())
            if any(spelling in content for spelling in spellings(secret))
        ]

    def keep(self, place: str, call: Callable[..., Response], *given: Any, **more: Any) -> None:
        """Calls, and keeps the whole answer, which may show what it just made for this once."""
        before = len(self.drawn)
        answer = call(*given, **more)
        self.new_in[place] = {f"drawn {n}" for n in range(before, len(self.drawn))}
        head = [f"{name}: {value}" for name, value in answer.headers.items() if name != "set-cookie"]
        self.outputs[place] = "\n".join(head).encode() + answer.content

    def files(self) -> dict[str, bytes]:
        """Every file of the data folder and of back-ups, apart from the file of keys."""
        folder = self.outside.settings.data_dir.parent
        return {
            str(path.relative_to(folder)): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file() and path.name != "secret.key"
        }


def spellings(secret: bytes) -> set[bytes]:
    return {
        secret,
        secret.hex().encode(),
        base64.b64encode(secret).rstrip(b"="),
        base64.urlsafe_b64encode(secret).rstrip(b"="),
        base64.b32encode(secret).rstrip(b"="),
        quote(secret).encode(),
    }


@pytest.fixture
def there(tmp_path: Path, clock: object) -> Iterator[Installation]:
    made = Installation(tmp_path, clock)
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    configure_logs(made.log, level=logging.DEBUG)
    # The test's own browser, which writes every address down; it is no part of the workbench.
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    yield made
    made.close()
    logging.getLogger().handlers = handlers
    logging.getLogger().setLevel(level)


def echoing(connection, request: bytes) -> None:
    """A server that repeats what it was sent, credentials and all, as an error."""
    plain(json.dumps({"detail": request.decode()}).encode(), status="500 Oops")(connection, request)


def believing(connection, request: bytes) -> None:
    body = {
        "release": "1.23.2",
        "edition": "Community",
        "id": 1,
        "email": "a@example.org",
        "api_tokens_enabled": True,
    }
    plain(json.dumps(body).encode())(connection, request)


def seed(there: Installation) -> tuple[TestClient, str, int]:
    """Signs in, gives every kind of secret once, and forgets nothing of it."""
    outside = there.outside
    project = plausible_project(outside, n_items=20).project
    with outside.db.write() as session:
        user = create_user(
            session, outside, email="admin@example.org", name="Admin", password=PASSWORD, role="admin"
        )
        cookie = open_session(session, outside, user.id, browser="test")
        token = create_token(session, outside, user.id, name="ci", strong=True)
        make_reset_link(session, outside, user.id, by="admin@example.org")
        invite_person(
            session, outside, email="ann@example.org", name="Ann", pool_id=None, project_id=project.id, server_id=None,
            by="admin@example.org", may=frozenset(DEFAULT_ROLES[Role.ADMIN]), role="viewer",
        )  # fmt: skip
        ensure_lottery_key(outside, session, project.id)
        second_factor.start(session, outside, user.id)
    with outside.db.read() as session:
        waiting = second_factor.waiting(session, outside, user.id)
    assert waiting is not None
    # The seed is what was drawn, in base 32; as text it must not be found either.
    second_factor.confirm(outside, user.id, pyotp.TOTP(waiting.secret).at(outside.now()))
    with server(believing) as good:
        row = connect_server(
            outside,
            name="studio",
            url=good.url("127.0.0.1"),
            token=LABEL_STUDIO_TOKEN,
            by="admin@example.org",
        )
    with outside.db.write() as session:
        receiver_for(outside, session, row.id)
        rotate_secret(outside, session, row.id, by="admin@example.org")
    client = TestClient(create_app(outside), follow_redirects=False, raise_server_exceptions=False)
    client.cookies.set("wb_session", cookie)
    client.headers["X-CSRF-Token"] = csrf_token(cookie, "test")
    client.app.state.stopping.ask()  # type: ignore[attr-defined]
    return client, token, row.id


def walk(there: Installation, client: TestClient, token: str) -> None:
    """Every page and address, signed in by cookie and by token, with good and with odd values."""
    other = TestClient(client.app, follow_redirects=False, raise_server_exceptions=False)
    bearer = {"Authorization": f"Bearer {token}"}
    body = {"token": LABEL_STUDIO_TOKEN, "password": PASSWORD, "url": "http://127.0.0.1:1", "name": "x"}
    form = body | {"server_token": LABEL_STUDIO_TOKEN, "old": PASSWORD, "server_url": "http://127.0.0.1:1"}
    for route in guarded_routes(client.app):  # type: ignore[arg-type]
        path = re.sub(r"\{(\w+)(:\w+)?\}", _filled, str(route.path))
        for method in sorted(route.methods or ()):
            if method == "GET":
                there.keep(f"GET {path}", client.get, path)
                there.keep(f"GET {path} by token", other.get, path, headers=bearer)
            elif not any(word in path for word in ENDS_THE_WALK):
                there.keep(f"{method} {path}", client.request, method, path, json=body)
                there.keep(f"{method} {path} form", client.request, method, path, data=form)
    for given in (token, token[:-1] + "0", "x" * 5000):
        odd = {"Authorization": f"Basic {given}"}
        there.keep(f"wrong {given[-3:]}", other.get, f"/api/v1/me?access_token={given}", headers=odd)


def _filled(found: re.Match[str]) -> str:
    return "1" if "id" in found[1] else "reviews" if found[1] == "key" else "studio"


@pytest.mark.database("sqlite")
def test_no_secret_is_anywhere_in_clear(there: Installation) -> None:
    client, token, server_id = seed(there)
    outside = there.outside
    walk(there, client, token)
    with server(echoing) as bad:
        with outside.db.write() as session:
            session.get_one(ServerRow, server_id).url = bad.url("127.0.0.1")
            row = session.get_one(ServerRow, server_id)
            row.token = outside.vault.lock(LABEL_STUDIO_TOKEN.encode())
        refresh_server(outside, server_id)
        assert any(LABEL_STUDIO_TOKEN.encode() in one for one in bad.asked)
        there.outputs["doctor"] = json.dumps([one.value() for one in every_check(outside.settings)]).encode()
    with outside.db.read() as session:
        assert "500" in session.get_one(ServerRow, server_id).problem
    logging.getLogger("test").debug("kept", extra={"token": token})
    there.outputs["log"] = there.log.getvalue().encode()
    there.outputs["settings"] = repr(outside.settings).encode() + str(outside.settings).encode()
    there.outputs["outside"] = repr(outside).encode()
    made = make_backup(outside.settings, Path(outside.settings.backup_dir or ""), now=outside.now())
    there.outputs["back-up"] = json.dumps(made.value()).encode() + repr(made).encode()
    assert len(there.drawn) >= 6
    assert len(there.outputs) > 100
    assert sum(len(one) > 2000 for one in there.outputs.values()) > 20
    assert there.leaks(there.outputs) == []
    assert there.leaks(there.files()) == []


@pytest.mark.database("sqlite")
def test_planted_leaks_are_found(there: Installation) -> None:
    seed(there)
    outside = there.outside
    assert there.leaks(there.files()) == []
    with outside.db.write() as session:
        report_incident(
            session,
            "x",
            "server:1",
            f"it said {LABEL_STUDIO_TOKEN}; {there.drawn[0].hex()}",
            now=outside.now(),
        )
        session.execute(select(1))
    outside.db.close()
    found = there.leaks(there.files())
    assert any("Label Studio token in data/workbench.sqlite3" in one for one in found)
    assert any("drawn 0 in data/workbench.sqlite3" in one for one in found)
    assert there.leaks({"page": base64.b64encode(PASSWORD.encode())}) == ["password in page"]
