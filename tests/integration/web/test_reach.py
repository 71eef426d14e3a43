"""Who has a role in one project alone reaches its pools and people, and none of another project's."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from starlette.testclient import TestClient

from tests.factories import make_items, make_person, make_pool, make_project, make_server
from tests.integration.web.clients import client_as
from workbench.auth.domain import Permission, Role
from workbench.auth.service import ensure_roles
from workbench.auth.tables import PermissionRow
from workbench.items.domain import ItemState
from workbench.outside import Outside
from workbench.people.tables import InvitationRow, PoolMemberRow, RateCardRow
from workbench.projects.reading import read_document
from workbench.setup.service import set_up_project

PEOPLE = "/projects/sentiment/people"
PRICES = ("0.0871", "0.2231", "71.5", "123456")
DOCUMENT = {
    "id": "spam", "title": "Spam or not", "labels": [{"value": "spam"}, {"value": "ham"}],
    "budget": {"cap": PRICES[3], "all_human_baseline_per_label": PRICES[1]},
    "pools": [{"id": "readers", "price": PRICES[0]}],
    "suppliers": [{"id": "acme", "rates": [{"skill": "jurists", "unit": "hour", "price": PRICES[2]}]}],
}  # fmt: skip


@dataclass
class Two:
    """Two projects, each with a pool and a person; `pm` manages `sentiment` alone."""

    outside: Outside
    pm: TestClient
    own: int
    foreign: int
    own_person: str
    foreign_person: str
    item: str

    def members(self) -> int:
        with self.outside.db.read() as session:
            return session.query(PoolMemberRow).filter_by(left_at=None).count()


@pytest.fixture
def two(outside: Outside) -> Two:
    with outside.db.write() as session:
        server = make_server(session)
        pools = [make_pool(session, "english"), make_pool(session, "secret-lab")]
        projects = [
            make_project(session, key, pool_id=pool.id, server_id=server.id)
            for key, pool in zip(("sentiment", "other"), pools, strict=True)
        ]
        people = [make_person(session, server, pool, n + 1) for n, pool in enumerate(pools)]
        item = make_items(session, projects[0], 1, state=ItemState.IN_LABELING)[0]
        own, foreign = (pool.id for pool in pools)
        own_person, foreign_person = (person.public_id for person in people)
        here, key = projects[0].id, item.public_id
    pm = client_as(outside, Role.PM, project_id=here)
    return Two(outside, pm, own, foreign, own_person, foreign_person, key)


def test_nobody_is_invited_to_anothers_pool(two: Two) -> None:
    form = {"email": "new@example.org", "name": "New", "pool": str(two.foreign)}
    assert two.pm.post(f"{PEOPLE}/invitations", data=form).status_code == 404
    given = {"email": "new@example.org", "pool": "secret-lab"}
    assert two.pm.post("/api/v1/projects/sentiment/invitations", json=given).status_code == 404
    with two.outside.db.read() as session:
        assert session.query(InvitationRow).count() == 0
    assert two.pm.post(f"{PEOPLE}/invitations", data=form | {"pool": str(two.own)}).status_code == 200


def test_nobody_is_added_to_or_removed_from_anothers_pool(two: Two) -> None:
    added = {"person": two.own_person, "pool": str(two.foreign)}
    assert two.pm.post(f"{PEOPLE}/members", data=added).status_code == 404
    removed = {"person": two.foreign_person, "pool": str(two.foreign)}
    assert two.pm.post(f"{PEOPLE}/members/remove", data=removed).status_code == 404
    assert two.members() == 2


def test_anothers_pool_gets_no_price(two: Two) -> None:
    form = {"pool": str(two.foreign), "unit": "item", "price": "9", "currency": "USD"}
    assert two.pm.post(f"{PEOPLE}/prices", data=form).status_code == 404
    given = {"pool": "secret-lab", "unit": "item", "price": "9"}
    assert two.pm.post("/api/v1/projects/sentiment/prices", json=given).status_code == 404
    with two.outside.db.read() as session:
        assert session.query(RateCardRow).count() == 0


def test_items_are_not_recalled_to_anothers_pool(two: Two) -> None:
    form = {"ids": two.item, "where": "secret-lab"}
    assert two.pm.post("/projects/sentiment/items/recall", data=form).status_code == 404
    given = {"ids": [two.item], "pool": "secret-lab"}
    assert two.pm.post("/api/v1/projects/sentiment/items/recall", json=given).status_code == 404


def test_nothing_ticked_takes_nothing_back(two: Two) -> None:
    answer = two.pm.post("/projects/sentiment/items/recall", data={"which": "ticked", "where": "decision"})
    assert answer.status_code == 422
    assert "ick the items" in answer.text


def test_anothers_people_are_not_shown_or_added(two: Two) -> None:
    form = {"person": two.foreign_person, "pool": str(two.own)}
    page = two.pm.get(PEOPLE).text
    assert ("person1@example.org" in page, "person2@example.org" in page) == (True, False)
    there, nowhere = (
        two.pm.post(f"{PEOPLE}/members", data=form | {"person": one}) for one in (form["person"], "f" * 24)
    )
    assert (there.status_code, nowhere.status_code) == (404, 404)
    assert two.members() == 2
    everywhere = client_as(two.outside, Role.PM)
    assert "person2@example.org" in everywhere.get(PEOPLE).text
    assert everywhere.post(f"{PEOPLE}/members", data=form).status_code == 303


def test_who_left_can_be_added_again(two: Two) -> None:
    form = {"person": two.own_person, "pool": str(two.own)}
    assert two.pm.post(f"{PEOPLE}/members/remove", data=form).status_code == 303
    assert "person1@example.org" in two.pm.get(PEOPLE).text
    assert two.pm.post(f"{PEOPLE}/members", data=form).status_code == 303
    assert two.members() == 2


def _policy(pool: str) -> dict[str, object]:
    return {"document": {"rules": [{"name": "all", "when": "true", "pool": pool}]}, "activate": True}


def test_a_policy_names_own_pools_alone(two: Two) -> None:
    routing = "/api/v1/projects/sentiment/routing"
    for path in (routing, f"{routing}/preview"):
        foreign, unknown = (two.pm.post(path, json=_policy(pool)) for pool in ("secret-lab", "secret-xyz"))
        assert (foreign.status_code, unknown.status_code) == (422, 422)
        assert foreign.json()["detail"] == unknown.json()["detail"].replace("secret-xyz", "secret-lab")
    form = {"name-0": "all", "when-0": "true", "pool-0": "secret-lab", "activate": "yes"}
    assert two.pm.post("/projects/sentiment/routing", data=form).status_code == 422
    assert two.pm.post(routing, json=_policy("english")).status_code == 201
    assert "secret-lab" not in two.pm.get("/projects/sentiment/routing").text.lower()
    # What somebody with all projects chose stays theirs to use.
    assert client_as(two.outside, Role.PM).post(routing, json=_policy("secret-lab")).status_code == 201
    assert two.pm.post(routing, json=_policy("secret-lab")).status_code == 201


@pytest.fixture
def priced(outside: Outside) -> Outside:
    set_up_project(outside, read_document(DOCUMENT), "x")
    return outside


def test_prices_are_left_out_of_documents_for_who_may_not_read_them(priced: Outside) -> None:
    client = client_as(priced, Role.VIEWER)
    text = client.get("/projects/spam/project.yaml").text
    given = client.get("/api/v1/projects/spam/specification")
    for price in PRICES:
        assert price not in text
        assert price not in given.text
    assert text.startswith("# NOT FOR APPLYING: prices are left out")
    assert [pool["id"] for pool in given.json()["specification"]["pools"]] == ["readers"]
    manager = client_as(priced, Role.PM)
    whole = manager.get("/api/v1/projects/spam/specification").json()["specification"]
    assert all(price in str(whole) for price in PRICES)
    assert manager.put("/api/v1/projects/spam", json=whole).json()["changed"] is False


def test_a_document_without_prices_is_not_applied(priced: Outside) -> None:
    client, manager = client_as(priced, Role.VIEWER), client_as(priced, Role.PM)
    without = client.get("/api/v1/projects/spam/specification").json()["specification"]
    answer = manager.put("/api/v1/projects/spam", json=without)
    assert answer.status_code == 422
    assert "prices are left out" in answer.text
    text = client.get("/projects/spam/project.yaml").text
    page = manager.post("/projects/spam/settings/plan", files={"file": ("spam.yaml", text)})
    assert page.status_code == 422
    assert "applying this would remove them" in page.text
    with priced.db.read() as session:
        assert session.query(RateCardRow).filter_by(valid_to=None).count() == 2


def test_a_document_with_other_prices_needs_the_right_to_them(priced: Outside) -> None:
    manager = client_as(priced, Role.PM)
    whole = manager.get("/api/v1/projects/spam/specification").json()["specification"]
    with priced.db.write() as session:
        ensure_roles(session)
        for permission in (Permission.RATES_EDIT, Permission.RATES_READ):
            session.delete(session.get(PermissionRow, (Role.PM, permission)))
    editor = client_as(priced, Role.PM)
    other = whole | {"pools": [{"id": "readers", "price": "0.01"}]}
    for answer in (
        editor.put("/api/v1/projects/spam", json=other),
        editor.post("/api/v1/projects/spam/plan", json=other),
    ):
        assert answer.status_code == 403
        assert PRICES[0] not in answer.text
    assert editor.put("/api/v1/projects/spam", json=whole | {"title": "Spam?"}).json()["changed"] is True
