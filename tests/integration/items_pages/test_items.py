"""The list of items and the page that says why an item has its label."""

from __future__ import annotations

import pytest
from markupsafe import escape
from sqlalchemy import select, update
from starlette.testclient import TestClient

from tests.integration.overview.plausible import Plausible, plausible_project
from tests.integration.web.clients import client_as
from workbench.decisions.tables import DecisionRow
from workbench.errors import InvalidInput
from workbench.items.tables import ItemPartRow, ItemRow, RevealRow
from workbench.labeling.tables import VisitRow
from workbench.outside import Outside
from workbench.overview.item_pages.history import SEALED, item_history
from workbench.overview.item_pages.search import ItemFilter, Sort, find_items

N = 130


@pytest.fixture
def made(outside: Outside) -> Plausible:
    return plausible_project(outside, n_items=N)


@pytest.fixture
def client(outside: Outside, made: Plausible) -> TestClient:
    return client_as(outside)


def search(outside: Outside, made: Plausible, **wanted: object) -> list[str]:
    with outside.db.read() as session:
        found = find_items(session, made.project.id, ItemFilter(**wanted))  # type: ignore[arg-type]
    return [one.external_id for one in found.items]


@pytest.mark.parametrize("sort", list(Sort))
def test_pages_give_every_item_once(outside: Outside, made: Plausible, sort: Sort) -> None:
    seen, after, pages = [], "", 0
    with outside.db.read() as session:
        while pages == 0 or after:
            found = find_items(session, made.project.id, ItemFilter(sort=sort), after)
            seen += found.items
            after, pages = found.after, pages + 1
    expected = N if sort is Sort.NEWEST else made.expected["predicted"]
    assert len(seen) == len({one.public_id for one in seen}) == expected
    if sort is Sort.LEAST_CONFIDENT:
        confidences = [one.confidence for one in seen if one.confidence is not None]
        assert confidences == sorted(confidences)


def test_search_takes_percent_and_underscore_as_letters(outside: Outside, made: Plausible) -> None:
    with outside.db.write() as session:
        first = made.items[0].id
        session.execute(update(ItemPartRow).where(ItemPartRow.item_id == first).values(text="100%_sure\\x"))
    assert search(outside, made, search="100%_sure\\x") == ["review-00000"]
    assert search(outside, made, search="100_") == []
    assert search(outside, made, search="00012") == ["review-00012"]


def test_filters_narrow_the_list(outside: Outside, made: Plausible) -> None:
    with outside.db.read() as session:
        found = find_items(session, made.project.id, ItemFilter(source="machine", confidence_from=0.8)).items
        assert found
        assert all(one.source == "machine" and (one.confidence or 0) >= 0.8 for one in found)
        assert find_items(session, made.project.id, ItemFilter(state="imported")).items == ()
        against = find_items(session, made.project.id, ItemFilter(disagreement="model")).items
        assert against
        among = find_items(session, made.project.id, ItemFilter(disagreement="people")).items
        assert all(one.source == "people" for one in among)


def test_a_forged_page_marker_is_refused(outside: Outside, made: Plausible) -> None:
    with outside.db.read() as session, pytest.raises(InvalidInput):
        find_items(session, made.project.id, ItemFilter(), "1; drop table items")


@pytest.mark.parametrize(
    "query", ["", "?search=battery", "?from=0.9&sort=least-confident", "?disagreement=people"]
)
def test_the_list_is_a_page(client: TestClient, query: str) -> None:
    assert client.get(f"/projects/reviews/items{query}").status_code == 200


@pytest.mark.parametrize("query", ["?from=high", "?sort=best", "?disagreement=cats"])
def test_a_filter_that_cannot_be_used_says_why(client: TestClient, query: str) -> None:
    page = client.get(f"/projects/reviews/items{query}")
    assert page.status_code == 422
    assert "cannot be filtered" in page.text


def test_text_of_items_cannot_become_markup(client: TestClient) -> None:
    page = client.get("/projects/reviews/items?search=script")
    assert "&lt;script&gt;alert" in page.text
    assert "<script>alert" not in page.text


def test_every_item_page_opens_and_begins_with_the_reason(
    client: TestClient, outside: Outside, made: Plausible
) -> None:
    for item in made.items[::17]:
        page = client.get(f"/projects/reviews/items/{item.public_id}")
        assert page.status_code == 200
        assert 'class="why"' in page.text
        with outside.db.read() as session:
            history = item_history(session, made.project.id, item.public_id)
        assert history.headline
        if history.label is not None and history.label.source == "machine":
            assert "accepted it (rule 'sure enough'" in history.headline


def test_sensitive_content_is_withheld_until_opened_and_the_opening_is_written(
    client: TestClient, outside: Outside, made: Plausible
) -> None:
    item = next(one for one in made.items if one.sensitivity)
    with outside.db.read() as session:
        text = session.scalar(select(ItemPartRow.text).where(ItemPartRow.item_id == item.id)) or ""
    address = f"/projects/reviews/items/{item.public_id}"
    assert text not in client.get(address).text
    assert text not in client.get(f"/projects/reviews/items?search={item.external_id}").text
    assert text not in client.get(f"/api/v1{address}").text
    opened = client.post(f"{address}/open", headers={"HX-Request": "true"})
    assert str(escape(text)) in opened.text
    assert "<html" not in opened.text
    with outside.db.read() as session:
        assert [row.item_id for row in session.scalars(select(RevealRow))] == [item.id]
    assert text not in client.get(address).text


def test_an_audit_looks_like_any_blind_check_and_stays_sealed_while_it_is_open(
    outside: Outside, made: Plausible
) -> None:
    with outside.db.write() as session:
        visit = session.scalars(select(VisitRow).where(VisitRow.purpose == "audit")).first()
        assert visit is not None
        item = session.get_one(ItemRow, visit.item_id)
        item.state = "in_labeling"
        public_id = item.public_id
    with outside.db.read() as session:
        history = item_history(session, made.project.id, public_id)
        decision = session.scalars(select(DecisionRow).where(DecisionRow.item_id == history.item_id)).one()
    assert "audit" in decision.reason
    assert [one.purpose for one in history.visits] == ["blind check"]
    assert history.decisions[0].reason == SEALED
    assert history.decisions[0].outcome == "people"


def test_an_unknown_item_is_not_found(client: TestClient) -> None:
    assert client.get("/projects/reviews/items/0123456789abcdef01234567").status_code == 404


def test_api_pages_through_items(client: TestClient) -> None:
    first = client.get("/api/v1/projects/reviews/items").json()
    second = client.get(f"/api/v1/projects/reviews/items?after={first['after']}").json()
    assert len(first["items"]) == 50
    assert not {one["public_id"] for one in first["items"]} & {one["public_id"] for one in second["items"]}
