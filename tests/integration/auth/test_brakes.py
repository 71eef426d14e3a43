"""Guessing passwords: slowed for the guesser, never for good, and never for the owner at their own place."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conftest import Clock
from tests.integration.auth.browsers import browser, post, sign_in, there, user
from workbench.activity.tables import EventRow
from workbench.auth import brakes
from workbench.auth.tables import BrakeRow
from workbench.errors import TooMany
from workbench.incidents.store import open_incidents
from workbench.outside import Outside


def wrong(client, n: int, email: str = "ann@example.org") -> list[int]:
    return [sign_in(client, email, "not this one at all").status_code for _ in range(n)]


def test_guessing_is_slowed_alike_for_somebody_and_nobody(outside: Outside, clock: Clock) -> None:
    user(outside)
    for email in ("ann@example.org", "nobody@example.org"):
        client = browser(outside, f"203.0.113.{len(email)}")
        assert wrong(client, 6, email) == [401] * 5 + [429]
        answer = sign_in(client, email, "not this one at all")
        assert "wait 16 s" in answer.text
        assert 0 < int(answer.headers["retry-after"]) <= 16
        clock.forward(seconds=16)
        assert wrong(client, 2, email) == [401, 429]


def test_the_owner_elsewhere_is_not_locked_out_and_another_process_knows(
    outside: Outside, clock: Clock
) -> None:
    user(outside)
    wrong(browser(outside), 5)
    again = browser(outside)  # another process: another application on the same database
    assert sign_in(again).status_code == 429
    home = browser(outside, "198.51.100.1")
    assert sign_in(home).status_code == 303
    clock.forward(seconds=16)
    assert sign_in(again).status_code == 303


def test_many_addresses_slow_strangers_but_not_the_places_its_owner_knows(
    outside: Outside, clock: Clock
) -> None:
    user(outside)
    app = browser(outside).app
    home = browser(outside, "198.51.100.1", app=app)
    assert sign_in(home).status_code == 303
    statuses = [wrong(browser(outside, f"192.0.2.{n}", app=app), 1)[0] for n in range(22)]
    assert statuses == [401] * 20 + [429, 429]
    fresh = browser(outside, "198.51.100.1", app=app)
    with outside.db.read() as session:
        assert [one.kind for one in open_incidents(session)] == ["sign_in_guessing"]
        assert session.query(EventRow).filter_by(verb="user.sign_in_braked").count() == 1
    assert sign_in(fresh).status_code == 303
    with outside.db.read() as session:
        assert open_incidents(session) == []


def test_one_address_that_tries_many_names_is_slowed(outside: Outside, clock: Clock) -> None:
    names = [(brakes.ADDRESS, "203.0.113.7")]
    for _ in range(40):
        with outside.db.write() as session:
            brakes.count_try(session, outside.now(), names)
    client = browser(outside)
    assert sign_in(client, "new@example.org").status_code == 429
    clock.forward(minutes=31)
    assert sign_in(client, "new@example.org").status_code == 401


def test_waiting_never_grows_beyond_a_quarter_of_an_hour(outside: Outside, clock: Clock) -> None:
    for _ in range(60):
        with outside.db.write() as session:
            brakes.count_try(session, outside.now(), [(brakes.PAIR, "x")])
        clock.forward(seconds=900)
    with outside.db.write() as session:
        brakes.count_try(session, outside.now(), [(brakes.PAIR, "x")])


def test_refused_tries_do_not_make_it_longer(outside: Outside, clock: Clock) -> None:
    for _ in range(5):
        with outside.db.write() as session:
            brakes.count_try(session, outside.now(), [(brakes.PAIR, "x")])
    for _ in range(50):
        with pytest.raises(TooMany), outside.db.write() as session:
            brakes.count_try(session, outside.now(), [(brakes.PAIR, "x")])
    clock.forward(seconds=15)
    with outside.db.write() as session:
        brakes.count_try(session, outside.now(), [(brakes.PAIR, "x")])


def test_tries_at_once_gain_nothing(outside: Outside) -> None:
    def one(_: int) -> bool:
        try:
            with outside.db.write() as session:
                brakes.count_try(session, outside.now(), [(brakes.PAIR, "x")])
        except TooMany:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(one, range(24))) == 5


def test_the_memory_of_failures_fades(outside: Outside, clock: Clock) -> None:
    wrong(browser(outside), 3)
    clock.forward(days=2)
    wrong(browser(outside), 1, "other@example.org")
    with outside.db.read() as session:
        assert session.query(BrakeRow).count() == 3


@pytest.mark.parametrize(
    ("trusted", "forwarded", "peer", "counted"),
    [
        ("10.0.0.0/8", "203.0.113.9", "10.1.1.1", "203.0.113.9"),
        ("10.0.0.0/8", "6.6.6.6, 203.0.113.9, 10.2.2.2", "10.1.1.1", "203.0.113.9"),
        ("", "6.6.6.6", "10.1.1.1", "10.1.1.1"),
        ("10.0.0.0/8", "6.6.6.6", "192.0.2.1", "192.0.2.1"),
        ("10.0.0.0/8", "nonsense", "10.1.1.1", "\N{EN DASH}"),
        ("", "", "2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("", "", "::ffff:192.0.2.8", "192.0.2.8"),
    ],
)
def test_whose_address_counts_behind_proxies(
    outside: Outside, trusted: str, forwarded: str, peer: str, counted: str
) -> None:
    made = there(outside, trusted_proxies=trusted or None, require_second_factor="never")
    user(made)
    client = browser(made, peer, headers={"X-Forwarded-For": forwarded} if forwarded else {})
    sign_in(client)
    assert f'<td class="mono">{counted}</td>' in client.get("/account").text


def test_a_changed_password_is_guessed_no_faster(outside: Outside) -> None:
    user(outside)
    client = browser(outside)
    sign_in(client)
    answers = [
        post(client, "/account/password", old="wrong one here", new="another set of words") for _ in range(6)
    ]
    assert [one.status_code for one in answers] == [422] * 5 + [429]
