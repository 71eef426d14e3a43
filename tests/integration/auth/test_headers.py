"""Every answer of every address carries the headers, every cookie its attributes (T3)."""

from __future__ import annotations

import re
from http.cookies import SimpleCookie

import pytest
from starlette.testclient import TestClient

from tests.factories import make_pool, make_project, make_server
from tests.integration.auth.browsers import browser, sign_in, there, user
from tests.integration.web.clients import client_as
from workbench.app import create_app
from workbench.auth.access import guarded_routes
from workbench.outside import Outside

WANTED = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-frame-options": "DENY",
}
PARTS = ("default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action")


def lacking(answer) -> list[str]:
    headers = answer.headers
    found = [name for name, value in WANTED.items() if headers.get(name) != value]
    policy = headers.get("content-security-policy", "")
    found += [part for part in PARTS if part not in policy]
    found += ["unsafe"] if "unsafe" in policy or "script-src 'self'" in policy else []
    found += [] if "permissions-policy" in headers else ["permissions-policy"]
    stored = headers.get("cache-control", "")
    found += [] if "no-store" in stored or "immutable" in stored else [f"cache-control {stored!r}"]
    if answer.status_code == 405 and not headers.get("allow"):
        found.append("allow")
    for line in headers.get_list("set-cookie"):
        for name, cookie in SimpleCookie(line).items():
            weak = not cookie["httponly"] or cookie["samesite"].lower() not in {"lax", "strict"}
            weak = weak or (headers.get("strict-transport-security") and not cookie["secure"])
            found += [f"cookie {name}"] if weak or cookie["domain"] else []
    return found


@pytest.fixture
def addresses(outside: Outside) -> list[str]:
    with outside.db.write() as session:
        make_project(session, server_id=make_server(session).id, pool_id=make_pool(session).id)
    paths = {route.path for route in guarded_routes(create_app(outside)) if route.path}
    made = [
        re.sub(
            r"\{(\w+)(:\w+)?\}",
            lambda one: "999999" if "id" in one[1] else "none",
            path.replace("{key}", "sentiment"),
        )
        for path in sorted(paths - {"/health/ready"})
    ]
    return [
        *made,
        "/nothing",
        "/api/v1/nothing",
        "/assets/nothing.js",
        "/%00",
        "/projects/..%2f..",
        "//evil.example",
    ]


@pytest.mark.parametrize("role", ["", "admin"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "DELETE", "PATCH", "TRACE"])
def test_every_answer_of_every_address(
    outside: Outside, addresses: list[str], method: str, role: str
) -> None:
    app = create_app(outside)
    app.state.stopping.ask()  # live pages end at once
    client = client_as(outside, role, client=TestClient(app, follow_redirects=False))
    wrong = []
    for path in addresses:
        if role and (method, path) in {("POST", "/sign-out"), ("DELETE", "/api/v1/sessions")}:
            continue
        answer = client.request(method, path)
        if answer.status_code >= 500 or lacking(answer):
            wrong.append((path, answer.status_code, lacking(answer)))
        if method in {"HEAD", "OPTIONS"} and answer.status_code in {200, 204} and answer.content:
            wrong.append((path, "has a body"))
    assert wrong == []


def test_options_and_405_name_every_method_of_an_address(outside: Outside) -> None:
    client = client_as(outside)
    wanted = "GET, HEAD, OPTIONS, POST"
    assert client.options("/users").headers["allow"] == wanted
    assert client.put("/users").status_code == 405
    assert client.put("/users").headers["allow"] == wanted
    assert client.options("/users/1/role").headers["allow"] == "OPTIONS, POST"
    assert client.options("/nowhere").status_code == 404
    assert (
        "access-control-allow-origin"
        not in client.options("/users", headers={"Origin": "https://x.example"}).headers
    )


def test_head_is_get_without_a_body(outside: Outside) -> None:
    client = client_as(outside)
    with outside.db.write() as session:
        make_project(session)
    head, got = client.head("/users"), client.get("/users")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == got.headers["content-type"]
    assert client.head("/projects/sentiment/live").headers["content-type"].startswith("text/event-stream")
    assert (
        client_as(outside, "", client=TestClient(client.app, follow_redirects=False))
        .head("/users")
        .status_code
        == 303
    )


def test_large_and_broken_requests_carry_them_too(outside: Outside) -> None:
    client = client_as(outside)

    @client.app.get("/break")
    def broken() -> None:
        raise ValueError

    answers = [
        client.post("/api/v1/tokens", content=b"x" * (2 * 1024 * 1024 + 1)),
        client.post("/api/v1/tokens", content=b"{", headers={"Content-Type": "application/json"}),
        client.get("/api/v1/me", headers={"Authorization": "Bearer nonsense"}),
        client.post("/account/tokens", data={"name": "x"}, headers={"Origin": "https://evil.example"}),
        client.get("/users", headers={"Host": "evil.example"}),
        client.get("/break"),
    ]
    assert [one.status_code for one in answers] == [413, 422, 401, 403, 400, 500]
    assert [lacking(one) for one in answers] == [[]] * 6


def test_the_nonce_is_another_one_each_time_and_every_script_has_it(outside: Outside) -> None:
    client = client_as(outside)
    seen = set()
    for path in ("/account", "/account", "/users", "/nothing"):
        answer = client.get(path)
        nonce = re.search(r"script-src 'nonce-([\w-]{20,})'", answer.headers["content-security-policy"])
        assert nonce is not None
        scripts = re.findall(r"<script(?! type=\"application/json\")[^>]*>", answer.text)
        assert len(scripts) == 2
        assert all(f'nonce="{nonce[1]}"' in script for script in scripts)
        seen.add(nonce[1])
    assert len(seen) == 4


class TestBehindTls:
    @pytest.fixture
    def client(self, outside: Outside) -> TestClient:
        made = there(
            outside, public_url="https://work.example.org", secure_cookies=True, require_second_factor="never"
        )
        user(made, role="admin")
        return browser(made, base_url="https://work.example.org")

    def test_cookies_belong_to_this_host_and_to_tls(self, client: TestClient) -> None:
        answer = sign_in(client)
        lines = answer.headers.get_list("set-cookie")
        session = next(line for line in lines if line.startswith("__Host-wb_session="))
        assert {"Secure", "HttpOnly", "Path=/", "SameSite=lax"} <= set(session.split("; "))
        assert "Domain" not in session
        assert all("Secure" in line for line in lines)
        assert answer.headers["strict-transport-security"] == "max-age=31536000"

    @pytest.mark.parametrize(
        ("origin", "status"),
        [
            ("https://work.example.org", 303), ("http://work.example.org", 403), ("null", 403),
            ("https://work.example.org:8443", 403), ("https://work.example.org.evil.example", 403),
            ("http://127.0.0.1:8000", 403), ("https://sub.work.example.org", 403),
        ],
    )  # fmt: skip
    def test_only_our_exact_origin_may_change_things(
        self, client: TestClient, origin: str, status: int
    ) -> None:
        answer = client.post(
            "/sign-in",
            data={"email": "ann@example.org", "password": "four words of mine"},
            headers={"Origin": origin},
        )
        assert answer.status_code == status


@pytest.mark.parametrize(
    ("settings", "host", "status"),
    [
        ({}, "localhost:8000", 200), ({}, "127.0.0.1", 200), ({}, "[::1]:8000", 200), ({}, "LOCALHOST", 200),
        ({}, "evil.example", 400), ({}, "127.0.0.1.evil.example", 400), ({}, "", 400), ({}, "localhost@evil", 400),
        ({}, "192.168.1.5", 400), ({"host": "0.0.0.0"}, "192.168.1.5:8000", 200),
        ({"host": "0.0.0.0"}, "evil.example", 400), ({"host": "0.0.0.0"}, "0.0.0.0", 200),
        ({"public_url": "https://work.example.org"}, "work.example.org", 200),
        ({"allowed_hosts": ["web"]}, "web:8000", 200), ({"allowed_hosts": ["web"]}, "webs", 400),
        ({}, "localhost:99999", 400), ({}, "localhost:x", 400),
    ],
)  # fmt: skip
def test_only_requests_for_our_own_names_are_answered(
    outside: Outside, settings: dict, host: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WORKBENCH_ALLOWED_HOSTS", raising=False)
    client = browser(there(outside, **settings))
    assert client.get("/sign-in", headers={"Host": host}).status_code == status


def test_a_second_host_is_refused(outside: Outside) -> None:
    client = browser(outside)
    answer = client.get("/sign-in", headers=[("Host", "testserver"), ("Host", "evil.example")])
    assert answer.status_code == 400
