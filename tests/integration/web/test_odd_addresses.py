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

ODD = (
    "99999999999999999999999",
    "-99999999999999999999999",
    "9223372036854775808",
    "-1",
    "0",
    "1e999",
    "nan",
    "a\0b",
    "\0",
    "\N{ARABIC-INDIC DIGIT THREE}",
    "日本語 🎉",
    "\udcff".encode("utf-8", "surrogateescape").decode("latin-1"),
    "x" * 3000,
    "../../etc/passwd",
    "%",
    "'; drop table items; --",
)


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
            dependant = route.dependant  # type: ignore[attr-defined]
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
    found = []
    for address in addresses:
        status = client.get(address).status_code
        if status >= 500:
            found.append((status, address[:120]))
    return found


def test_no_odd_part_of_an_address_breaks_a_page(
    client: TestClient, outside: Outside, made: Plausible
) -> None:
    addresses = [
        filled(path, outside, made, odd=odd, at=part)
        for path, _ in reading_routes(client)
        for part in re.findall(r"\{(\w+)", path)
        for odd in ODD
        if "/" not in odd
    ]
    assert len(addresses) > 100
    assert broken(client, addresses) == []


def test_no_odd_parameter_breaks_a_page(client: TestClient, outside: Outside, made: Plausible) -> None:
    # Read from the request by the pages themselves, so that no signature names them.
    own = ["after", "search", "state", "label", "source", "predicted", "from", "to", "language", "person",
           "disagreement", "sort", "page", "limit", "month", "key", "next"]  # fmt: skip
    addresses = []
    for path, names in reading_routes(client):
        address = filled(path, outside, made)
        listed = path.endswith("/items")
        for odd in ODD:
            if listed:
                addresses += [f"{address}?{name}={quote(odd)}" for name in own]
                addresses.append(f"{address}?sort=least-confident&after={quote(odd)}")
                addresses.append(f"{address}?sort=least-confident&after=0.5_{quote(odd)}")
            else:
                given = "&".join(f"{name}={quote(odd)}" for name in {*own, *names})
                addresses.append(f"{address}?{given}")
                addresses += [f"{address}?{name}={quote(odd)}" for name in names]
    assert broken(client, addresses) == []
