"""T1, fields: what an answer holds is declared here for each role; anything more fails."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.tenants.worlds import build, ids, lead
from tests.integration.web.clients import client_as
from workbench.auth.access import guarded_routes
from workbench.auth.domain import Permission, Role
from workbench.auth.store import role_permissions
from workbench.auth.tables import PermissionRow
from workbench.outside import Outside

LEAD_FIELDS = {
    "/api/v1/supplier": {
        "name", "time_zone", "projects", "projects.id", "projects.title", "projects.state",
        "projects.waiting", "projects.today", "projects.week",
    },
    "/api/v1/supplier/people": {
        "id", "name", "email", "active", "pools", "answers", "skipped", "not_counted", "lead_time_s",
    },
    "/api/v1/supplier/projects/{work_id}": {
        "id", "title", "state", "waiting", "today", "week", "doubly_answered",
        "alpha", "alpha.value", "alpha.low", "alpha.high", "ac1", "ac1.value", "ac1.low", "ac1.high",
        "lanes", "lanes.id", "lanes.pool", "lanes.stage", "lanes.waiting", "lanes.server",
        "people", "people.id", "people.name", "people.email", "people.active", "people.pools",
        "people.answers", "people.skipped", "people.not_counted", "people.lead_time_s",
        "earned", "earned.kind", "earned.currency", "earned.amount", "earned.quantity",
    },
    "/api/v1/supplier/projects/{work_id}/answers": {
        "answers", "answers.item", "answers.task", "answers.person", "answers.label", "answers.status",
        "answers.lead_time_s", "answers.given_at", "after",
    },
}  # fmt: skip
OTHER = {"/api/v1/me", "/api/v1/sessions", "/api/v1/tokens", "/api/openapi.json"}
"""Of oneself, or of nobody."""
MONEY = re.compile(r"cost|price|amount|rate_card|earned|saved_money|spend")


def fields(value: Any, before: str = "") -> Iterator[str]:
    if isinstance(value, list):
        for one in value:
            yield from fields(one, before)
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield f"{before}{name}"
            yield from fields(inner, f"{before}{name}.")


def test_a_lead_is_told_declared_fields_alone(outside: Outside) -> None:
    build(outside)
    client = lead(outside)
    mine, opened = ids("acme"), set()
    for route in guarded_routes(client.app):  # type: ignore[arg-type]
        if "GET" not in (route.methods or ()) or not route.path.startswith("/api/") or route.path in OTHER:
            continue
        path = route.path.replace("{key}", "sentiment")
        path = re.sub(r"\{(\w+)(:\w+)?\}", lambda found: mine.get(found[1], "1"), path)
        answer = client.get(path)
        if answer.status_code != 200:
            continue
        opened.add(route.path)
        assert route.path in LEAD_FIELDS, f"{route.path} answers a supplier's lead and is not declared"
        assert set(fields(answer.json())) - LEAD_FIELDS[route.path] == set(), route.path
    assert opened == set(LEAD_FIELDS)


def test_nothing_a_lead_reads_is_a_number_counted_up_for_everybody(outside: Outside) -> None:
    """Ids are opaque: no address and no field that a lead sees is a row's number."""
    build(outside)
    client = lead(outside)
    for path in LEAD_FIELDS:
        answer = client.get(path.replace("{work_id}", ids("acme")["work_id"])).json()
        rows = answer if isinstance(answer, list) else [answer]
        for one in rows:
            for name in ("id", "item", "task"):
                assert not isinstance(one.get(name), int)
    for page in ("/supplier", "/supplier/people", f"/supplier/projects/{ids('acme')['work_id']}"):
        for address in re.findall(r'(?:href|action|hx-get)="(/[^"]*)"', client.get(page).text):
            assert not re.search(r"/\d+(/|$|\?)", address), (page, address)


@pytest.mark.parametrize("path", ["/api/v1/projects/{}/items", "/projects/{}/items"])
def test_who_may_not_read_people_cannot_filter_by_them(outside: Outside, path: str) -> None:
    build(outside)
    with outside.db.write() as session:
        assert Permission.PEOPLE_READ in role_permissions(session)[Role.VIEWER]
        row = session.get(PermissionRow, (Role.VIEWER, Permission.PEOPLE_READ))
        session.delete(row)
    client = client_as(outside, Role.VIEWER)
    address = path.format("sentiment")
    known, unknown = (
        client.get(f"{address}?person={person}").status_code
        for person in (ids("acme")["person_id"], "f" * 24)
    )
    assert known == unknown == 403
    assert "Acme A" not in client.get(address).text


def test_who_may_not_read_costs_is_told_none(outside: Outside) -> None:
    build(outside)
    with outside.db.write() as session:
        for permission in (Permission.COSTS_READ, Permission.RATES_READ):
            row = session.get(PermissionRow, (Role.VIEWER, permission))
            if row is not None:
                session.delete(row)
    client = client_as(outside, Role.VIEWER)
    mine, told = ids("acme"), {}
    for route in guarded_routes(client.app):  # type: ignore[arg-type]
        if "GET" not in (route.methods or ()) or not route.path.startswith("/api/v1/projects/{key}"):
            continue
        path = route.path.replace("{key}", "sentiment")
        answer = client.get(re.sub(r"\{(\w+)(:\w+)?\}", lambda found: mine.get(found[1], "1"), path))
        if answer.status_code == 200 and "json" in answer.headers["content-type"]:
            money = {one for one in fields(answer.json()) if MONEY.search(one)}
            if money:
                told[route.path] = sorted(money)
    assert told == {}


def test_withheld_text_is_not_found_by_searching_it(outside: Outside) -> None:
    from workbench.items.tables import ItemRow

    build(outside)
    with outside.db.write() as session:
        item = session.query(ItemRow).filter_by(public_id=ids("acme")["public_id"]).one()
        item.sensitivity = "high"
    client = client_as(outside, Role.VIEWER)
    found = client.get("/api/v1/projects/sentiment/items?search=text 0 of").json()
    assert [one["id"] if "id" in one else one["public_id"] for one in found["items"]] == []
