"""Signing in with a provider that tells the truth, and with one that lies (T11)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from joserfc.jwk import RSAKey
from starlette.testclient import TestClient

from tests.conftest import Clock
from tests.integration.auth import provider as lies
from tests.integration.auth.provider import CLIENT, ISSUER, SECRET, LyingProvider
from workbench.activity.tables import EventRow
from workbench.app import create_app
from workbench.auth import service, store
from workbench.auth.domain import csrf_token
from workbench.auth.tables import IdentityRow, SessionRow, UserRow
from workbench.outside import Outside
from workbench.settings import load_settings

CHOSEN = {"name": "acme", "title": "Acme", "issuer": ISSUER, "client_id": CLIENT, "client_secret": SECRET}


@pytest.fixture
def provider(clock: Clock) -> LyingProvider:
    return LyingProvider(clock)


@pytest.fixture
def visit(outside: Outside, provider: LyingProvider) -> Callable[..., TestClient]:
    """A browser at an installation with this provider."""

    def open_(
        *, others: list[dict[str, Any]] | None = None, public_url: str = "", **chosen: Any
    ) -> TestClient:
        settings = load_settings(
            data_dir=outside.settings.data_dir,
            database_url=outside.settings.database_url,
            public_url=public_url,
            sign_in_providers=[{**CHOSEN, "allowed_domains": ["example.org"], **chosen}, *(others or [])],
        )
        there = replace(outside, settings=settings)
        return TestClient(create_app(there, features=("auth",), fetch=provider), follow_redirects=False)

    return open_


def through(client: TestClient, provider: LyingProvider, *, more: str = "", **said: str):
    begun = client.get(f"/sign-in/with/acme{more}")
    assert begun.status_code == 303, begun.text
    return client.get(provider.authorize(begun.headers["location"], **said))


def signed_in(client: TestClient) -> bool:
    return client.get("/account").status_code == 200


def counts(outside: Outside) -> tuple[int, int, int]:
    with outside.db.read() as session:
        return tuple(session.query(row).count() for row in (UserRow, IdentityRow, SessionRow))


def test_a_person_of_an_allowed_domain_comes_in_and_back_to_where_they_were(
    visit, provider: LyingProvider, outside: Outside
) -> None:
    client = visit()
    assert "Sign in with Acme" in client.get("/sign-in").text
    answer = through(client, provider, more="?next=/account")
    assert answer.headers["location"] == "/account"
    page = client.get("/account")
    assert "ann@example.org" in page.text
    assert "acme" in page.text
    with outside.db.read() as session:
        identity = session.query(IdentityRow).one()
        assert (identity.issuer, identity.subject) == (ISSUER, "person-1")
        assert store.find_user(session, identity.user_id).password_hash == ""
        verbs = {event.verb for event in session.query(EventRow)}
        assert {"user.created", "user.identity_linked", "user.signed_in"} <= verbs
    again = TestClient(client.app, follow_redirects=False)
    assert through(again, provider).headers["location"] == "/"
    assert counts(outside)[:2] == (1, 1)


def test_the_redirect_address_is_exactly_ours(visit, provider: LyingProvider) -> None:
    client = visit(public_url="https://work.example.org")
    begun = client.get("/sign-in/with/acme", headers={"Host": "work.example.org"})
    assert (
        "redirect_uri=https%3A%2F%2Fwork.example.org%2Fsign-in%2Fwith%2Facme%2Fback&"
        in begun.headers["location"]
    )
    cookie = begun.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert "max-age=600" in cookie


@pytest.mark.parametrize("elsewhere", ["//evil.example", "https://evil.example", "/\\evil.example"])
def test_a_provider_never_leads_to_another_site(visit, provider: LyingProvider, elsewhere: str) -> None:
    assert through(visit(), provider, more=f"?next={elsewhere}").headers["location"] == "/"


LIES: dict[str, dict[str, Any]] = {
    "another issuer": {"claims": {"iss": "https://evil.example"}},
    "issuer with a slash": {"claims": {"iss": ISSUER + "/"}},
    "another audience": {"claims": {"aud": "somebody else"}},
    "several audiences without azp": {"claims": {"aud": [CLIENT, "other"]}},
    "given to another": {"claims": {"aud": [CLIENT, "other"], "azp": "other"}},
    "another nonce": {"claims": {"nonce": "other"}},
    "no nonce": {"without": ("nonce",)},
    "expired": {"claims": {"exp": 1}},
    "no expiry": {"without": ("exp",)},
    "expiry of another kind": {"claims": {"exp": True}},
    "endless expiry": {"claims": {"exp": 1e300}},
    "made in the future": {"claims": {"iat": 4102444800}},
    "made long ago": {"claims": {"iat": 1000000000}},
    "no subject": {"without": ("sub",)},
    "empty subject": {"claims": {"sub": ""}},
    "subject of another kind": {"claims": {"sub": 7}},
    "unsigned": {"sign": lies.unsigned},
    "keyed with the public key": {"sign": lies.signed_with_the_public_key},
    "another key": {"sign": lies.signed_by_somebody_else},
    "its own key": {"sign": lies.bringing_its_own_key},
    "changed after signing": {"instead": lies.changed_after_signing},
    "no token at all": {"instead": lambda _provider, _token: "a.b.c"},
    "no email": {"without": ("email",), "userinfo": {"sub": "person-1"}},
    "email not verified": {"claims": {"email_verified": False}},
    "email verified in words": {"claims": {"email_verified": "true"}},
    "nothing said of the email": {"without": ("email_verified",)},
    "another domain": {"claims": {"email": "ann@evil.example"}},
    "a domain that ends alike": {"claims": {"email": "ann@notexample.org"}},
    "two at signs": {"claims": {"email": "ann@example.org@evil.example"}},
    "userinfo of somebody else": {
        "without": ("email",),
        "userinfo": {"sub": "person-2", "email": "ann@example.org", "email_verified": True},
    },
}


@pytest.mark.parametrize("lie", LIES)
def test_no_lie_lets_anybody_in(visit, provider: LyingProvider, outside: Outside, lie: str) -> None:
    for name, value in LIES[lie].items():
        setattr(provider, name, value)
    client = visit()
    answer = through(client, provider)
    assert answer.status_code in {401, 403}, answer.text
    assert "Sign in" in answer.text
    assert not signed_in(client)
    assert counts(outside) == (0, 0, 0)


def test_the_email_may_come_from_the_second_answer(visit, provider: LyingProvider) -> None:
    provider.without = ("email", "email_verified")
    provider.userinfo = {"sub": "person-1", "email": "Ann@Example.org", "email_verified": True}
    client = visit()
    through(client, provider)
    assert signed_in(client)


class TestTheWayBack:
    def test_another_state_is_refused(self, visit, provider: LyingProvider) -> None:
        client = visit()
        assert through(client, provider, state="other").status_code == 401
        assert not signed_in(client)

    def test_a_browser_that_did_not_begin_is_refused(self, visit, provider: LyingProvider) -> None:
        client = visit()
        back = provider.authorize(client.get("/sign-in/with/acme").headers["location"])
        stranger = TestClient(client.app, follow_redirects=False)
        assert stranger.get(back).status_code == 401
        assert not signed_in(stranger)

    def test_an_answer_works_once(self, visit, provider: LyingProvider) -> None:
        client = visit()
        begun = client.get("/sign-in/with/acme")
        kept = client.cookies["wb_provider"]
        back = provider.authorize(begun.headers["location"])
        client.get(back)
        assert "wb_provider" not in client.cookies
        other = TestClient(client.app, follow_redirects=False)
        other.cookies.set("wb_provider", kept)
        assert other.get(back).status_code == 401  # the provider knows its codes
        assert not signed_in(other)

    def test_too_late_is_too_late(self, visit, provider: LyingProvider, clock: Clock) -> None:
        client = visit()
        back = provider.authorize(client.get("/sign-in/with/acme").headers["location"])
        clock.forward(minutes=11)
        assert client.get(back).status_code == 401

    def test_another_provider_cannot_answer(self, visit, provider: LyingProvider) -> None:
        other = {**CHOSEN, "name": "other", "issuer": "https://other.example"}
        client = visit(others=[other])
        begun = client.get("/sign-in/with/acme")
        back = provider.authorize(begun.headers["location"]).replace("/acme/", "/other/")
        assert client.get(back).status_code == 401
        assert not signed_in(client)

    def test_an_answer_that_names_another_issuer_is_refused(self, visit, provider: LyingProvider) -> None:
        client = visit()
        assert through(client, provider, iss="https://evil.example").status_code == 401

    def test_an_issuer_that_was_promised_must_be_there(self, visit, provider: LyingProvider) -> None:
        provider.settings = {"authorization_response_iss_parameter_supported": True}
        client = visit()
        back = provider.authorize(client.get("/sign-in/with/acme").headers["location"])
        assert client.get(back.partition("&iss=")[0]).status_code == 401

    def test_a_refusal_is_told_without_its_words(self, visit, provider: LyingProvider) -> None:
        client = visit()
        answer = through(
            client, provider, error="access_denied", error_description="<script>alert(1)</script>"
        )
        assert answer.status_code == 401
        assert "alert(1)" not in answer.text


@pytest.mark.parametrize(
    ("path", "answer"),
    [(path, answer) for path in ("/.well-known/openid-configuration", "/keys", "/token")
     for answer in (lies.SLOW, lies.HUGE, lies.NOT_JSON)],
)  # fmt: skip
def test_a_provider_that_breaks_down_breaks_nothing_here(
    visit, provider: LyingProvider, path: str, answer: Any
) -> None:
    provider.answers[path] = answer
    client = visit()
    begun = client.get("/sign-in/with/acme")
    if begun.status_code == 303:
        begun = client.get(provider.authorize(begun.headers["location"]))
    assert begun.status_code == 503
    assert "Sign in" in begun.text
    provider.answers.clear()
    through(client, provider)
    assert signed_in(client)


@pytest.mark.parametrize(
    "settings",
    [{"issuer": "https://evil.example"}, {"token_endpoint": "http://id.example.org/token"},
     {"jwks_uri": "file:///etc/passwd"}, {"authorization_endpoint": "javascript:alert(1)"},
     {"token_endpoint": None}, {"token_endpoint": "https://a:b@id.example.org/token"}],
)  # fmt: skip
def test_settings_that_are_not_its_own_are_refused(visit, provider: LyingProvider, settings: Any) -> None:
    provider.settings = settings
    assert visit().get("/sign-in/with/acme").status_code == 401


def test_keys_are_kept_and_asked_for_again_when_they_change(visit, provider: LyingProvider) -> None:
    client = visit()
    for _ in range(3):
        through(client, provider)
    assert provider.asked.count("/keys") == 1
    assert provider.asked.count("/.well-known/openid-configuration") == 1
    provider.key = RSAKey.generate_key(2048, {"kid": "two"})
    door = client.app.state.doors["acme"].provider
    door._keys_at -= 61
    fresh = TestClient(client.app, follow_redirects=False)
    through(fresh, provider)
    assert signed_in(fresh)
    provider.key = RSAKey.generate_key(2048, {"kid": "three"})
    assert through(fresh, provider).status_code == 401  # at most once a minute
    assert provider.asked.count("/keys") == 2


class TestWhoseAccount:
    def test_an_email_alone_takes_over_nobody(self, visit, provider: LyingProvider, outside: Outside) -> None:
        with outside.db.write() as session:
            service.create_user(
                session,
                outside,
                email="ann@example.org",
                name="Ann",
                password="four words of mine",
                role="admin",
            )
        client = visit()
        answer = through(client, provider)
        assert answer.status_code == 403
        assert "link" in answer.text
        assert not signed_in(client)
        assert counts(outside)[1] == 0

    def test_unless_the_operator_says_so(self, visit, provider: LyingProvider, outside: Outside) -> None:
        with outside.db.write() as session:
            service.create_user(
                session,
                outside,
                email="ann@example.org",
                name="Ann",
                password="four words of mine",
                role="viewer",
            )
        client = visit(link_by_email=True)
        through(client, provider)
        assert signed_in(client)
        assert counts(outside)[:2] == (1, 1)

    def test_an_account_that_waits_for_its_owner_is_entered(
        self, visit, provider: LyingProvider, outside: Outside
    ) -> None:
        with outside.db.write() as session:
            service.create_user_hashed(
                session, outside, email="ann@example.org", name="Ann", password_hash="", role="viewer"
            )
        client = visit(allowed_domains=[])
        through(client, provider)
        assert signed_in(client)
        provider.claims = {"sub": "person-2"}
        other = TestClient(client.app, follow_redirects=False)
        assert through(other, provider).status_code == 403  # it has an owner now

    def test_linking_is_for_who_is_signed_in(self, visit, provider: LyingProvider, outside: Outside) -> None:
        client = visit(allowed_domains=[])
        with outside.db.write() as session:
            for email in ("bob@example.org", "cy@example.org"):
                service.create_user(
                    session, outside, email=email, name="B", password="four words of mine", role="viewer"
                )
            cookie = service.open_session(session, outside, 1, browser="test")
            other = service.open_session(session, outside, 2, browser="test")
        assert client.get("/sign-in/with/acme?link=true").headers["location"].startswith("/sign-in")
        client.cookies.set("wb_session", cookie)
        assert through(client, provider, more="?link=true").headers["location"] == "/account"
        fresh = TestClient(client.app, follow_redirects=False)
        through(fresh, provider)
        assert "bob@example.org" in fresh.get("/account").text
        fresh.cookies.set("wb_session", other)
        client.cookies.set("wb_session", other)
        assert through(client, provider, more="?link=true").status_code == 409  # somebody else's

    @pytest.mark.parametrize("site", ["cross-site", "same-site"])
    def test_linking_begun_by_another_site_is_refused(
        self, visit, provider: LyingProvider, outside: Outside, site: str
    ) -> None:
        client = visit()
        with outside.db.write() as session:
            service.create_user_hashed(
                session, outside, email="bob@example.org", name="B", password_hash="x", role="viewer"
            )
            cookie = service.open_session(session, outside, 1, browser="test")
        client.cookies.set("wb_session", cookie)
        asked = "/sign-in/with/acme?link=true"
        assert client.get(asked, headers={"Sec-Fetch-Site": site}).status_code == 403
        assert client.get(asked, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 303
        assert counts(outside)[1] == 0

    def test_linking_begun_by_another_session_is_refused(
        self, visit, provider: LyingProvider, outside: Outside
    ) -> None:
        client = visit()
        with outside.db.write() as session:
            for email in ("bob@example.org", "cy@example.org"):
                service.create_user_hashed(
                    session, outside, email=email, name="B", password_hash="x", role="viewer"
                )
            cookies = [service.open_session(session, outside, id_, browser="test") for id_ in (1, 2)]
        client.cookies.set("wb_session", cookies[0])
        back = provider.authorize(client.get("/sign-in/with/acme?link=true").headers["location"])
        client.cookies.set("wb_session", cookies[1])
        assert client.get(back).status_code == 401
        assert counts(outside)[1] == 0

    def test_a_deactivated_user_stays_out(self, visit, provider: LyingProvider, outside: Outside) -> None:
        client = visit()
        through(client, provider)
        with outside.db.write() as session:
            service.set_active(session, outside, 1, active=False)
        fresh = TestClient(client.app, follow_redirects=False)
        assert through(fresh, provider).status_code == 403
        assert not signed_in(fresh)

    def test_the_only_way_in_is_not_removed(self, visit, provider: LyingProvider, outside: Outside) -> None:
        client = visit()
        through(client, provider)
        token = csrf_token(client.cookies["wb_session"], "n")
        answer = client.post("/account/identities/1/remove", data={"csrf_token": token})
        assert answer.status_code == 409


class TestGroups:
    ROLES: ClassVar = {"roles_by_group": {"wb-admins": "admin", "wb-people": "qa_lead"}}

    def test_groups_decide_the_role_at_each_sign_in(
        self, visit, provider: LyingProvider, outside: Outside
    ) -> None:
        client = visit(**self.ROLES)
        with outside.db.write() as session:
            service.create_user_hashed(
                session, outside, email="root@example.org", name="R", password_hash="x", role="admin"
            )
        provider.claims = {"groups": ["x", "wb-people", "wb-admins"]}
        through(client, provider)
        assert client.get("/users").status_code == 200
        provider.claims = {"groups": ["wb-people"]}
        old = TestClient(client.app, follow_redirects=False, cookies=dict(client.cookies))
        through(TestClient(client.app, follow_redirects=False), provider)
        assert old.get("/users").status_code == 303  # the stronger session ended
        with outside.db.read() as session:
            assert store.roles_of(session, 2) == {0: frozenset({"qa_lead"})}

    @pytest.mark.parametrize("groups", [[], "wb-other", [["wb-admins"]], {"wb-admins": 1}, None])
    def test_who_is_in_no_group_stays_out(self, visit, provider: LyingProvider, groups: Any) -> None:
        client = visit(**self.ROLES)
        provider.claims = {"groups": groups}
        assert through(client, provider).status_code == 403


def test_a_trusted_provider_is_a_second_factor(visit, provider: LyingProvider, outside: Outside) -> None:
    for trusted in (False, True):
        client = visit(public_url="https://testserver", default_role="pm", trust_as_second_factor=trusted)
        through(client, provider)
        answer = client.get("/api/v1/me").json()
        assert answer["second_factor_needed"] is not trusted
        assert ("projects.edit" in answer["permissions"]) is trusted
