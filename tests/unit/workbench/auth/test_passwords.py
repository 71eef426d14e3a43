from __future__ import annotations

import pytest

from workbench.auth import brakes
from workbench.auth.domain import (
    browser_name,
    checked_email,
    checked_password,
    checked_role,
    csrf_token,
    csrf_token_fits,
)
from workbench.auth.landing import safe_path
from workbench.auth.passwords import hash_password, password_fits, uncommon_password
from workbench.errors import InvalidInput


def test_passwords_are_argon2id_and_nobody_has_none() -> None:
    stored = hash_password("correct horse")
    assert stored.startswith("$argon2id$")
    assert password_fits("correct horse", stored)
    assert not password_fits("wrong horse", stored)
    assert not password_fits("the password of nobody at all", None)


@pytest.mark.parametrize(
    "given",
    ["password123!", "Passw0rd12", "qwertyuiop", "1234567890", "aaaaaaaaaaaa", "ababababab", "!Workbench2026",
     "ann@example.org", "ann1234567", "iloveyou!!"],
)  # fmt: skip
def test_what_is_tried_first_is_no_password(given: str) -> None:
    with pytest.raises(InvalidInput, match="first that are tried"):
        uncommon_password(given, about="ann@example.org")


def test_long_words_are_fine() -> None:
    for given in ("correct horse battery", "zwölf Boxkämpfer", "tZ9!kqWv2x", "passwordless trains"):
        assert uncommon_password(given, about="ann@example.org") == given


def test_who_has_no_password_has_none_that_fits() -> None:
    assert not password_fits("", "")
    assert not password_fits("anything at all", "")


def test_waiting_grows_and_never_beyond_a_quarter_of_an_hour() -> None:
    waits = [brakes.PAIR.wait_after(n) for n in (4, 5, 6, 7, 40)]
    assert [wait and wait.total_seconds() for wait in waits] == [None, 15, 30, 60, 900]
    longest = brakes.ACCOUNT.wait_after(10**6)
    assert longest is not None
    assert longest.total_seconds() == 60


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
