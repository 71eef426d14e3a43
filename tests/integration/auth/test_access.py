"""Tokens, sessions, links: what they may, how long, and that ending them ends them."""

from __future__ import annotations

import re

import pytest
from starlette.testclient import TestClient

from tests.conftest import Clock
from tests.factories import make_project
from tests.integration.auth.browsers import PASSWORD, browser, post, sign_in, there, user
from workbench.activity.tables import EventRow
from workbench.auth import service, sessions, tokens
from workbench.errors import InvalidInput
from workbench.outside import Outside


def program(client: TestClient, token: str) -> TestClient:
    return TestClient(client.app, headers={"Authorization": f"Bearer {token}"}, follow_redirects=False)


def make_token(outside: Outside, user_id: int, *scopes: str, **more) -> str:
    with outside.db.write() as session:
        return tokens.create_token(session, outside, user_id, name="x", scopes=scopes, **more)


class TestTokens:
    def test_a_token_makes_tokens_only_where_it_was_made_for_that(self, outside: Outside) -> None:
        ann = user(outside, role="admin")
        client = browser(outside)
        plain = program(client, make_token(outside, ann))
        asked = {"name": "next", "scopes": ["account"]}
        assert plain.post("/api/v1/tokens", json=asked).status_code == 403
        maker = program(client, make_token(outside, ann, "account", "items.read", tokens.MAKES_TOKENS))
        made = maker.post("/api/v1/tokens", json=asked)
        assert made.status_code == 201
        assert program(client, made.json()["token"]).get("/api/v1/me").json()["permissions"] == ["account"]
        assert maker.post("/api/v1/tokens", json={"name": "all"}).status_code == 403
        assert maker.post("/api/v1/tokens", json={"name": "x", "scopes": ["users.edit"]}).status_code == 403

    def test_it_may_and_lasts_no_more_than_allowed(self, outside: Outside) -> None:
        ann = user(outside)
        made = there(outside, token_days_max=30)
        for scopes, days in ((["users.edit"], 1), (["nonsense"], 1), ([], 31), ([], 0)):
            with pytest.raises(InvalidInput):
                make_token(made, ann, *scopes, days=days)
        make_token(made, ann)  # 90 by default, here 30

    def test_it_leaves_its_owners_account_alone(self, outside: Outside) -> None:
        client = browser(outside)
        holder = program(client, make_token(outside, user(outside, role="admin")))
        for path in ("/account", "/account/second-factor"):
            assert holder.get(path).status_code == 403
        for path in ("/account/password", "/account/second-factor/start", "/account/tokens/revoke-all"):
            assert holder.post(path, data={"new": "x", "old": "x"}).status_code == 403

    def test_revoking_one_and_all(self, outside: Outside) -> None:
        ann = user(outside)
        client = browser(outside)
        sign_in(client)
        first, second = (program(client, make_token(outside, ann)) for _ in range(2))
        elsewhere = program(browser(outside), "x")  # another process
        elsewhere.headers["Authorization"] = second.headers["Authorization"]
        listed = first.get("/api/v1/tokens").json()
        assert len(listed) == 2
        assert "token" not in listed[0]
        post(client, f"/account/tokens/{listed[-1]['id']}/revoke")
        assert (first.get("/api/v1/me").status_code, second.get("/api/v1/me").status_code) == (401, 200)
        assert elsewhere.get("/api/v1/me").status_code == 200
        post(client, "/account/tokens/revoke-all")
        assert elsewhere.get("/api/v1/me").status_code == 401  # at once

    def test_it_ends_for_good_with_its_owner(self, outside: Outside) -> None:
        ann = user(outside)
        holder = program(browser(outside), make_token(outside, ann))
        assert holder.get("/api/v1/me").status_code == 200
        for active in (False, True):
            with outside.db.write() as session:
                service.set_active(session, outside, ann, active=active)
            assert holder.get("/api/v1/me").status_code == 401
        with outside.db.read() as session:
            assert session.query(EventRow).filter_by(verb="token.revoked").count() == 1

    def test_a_form_chooses_what_it_may(self, outside: Outside) -> None:
        user(outside, role="pm")
        client = browser(outside)
        sign_in(client)
        for chosen, wanted in (("read", "items.read"), ("chosen", "items.edit")):
            page = post(client, "/account/tokens", name="x", may=chosen, scopes="items.edit").text
            found = re.search(r'id="new-token">([^<]+)<', page)
            assert found is not None
            with outside.db.read() as session:
                scopes = tokens.store.tokens_of(session, 1)[0].scopes
            assert wanted in scopes
            assert ("items.edit" in scopes) is (chosen == "chosen")
        assert post(client, "/account/tokens", name="x", may="chosen", scopes="users.edit").status_code == 422
        assert post(client, "/account/tokens", name="x", days="9999").status_code == 422


class TestSessions:
    def test_idle_ones_end_and_used_ones_do_not(self, outside: Outside, clock: Clock) -> None:
        user(outside)
        client, idle = browser(outside), browser(outside)
        sign_in(client)
        sign_in(idle)
        for _ in range(5):
            clock.forward(hours=1)
            assert client.get("/account").status_code == 200
        assert idle.get("/account").status_code == 303
        assert client.get("/account").text.count("Sign out there") == 0
        clock.forward(hours=7.1)
        assert client.get("/account").status_code == 303  # the whole day is over

    def test_signing_out_elsewhere(self, outside: Outside) -> None:
        user(outside)
        app = browser(outside).app
        here, there_, away = (browser(outside, f"192.0.2.{n}", app=app) for n in (1, 2, 3))
        for one in (here, there_, away):
            sign_in(one)
        listed = here.get("/api/v1/sessions").json()
        assert {one["address"] for one in listed} == {"192.0.2.1", "192.0.2.2", "192.0.2.3"}
        other = next(one["id"] for one in listed if one["address"] == "192.0.2.2")
        post(here, f"/account/sessions/{other}/revoke")
        assert there_.get("/account").status_code == 303
        post(here, "/account/sessions/revoke-others")
        assert away.get("/account").status_code == 303
        assert here.get("/account").status_code == 200

    def test_an_admin_ends_somebodys_sessions_and_tokens(self, outside: Outside) -> None:
        ann = user(outside)
        user(outside, "root@example.org", "admin")
        client, admin = browser(outside), browser(outside)
        sign_in(client)
        sign_in(admin, "root@example.org")
        token = program(client, make_token(outside, ann))
        post(admin, f"/users/{ann}/sessions/end")
        post(admin, f"/users/{ann}/tokens/revoke")
        assert client.get("/account").status_code == 303
        assert token.get("/api/v1/me").status_code == 401
        assert post(admin, "/users/999/sessions/end").status_code == 404

    def test_another_role_is_another_session(self, outside: Outside) -> None:
        ann = user(outside)
        user(outside, "root@example.org", "admin")
        user(outside, "other@example.org", "admin")
        client, admin = browser(outside), browser(outside)
        sign_in(client)
        sign_in(admin, "root@example.org")
        post(admin, f"/users/{ann}/role", role="pm")
        assert client.get("/account").status_code == 303
        before = admin.cookies["wb_session"]
        post(admin, "/users/2/role", role="pm")
        assert admin.cookies["wb_session"] != before
        assert admin.get("/users").status_code == 403
        assert service.identify_session(outside, before) is None

    def test_a_stream_ends_with_its_session(self, outside: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
        from tests.integration.web.clients import client_as
        from workbench.web import live

        monkeypatch.setattr(live, "CHECK_SENDER_S", 0.0)
        with outside.db.write() as session:
            make_project(session)
        client = client_as(outside)
        holds = sessions.holds
        asked = []

        def ended(there_: Outside, secret: str) -> bool:
            asked.append(1)
            if len(asked) == 1:
                with there_.db.write() as session:
                    sessions.end_sessions(session, there_, 1, by="test")
            return holds(there_, secret)

        monkeypatch.setattr("workbench.auth.identify.holds", ended)
        text = client.get("/projects/sentiment/live").text  # returns: the stream has an end
        assert "event: ready" in text


class TestLinks:
    def test_a_link_sets_a_password_once(self, outside: Outside, clock: Clock) -> None:
        ann = user(outside)
        user(outside, "root@example.org", "admin")
        client, admin = browser(outside), browser(outside)
        sign_in(client)
        sign_in(admin, "root@example.org")
        page = post(admin, f"/users/{ann}/reset-link").text
        found = re.search(r'id="reset-link">http://[^/]+(/reset/[0-9a-f]{64})<', page)
        assert found is not None
        stranger = browser(outside)
        assert "ann@example.org" in stranger.get(found[1]).text
        assert stranger.post(found[1], data={"new": "password123"}).status_code == 422
        assert stranger.post(found[1], data={"new": "entirely other words"}).status_code == 303
        assert stranger.post(found[1], data={"new": "entirely other words"}).status_code == 404
        assert stranger.get(found[1]).status_code == 404
        assert client.get("/account").status_code == 303
        assert sign_in(stranger).status_code == 401
        assert sign_in(stranger, password="entirely other words").status_code == 303
        with outside.db.read() as session:
            verbs = [event.verb for event in session.query(EventRow).filter_by(about=f"user:{ann}")]
        assert {"user.reset_link_made", "user.password_reset", "user.sessions_ended"} <= set(verbs)

    def test_links_end_by_time_by_a_newer_one_and_with_their_user(
        self, outside: Outside, clock: Clock
    ) -> None:
        ann = user(outside)
        client = browser(outside)

        def link() -> str:
            with outside.db.write() as session:
                return service.make_reset_link(session, outside, ann, by="test")

        first, second = link(), link()
        assert client.get(f"/reset/{first}").status_code == 404
        assert client.get(f"/reset/{second}").status_code == 200
        clock.forward(hours=2.1)
        assert client.get(f"/reset/{second}").status_code == 404
        third = link()
        with outside.db.write() as session:
            service.set_active(session, outside, ann, active=False)
        assert client.get(f"/reset/{third}").status_code == 404

    def test_a_new_password_by_a_link_ends_api_tokens(self, outside: Outside) -> None:
        ann = user(outside)
        client = browser(outside)
        holder = program(client, make_token(outside, ann))
        assert holder.get("/api/v1/me").status_code == 200
        with outside.db.write() as session:
            link = service.make_reset_link(session, outside, ann, by="test")
        assert client.post(f"/reset/{link}", data={"new": "entirely other words"}).status_code == 303
        assert holder.get("/api/v1/me").status_code == 401

    def test_a_user_without_password_gets_a_link_for_seven_days(self, outside: Outside, clock: Clock) -> None:
        user(outside, "root@example.org", "admin")
        admin = browser(outside)
        sign_in(admin, "root@example.org")
        page = post(admin, "/users", email="new@example.org", name="New").text
        found = re.search(r"(/reset/[0-9a-f]{64})<", page)
        assert found is not None
        clock.forward(days=6)
        client = browser(outside)
        assert client.post(found[1], data={"new": PASSWORD}).status_code == 303
        assert sign_in(client, "new@example.org").status_code == 303


def test_nothing_secret_is_in_the_record(outside: Outside) -> None:
    ann = user(outside)
    client = browser(outside)
    sign_in(client)
    token = make_token(outside, ann)
    post(client, "/account/password", old=PASSWORD, new="entirely other words")
    with outside.db.read() as session:
        text = " ".join(
            f"{one.actor} {one.verb} {one.about} {one.before} {one.after}" for one in session.query(EventRow)
        )
    for secret in (PASSWORD, "entirely other words", token.rpartition("_")[2], client.cookies["wb_session"]):
        assert secret not in text
    assert "user.signed_in" in text
    assert "token.created" in text
    assert "user.password_changed" in text
