"""Sessions, tokens, forged requests."""

from __future__ import annotations

import re

import pytest
from starlette.testclient import TestClient

from tests.conftest import Clock
from tests.factories import make_project
from tests.integration.web.clients import client_as
from workbench.app import create_app
from workbench.auth import service, store
from workbench.auth import tokens as tokens_of
from workbench.auth.domain import Permission, csrf_token
from workbench.auth.tables import SessionRow, TokenRow
from workbench.errors import InvalidInput
from workbench.outside import Outside

PASSWORD = "correct horse battery"


@pytest.fixture
def client(outside: Outside) -> TestClient:
    with outside.db.write() as session:
        make_project(session)
        service.create_user(
            session, outside, email="pm@example.org", name="Pat", password=PASSWORD, role="pm"
        )
        service.create_user_hashed(
            session, outside, email="ann@example.org", name="Ann",
            password_hash=store.user_by_email(session, "pm@example.org").password_hash, role="annotator",
        )  # fmt: skip
    return TestClient(create_app(outside), follow_redirects=False)


def sign_in(client: TestClient, email: str = "pm@example.org", password: str = PASSWORD, **more: str):
    return client.post("/sign-in", data={"email": email, "password": password, **more})


def test_signing_in_leads_to_projects_or_to_ones_work(client: TestClient) -> None:
    assert sign_in(client).status_code == 303
    assert client.get("/").headers["location"] == "/projects"
    client.cookies.clear()
    sign_in(client, "ann@example.org")
    assert client.get("/").headers["location"] == "/work"


def test_the_cookie_cannot_be_read_by_scripts_and_only_its_hash_is_stored(
    client: TestClient, outside: Outside
) -> None:
    cookie = sign_in(client).headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=lax" in cookie.lower()
    with outside.db.read() as session:
        assert client.cookies["wb_session"].encode() not in session.query(SessionRow).one().id_sha256


def test_wrong_password_and_unknown_address_get_the_same_answer(client: TestClient) -> None:
    wrong = sign_in(client, password="something else")
    unknown = sign_in(client, "nobody@example.org")
    assert wrong.status_code == unknown.status_code == 401
    pages = [
        re.sub(r'nonce="[^"]+"|pm@example.org|nobody@example.org', "", answer.text)
        for answer in (wrong, unknown)
    ]
    assert pages[0] == pages[1]


def test_signing_in_never_keeps_a_session_that_was_there_before(client: TestClient, outside: Outside) -> None:
    client.cookies.set("wb_session", "f" * 64, domain="testserver.local")  # planted by somebody else
    sign_in(client)
    first = client.cookies["wb_session"]
    assert first != "f" * 64
    sign_in(client, csrf_token=csrf_token(first, "n"))
    assert client.cookies["wb_session"] != first
    assert service.identify_session(outside, first) is None


@pytest.mark.parametrize(
    "elsewhere", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:x"]
)
def test_signing_in_never_leads_to_another_site(client: TestClient, elsewhere: str) -> None:
    assert sign_in(client, next=elsewhere).headers["location"] == "/"
    client.cookies.clear()
    assert sign_in(client, next="/projects?x=1").headers["location"] == "/projects?x=1"


def test_a_page_asks_to_sign_in_and_comes_back(client: TestClient) -> None:
    answer = client.get("/projects/sentiment/people?x=1")
    assert answer.headers["location"] == "/sign-in?next=/projects/sentiment/people%3Fx%3D1"
    partial = client.get("/projects/sentiment/people", headers={"HX-Request": "true"})
    assert partial.status_code == 401
    assert partial.headers["hx-redirect"] == "/sign-in"


def test_signing_out_ends_the_session(client: TestClient, outside: Outside) -> None:
    sign_in(client)
    secret = client.cookies["wb_session"]
    answer = client.post("/sign-out", data={"csrf_token": csrf_token(secret, "n")})
    assert answer.headers["location"] == "/sign-in"
    assert service.identify_session(outside, secret) is None


def test_sessions_expire_and_can_be_revoked(outside: Outside, clock: Clock) -> None:
    client = client_as(outside, "viewer")
    assert client.get("/account").status_code == 200
    other = client_as(outside, "viewer", client=TestClient(client.app, follow_redirects=False))
    with outside.db.read() as session:
        theirs = session.query(SessionRow).filter_by(user_id=2).one().id_sha256.hex()
    client.post(f"/account/sessions/{theirs}/revoke")
    assert other.get("/account").status_code == 200  # only one's own
    other.post(f"/account/sessions/{theirs}/revoke")
    assert other.get("/account").status_code == 303
    clock.forward(hours=12.1)
    assert client.get("/account").status_code == 303


def test_a_deactivated_user_is_out_at_once(outside: Outside) -> None:
    admin = client_as(outside, "admin")
    viewer = client_as(outside, "viewer", client=TestClient(admin.app, follow_redirects=False))
    admin.post("/users/2/active", data={"active": "false"})
    assert viewer.get("/account").status_code == 303
    assert admin.post("/users/1/active", data={"active": "false"}).status_code == 409  # the last admin
    assert admin.post("/users/1/role", data={"role": "viewer"}).status_code == 409


def test_a_changed_password_signs_other_browsers_out(client: TestClient, outside: Outside) -> None:
    sign_in(client)
    here = client.cookies["wb_session"]
    with outside.db.write() as session:
        elsewhere = service.open_session(session, outside, 1, browser="other")
    token = {"csrf_token": csrf_token(here, "n")}
    assert (
        client.post("/account/password", data={"old": "no", "new": "four words of mine", **token}).status_code
        == 422
    )
    assert (
        client.post(
            "/account/password", data={"old": PASSWORD, "new": "four words of mine", **token}
        ).status_code
        == 303
    )
    assert service.identify_session(outside, elsewhere) is None
    assert service.identify_session(outside, here) is None
    assert service.identify_session(outside, client.cookies["wb_session"]) is not None


class TestForgedRequests:
    def test_a_form_without_the_sessions_token_is_refused(self, outside: Outside) -> None:
        client = client_as(outside)
        del client.headers["X-CSRF-Token"]
        data = {"name": "script"}
        assert client.post("/account/tokens", data=data).status_code == 403
        stranger = csrf_token("another session", "n")
        assert client.post("/account/tokens", data={**data, "csrf_token": stranger}).status_code == 403
        mine = csrf_token(client.cookies["wb_session"], "n")
        assert client.post("/account/tokens", data={**data, "csrf_token": mine}).status_code == 200
        assert client.post("/account/tokens", data=data, headers={"X-CSRF-Token": mine}).status_code == 200

    @pytest.mark.parametrize(
        "headers",
        [
            {"Origin": "https://evil.example"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
        ],
    )
    def test_another_site_is_refused_even_with_the_token(
        self, outside: Outside, headers: dict[str, str]
    ) -> None:
        client = client_as(outside)
        assert client.post("/account/tokens", data={"name": "x"}, headers=headers).status_code == 403
        assert (
            client.post("/sign-in", data={"email": "a", "password": "b"}, headers=headers).status_code == 403
        )

    def test_every_page_shows_another_token(self, outside: Outside) -> None:
        client = client_as(outside)
        assert client.get("/account").text.count("csrf_token") > 1
        assert client.get("/account").text != client.get("/account").text


class TestTokens:
    def test_a_token_is_shown_once_and_works_without_the_forgery_check(self, outside: Outside) -> None:
        client = client_as(outside)
        page = client.post("/account/tokens", data={"name": "nightly"}).text
        token = page.partition('id="new-token">')[2].partition("<")[0]
        assert token.startswith("wb_")
        assert token not in client.get("/account").text
        program = TestClient(client.app, headers={"Authorization": f"Bearer {token}"})
        assert "users.edit" in program.get("/api/v1/me").json()["permissions"]
        posted = program.post("/api/v1/servers", json={"name": "x", "url": "nonsense", "token": "t"})
        assert posted.status_code == 422
        assert "must look like" in posted.json()["detail"]
        with outside.db.read() as session:
            assert token.rpartition("_")[2].encode() != session.query(TokenRow).one().sha256

    def test_a_token_may_only_what_its_scopes_and_its_user_may(self, outside: Outside) -> None:
        client = client_as(outside, "viewer")
        with outside.db.write() as session:
            scopes = [Permission.ACCOUNT, Permission.USERS_EDIT]
            with pytest.raises(InvalidInput, match=r"may not: users\.edit"):
                service.create_token(session, outside, 1, name="x", scopes=scopes)
            service.change_role(session, outside, 1, "admin")
            token = service.create_token(session, outside, 1, name="x", scopes=scopes)
            service.create_user_hashed(
                session, outside, email="b@example.org", name="B", password_hash="", role="admin"
            )
            service.change_role(session, outside, 1, "viewer")
        program = TestClient(client.app, headers={"Authorization": f"Bearer {token}"})
        assert program.get("/api/v1/me").json()["permissions"] == ["account"]
        assert program.get("/api/v1/servers").status_code == 403

    def test_wrong_expired_and_revoked_tokens_are_refused(self, outside: Outside, clock: Clock) -> None:
        client = client_as(outside)
        with outside.db.write() as session:
            tokens = [service.create_token(session, outside, 1, name="x", days=days) for days in (1, 30)]
            revoked = service.create_token(session, outside, 1, name="y")
            tokens_of.revoke_token(session, outside, 1, 3)

        def status(token: str) -> int:
            program = TestClient(client.app, headers={"Authorization": f"Bearer {token}"})
            return program.get("/api/v1/me").status_code

        assert [status(tokens[0]), status(tokens[1]), status(revoked)] == [200, 200, 401]
        assert {status(tokens[0][:-1] + "x"), status("nonsense"), status("wb_a_b_c")} == {401}
        clock.forward(days=2)
        assert [status(tokens[0]), status(tokens[1])] == [401, 200]
