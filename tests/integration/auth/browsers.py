"""Browsers and accounts for tests of signing in."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

from starlette.testclient import TestClient

from workbench.app import create_app
from workbench.auth import service
from workbench.auth.domain import csrf_token
from workbench.auth.passwords import hash_password
from workbench.outside import Outside
from workbench.settings import load_settings

PASSWORD = "four words of mine"


@cache
def _hashed() -> str:
    return hash_password(PASSWORD)


def there(outside: Outside, **settings: Any) -> Outside:
    """The same installation with other settings."""
    given = {"data_dir": outside.settings.data_dir, "database_url": outside.settings.database_url, **settings}
    return replace(outside, settings=load_settings(**given))


def browser(outside: Outside, address: str = "203.0.113.7", **client: Any) -> TestClient:
    app = client.pop("app", None) or create_app(outside, features=("auth",))
    return TestClient(app, follow_redirects=False, client=(address, 1234), **client)


def user(outside: Outside, email: str = "ann@example.org", role: str = "viewer") -> int:
    with outside.db.write() as session:
        return service.create_user_hashed(
            session, outside, email=email, name=email.partition("@")[0], password_hash=_hashed(), role=role
        ).id


def sign_in(client: TestClient, email: str = "ann@example.org", password: str = PASSWORD, **more: str) -> Any:
    token = csrf_token(client.cookies["wb_session"], "n") if "wb_session" in client.cookies else ""
    return client.post("/sign-in", data={"email": email, "password": password, "csrf_token": token, **more})


def post(client: TestClient, path: str, **data: str) -> Any:
    return client.post(path, data={"csrf_token": csrf_token(client.cookies["wb_session"], "n"), **data})
