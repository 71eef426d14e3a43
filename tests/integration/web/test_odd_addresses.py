"""No address, however odd, makes the service break: numbers beyond the database's, NUL bytes, other scripts."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from tests.integration.overview.plausible import Plausible, plausible_project
from tests.integration.web.clients import client_as
from workbench.app import create_app
from workbench.auth.access import guard_of, guarded_routes
from workbench.jobs.store import jobs_of
from workbench.outside import Outside

NUMBERS = ("99999999999999999999999", "-99999999999999999999999", "9223372036854775808", "-1", "1e999", "nan")
TEXTS = (
    "a\0b",
    "\N{ARABIC-INDIC DIGIT THREE}",
    "日本語 🎉",
    "\N{LATIN SMALL LETTER Y WITH DIAERESIS}",
    "x" * 3000,
    "..",
)
ODD = (*NUMBERS, *TEXTS)
OWN = (
    "after", "search", "state", "label", "source", "predicted", "from", "to", "language", "person",
    "disagreement", "sort", "page", "limit", "month", "next",
)  # fmt: skip
"""Parameters that pages read from the request themselves, so that no signature names them."""


@pytest.fixture
def made(outside: Outside) -> Plausible:
    return plausible_project(outside, n_items=60)


@pytest.fixture
def client(outside: Outside, made: Plausible) -> TestClient:
    app = create_app(outside)
    app.state.stopping.ask()  # live pages end at once
    return client_as(outside, client=TestClient(app, follow_redirects=False))


def reading_routes(client: TestClient) -> list[tuple[str, list[str]]]:
    """Every address that can be read, with the names of its query parameters."""
    found = []
    for route in guarded_routes(client.app):  # type: ignore[arg-type]
        assert route.path is not None
        if "GET" in (route.methods or ()) and guard_of(route) and route.path != "/health/ready":
            dependant = route.dependant
            found.append((route.path, [field.alias for field in dependant.query_params]))
    return sorted(found)


def filled(path: str, outside: Outside, made: Plausible, *, odd: str = "", at: str = "") -> str:
    """The address of things that are there, but for the odd value in one place."""
    with outside.db.read() as session:
        job = jobs_of(session, made.project.id)[0].id
    there = {"key": "reviews", "public_id": made.items[0].public_id, "job_id": job}
    return re.sub(
        r"\{(\w+)(:\w+)?\}",
        lambda one: quote(odd, safe="") if one[1] == at else there.get(one[1], "1"),
        path,
    )


def broken(client: TestClient, addresses: list[str]) -> list[tuple[int, str]]:
    statuses = ((client.get(address).status_code, address[:120]) for address in addresses)
    return [(status, address) for status, address in statuses if status >= 500]


def test_no_odd_part_of_an_address_breaks_a_page(
    client: TestClient, outside: Outside, made: Plausible
) -> None:
    parts = [
        (path, part)
        for path, _ in reading_routes(client)
        for part in re.findall(r"\{(\w+)", path)
        # Every address of a project finds it in the same place.
        if part != "key" or path in {"/projects/{key}", "/api/v1/projects/{key}"}
    ]
    addresses = [filled(path, outside, made, odd=odd, at=part) for path, part in parts for odd in ODD]
    assert len(addresses) > 100
    assert broken(client, addresses) == []


def test_no_odd_parameter_breaks_a_page(client: TestClient, outside: Outside, made: Plausible) -> None:
    addresses = []
    for path, names in reading_routes(client):
        address = filled(path, outside, made)
        for odd in NUMBERS + TEXTS[:3]:
            given = "&".join(f"{name}={quote(odd)}" for name in {*OWN, *names})
            addresses.append(f"{address}?{given}")
        addresses += [f"{address}?{name}={quote(odd)}" for name in names for odd in NUMBERS]
    assert broken(client, addresses) == []


@pytest.mark.parametrize("odd", ODD)
def test_no_odd_question_breaks_the_list_of_items(client: TestClient, odd: str) -> None:
    questions = [f"{name}={quote(odd)}" for name in OWN]
    questions += [f"sort=least-confident&after={mark}{quote(odd)}" for mark in ("", "0.5_")]
    assert broken(client, [f"/api/v1/projects/reviews/items?{one}" for one in questions]) == []
    assert broken(client, [f"/projects/reviews/items?{questions[0]}"]) == []
