"""Authenticator apps, recovery codes, and who has to have one."""

from __future__ import annotations

import re
from datetime import timedelta

import pyotp
import pytest
from starlette.testclient import TestClient

from tests.conftest import Clock
from tests.integration.auth.browsers import PASSWORD, browser, post, sign_in, there, user
from workbench.activity.tables import EventRow
from workbench.auth import second_factor, service
from workbench.auth.tables import RecoveryCodeRow, SecondFactorRow
from workbench.outside import Outside

STEP = timedelta(seconds=30)


def enrol(client: TestClient, clock: Clock) -> tuple[pyotp.TOTP, list[str]]:
    assert post(client, "/account/second-factor/start", password=PASSWORD).status_code == 303
    page = client.get("/account/second-factor").text
    assert "<svg" in page
    key = re.search(r'id="factor-key">([A-Z2-7 ]+)<', page)
    assert key is not None
    totp = pyotp.TOTP(key[1].replace(" ", ""))
    answer = post(client, "/account/second-factor/confirm", code=totp.at(clock.at))
    assert answer.status_code == 200
    return totp, re.findall(r"\b[a-z2-7]{4}(?:-[a-z2-7]{4}){3}\b", answer.text)


@pytest.fixture
def client(outside: Outside) -> TestClient:
    user(outside)
    client = browser(outside)
    sign_in(client)
    return client


def test_a_password_alone_lets_nobody_in_any_more(client: TestClient, clock: Clock, outside: Outside) -> None:
    before = client.cookies["wb_session"]
    totp, codes = enrol(client, clock)
    assert client.cookies["wb_session"] != before
    assert service.identify_session(outside, before) is None
    assert len(codes) == 10
    other = browser(outside, app=client.app)
    answer = sign_in(other, next="/account")
    assert answer.headers["location"] == "/sign-in/code"
    assert "wb_session" not in other.cookies
    assert other.get("/account").status_code == 303
    assert "one-time-code" in other.get("/sign-in/code").text
    assert other.post("/sign-in/code", data={"code": "000000"}).status_code == 422
    clock.forward(seconds=60)
    done = other.post("/sign-in/code", data={"code": totp.at(clock.at)})
    assert done.headers["location"] == "/account"
    assert "second factor" in other.get("/account").text
    assert "wb_pending" not in other.cookies


def test_a_code_works_once_and_clocks_may_differ_by_one_step(
    client: TestClient, clock: Clock, outside: Outside
) -> None:
    totp, _ = enrol(client, clock)

    def attempt(code: str) -> int:
        fresh = browser(outside, app=client.app)
        sign_in(fresh)
        return fresh.post("/sign-in/code", data={"code": code}).status_code

    assert attempt(totp.at(clock.at)) == 422  # the one that turned it on
    clock.forward(seconds=300)
    assert attempt(totp.at(clock.at + -2 * STEP)) == 422
    assert attempt(totp.at(clock.at + -1 * STEP)) == 303
    now = totp.at(clock.at)
    assert attempt(f" {now[:3]} {now[3:]} ") == 303
    assert attempt(now) == 422
    assert attempt(totp.at(clock.at + -1 * STEP)) == 422  # older than what was used
    assert attempt(totp.at(clock.at + 1 * STEP)) == 303


def test_codes_are_not_guessed(client: TestClient, clock: Clock, outside: Outside) -> None:
    totp, _ = enrol(client, clock)
    clock.forward(seconds=60)
    statuses = []
    for n in range(7):
        fresh = browser(outside, f"192.0.2.{n}", app=client.app)  # every time from elsewhere
        sign_in(fresh)
        statuses.append(fresh.post("/sign-in/code", data={"code": "123456"}).status_code)
    assert statuses == [422] * 5 + [429] * 2
    assert fresh.post("/sign-in/code", data={"code": totp.at(clock.at)}).status_code == 429
    clock.forward(seconds=31)
    assert fresh.post("/sign-in/code", data={"code": totp.at(clock.at)}).status_code == 303


def test_recovery_codes_work_once_and_new_ones_replace_them(
    client: TestClient, clock: Clock, outside: Outside
) -> None:
    totp, codes = enrol(client, clock)

    def attempt(code: str) -> int:
        fresh = browser(outside, app=client.app)
        sign_in(fresh)
        return fresh.post("/sign-in/code", data={"code": code}).status_code

    assert [attempt(codes[0]), attempt(codes[0]), attempt(codes[1].upper().replace("-", " "))] == [
        303,
        422,
        303,
    ]
    clock.forward(seconds=60)
    answer = post(client, "/account/second-factor/codes", code=totp.at(clock.at))
    fresh = re.findall(r"\b[a-z2-7]{4}(?:-[a-z2-7]{4}){3}\b", answer.text)
    assert len(fresh) == 10
    assert set(fresh).isdisjoint(codes)
    assert [attempt(codes[2]), attempt(fresh[0])] == [422, 303]
    with outside.db.read() as session:
        stored = b"".join(row.sha256 for row in session.query(RecoveryCodeRow))
        assert all(code.replace("-", "").encode() not in stored for code in fresh)


def test_the_secret_lies_encrypted(client: TestClient, clock: Clock, outside: Outside) -> None:
    totp, _ = enrol(client, clock)
    with outside.db.read() as session:
        locked = session.query(SecondFactorRow).one().secret_locked
    assert totp.secret.encode() not in locked
    assert outside.vault.unlock(locked).decode() == totp.secret


def test_setting_up_asks_for_the_password_and_removing_for_a_code(
    client: TestClient, clock: Clock, outside: Outside
) -> None:
    assert post(client, "/account/second-factor/start", password="wrong one here").status_code == 422
    totp, _ = enrol(client, clock)
    assert post(client, "/account/second-factor/start", password=PASSWORD).status_code == 409
    assert post(client, "/account/second-factor/remove", code="000000").status_code == 422
    clock.forward(seconds=60)
    assert post(client, "/account/second-factor/remove", code=totp.at(clock.at)).status_code == 303
    assert sign_in(browser(outside, app=client.app)).headers["location"] == "/"
    with outside.db.read() as session:
        verbs = [event.verb for event in session.query(EventRow)]
    assert verbs.count("user.second_factor_enrolled") == verbs.count("user.second_factor_removed") == 1


def test_half_of_signing_in_is_bound_to_its_browser_and_time(
    client: TestClient, clock: Clock, outside: Outside
) -> None:
    totp, _ = enrol(client, clock)
    other = browser(outside, app=client.app)
    assert other.get("/sign-in/code").headers["location"] == "/sign-in"
    clock.forward(seconds=60)
    assert other.post("/sign-in/code", data={"code": totp.at(clock.at)}).status_code == 401
    other.cookies.set("wb_pending", "00ff")
    assert other.post("/sign-in/code", data={"code": totp.at(clock.at)}).status_code == 401
    sign_in(other)
    clock.forward(minutes=11)
    assert other.post("/sign-in/code", data={"code": totp.at(clock.at)}).status_code == 401


def test_another_admin_helps_who_lost_the_app(outside: Outside, clock: Clock) -> None:
    ann, admin = user(outside), user(outside, "root@example.org", "admin")
    client = browser(outside)
    sign_in(client)
    enrol(client, clock)
    helper = browser(outside, app=client.app)
    sign_in(helper, "root@example.org")
    enrol(helper, clock)
    assert post(helper, f"/users/{admin}/second-factor/reset").status_code == 403
    assert post(helper, f"/users/{ann}/second-factor/reset").status_code == 303
    assert client.get("/account").status_code == 303  # signed out
    assert sign_in(client).headers["location"] == "/"
    with outside.db.read() as session:
        event = session.query(EventRow).filter_by(verb="user.second_factor_removed").one()
        assert (event.actor, event.about) == ("root@example.org", f"user:{ann}")


class TestWhoHasToHaveOne:
    @pytest.mark.parametrize(
        ("settings", "required"),
        [
            ({}, False),
            ({"host": "0.0.0.0"}, True),
            ({"public_url": "https://work.example.org"}, True),
            ({"public_url": "http://localhost:9000"}, False),
            ({"trusted_proxies": "10.0.0.0/8"}, True),
            ({"require_second_factor": "always"}, True),
            ({"require_second_factor": "never", "host": "0.0.0.0"}, False),
        ],
    )
    def test_it_is_required_where_others_reach_us(self, outside: Outside, settings, required) -> None:
        assert there(outside, **settings).settings.second_factor_required is required

    def test_an_admin_sees_nothing_else_until_it_is_set_up(self, outside: Outside, clock: Clock) -> None:
        made = there(outside, require_second_factor="always")
        user(made, role="admin")
        client = browser(made)
        sign_in(client)
        for path in ("/users", "/work"):
            assert client.get(path).headers.get("location") in {"/account/second-factor", None}, path
        assert client.get("/users").headers["location"] == "/account/second-factor"
        assert client.get("/account").status_code == 200
        assert client.get("/api/v1/me").json()["permissions"] == ["account"]
        assert post(client, "/users", email="x@example.org", name="x").status_code == 303
        token = re.search(r'id="new-token">([^<]+)<', post(client, "/account/tokens", name="x").text)
        assert token is not None
        program = browser(made, app=client.app, headers={"Authorization": f"Bearer {token[1]}"})
        enrol(client, clock)
        assert client.get("/users").status_code == 200
        assert "x@example.org" not in client.get("/users").text
        assert program.get("/api/v1/me").json()["permissions"] == ["account"]  # made before

    def test_others_are_left_alone(self, outside: Outside) -> None:
        made = there(outside, require_second_factor="always")
        user(made, role="qa_lead")
        client = browser(made)
        sign_in(client)
        assert "routing.activate" in client.get("/api/v1/me").json()["permissions"]

    def test_a_session_from_before_it_was_set_up_elsewhere_stays_weak(
        self, outside: Outside, clock: Clock
    ) -> None:
        made = there(outside, require_second_factor="always")
        user(made, role="pm")
        old, new = (browser(made, app=browser(made).app) for _ in range(2))
        sign_in(old)
        sign_in(new)
        enrol(new, clock)
        assert old.get("/api/v1/me").json()["permissions"] == ["account"]
        assert "projects.edit" in new.get("/api/v1/me").json()["permissions"]


def test_the_picture_holds_no_style_or_script(outside: Outside) -> None:
    ann = user(outside)
    with outside.db.write() as session:
        second_factor.start(session, outside, ann)
        made = second_factor.waiting(session, outside, ann)
    assert made is not None
    assert not re.search(r"style=|<script|on\w+=|href", str(made.picture))
    assert made.secret not in repr(made)
