from __future__ import annotations

import pytest

from workbench.auth.domain import (
    browser_name,
    checked_email,
    checked_password,
    checked_role,
    csrf_token,
    csrf_token_fits,
)
from workbench.auth.landing import safe_path
from workbench.auth.passwords import Throttle, hash_password, password_fits
from workbench.errors import InvalidInput, TooMany


def test_passwords_are_argon2id_and_nobody_has_none() -> None:
    stored = hash_password("correct horse")
    assert stored.startswith("$argon2id$")
    assert password_fits("correct horse", stored)
    assert not password_fits("wrong horse", stored)
    assert not password_fits("the password of nobody at all", None)


def test_the_brake_holds_one_name_for_a_while() -> None:
    at = [0.0]
    throttle = Throttle(3, 900, clock=lambda: at[0])
    for _ in range(3):
        throttle.check("ann")
        throttle.failed("ann")
    throttle.check("bob")
    with pytest.raises(TooMany, match="wait 16 min"):
        throttle.check("ann")
    at[0] = 901
    throttle.check("ann")


@pytest.mark.parametrize("given", ["", "ann", "ann@", "a b@c.d", "<a@b.c>"])
def test_what_is_no_address_is_refused(given: str) -> None:
    with pytest.raises(InvalidInput, match="e-mail"):
        checked_email(given)


def test_given_words_are_checked() -> None:
    assert checked_email(" Ann@Example.org ") == "ann@example.org"
    with pytest.raises(InvalidInput, match="10 to 200"):
        checked_password("short")
    with pytest.raises(InvalidInput, match="no role 'boss'"):
        checked_role("boss")


def test_page_tokens_belong_to_one_session() -> None:
    token = csrf_token("session", "nonce")
    assert csrf_token_fits("session", token)
    assert not csrf_token_fits("other", token)
    assert not csrf_token_fits("session", "")
    assert not csrf_token_fits("session", token.replace("nonce", "else"))


def test_browsers_get_names() -> None:
    agent = "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36"
    assert browser_name(agent) == "Chrome on Windows"
    assert browser_name("") == "unknown"


def test_only_own_addresses_are_gone_on_to() -> None:
    assert safe_path("/projects?a=b") == "/projects?a=b"
    for given in ("//x", "/\\x", "http://x/", "projects", "/a\nb"):
        assert safe_path(given) == ""
