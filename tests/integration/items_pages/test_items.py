"""The list of items and the page that says why an item has its label."""

from __future__ import annotations

from decimal import Decimal

import pytest
from markupsafe import escape
from sqlalchemy import select, update
from starlette.testclient import TestClient

from tests.integration.overview.plausible import Plausible, plausible_project
from tests.integration.web.clients import client_as
from workbench.auth.domain import Permission
from workbench.auth.tables import PermissionRow
from workbench.decisions.tables import DecisionRow
from workbench.errors import InvalidInput
from workbench.items.tables import ItemMoveRow, ItemPartRow, ItemRow, RevealRow
from workbench.labeling.tables import AnnotationRow, LaneRow, VisitRow
from workbench.outside import Outside
from workbench.overview.item_pages.history import SEALED, item_history
from workbench.overview.item_pages.search import ItemFilter, Sort, find_items
from workbench.overview.item_pages.story import ItemHistory
from workbench.tallies.store import item_costs
from workbench.tallies.tables import LedgerRow

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
    for marker in (
        "1; drop table items",
        "9" * 23,
        "-1",
        "\u0663",
        "\0",
        "0.5_" + "9" * 23,
        "nan_1",
        "inf_1",
        "x_1",
    ):
        for sort in Sort:
            with outside.db.read() as session, pytest.raises(InvalidInput):
                find_items(session, made.project.id, ItemFilter(sort=sort), marker)


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


PURPOSES = ("ordinary", "audit", "blind", "gold")


def reopened(outside: Outside, made: Plausible, state: str) -> dict[str, ItemRow]:
    """One item for each purpose, decided and visited as that purpose is, and brought into the state."""
    found = {}
    with outside.db.write() as session:
        visits = list(session.scalars(select(VisitRow).order_by(VisitRow.id.desc()).limit(len(PURPOSES))))
        lane = session.get_one(LaneRow, visits[0].lane_id)
        others = {c.name: getattr(lane, c.name) for c in LaneRow.__table__.columns if c.name != "id"}
        audits = LaneRow(**others | {"public_id": "f" * 24, "title": "the lane of audits", "overlap": 1})
        session.add(audits)
        session.flush()
        for visit, purpose in zip(visits, PURPOSES, strict=True):
            visit.purpose, visit.overlap, visit.show_suggestion = purpose, 2, purpose == "ordinary"
            if purpose == "audit":
                visit.lane_id, visit.overlap = audits.id, 1
            item = session.get_one(ItemRow, visit.item_id)
            item.state = state
            decision = session.scalars(select(DecisionRow).where(DecisionRow.item_id == item.id)).one()
            decision.purpose, decision.overlap = purpose, visit.overlap
            decision.outcome = "accept" if purpose == "audit" else "people"
            decision.rule = f"rule of {purpose}"
            decision.public_reason = f"rule of {purpose} said so"
            session.execute(
                update(ItemMoveRow)
                .where(ItemMoveRow.item_id == item.id, ItemMoveRow.to_state == "queued")
                .values(reason=decision.public_reason)
            )
            session.execute(
                update(AnnotationRow)
                .where(AnnotationRow.item_id == item.id)
                .values(blind=not visit.show_suggestion)
            )
            found[purpose] = item
    return found


def told(history: ItemHistory) -> dict[str, object]:
    """What a page says of why an item is with people."""
    return {
        "sealed": history.sealed,
        "decisions": [(one.outcome, one.reason, one.rule, one.overlap) for one in history.decisions],
        "visits": [(one.purpose, one.lane, one.overlap) for one in history.visits],
        "queued": [move.reason for move in history.moves if move.to_state == "queued"],
        "predictions": len(history.predictions),
        "saw": {answer.saw_prediction for one in history.visits for answer in one.answers} - {None},
    }


@pytest.mark.parametrize("state", ["queued", "in_labeling", "annotated"])
def test_an_open_audit_reads_like_any_item_with_people(
    client: TestClient, outside: Outside, made: Plausible, state: str
) -> None:
    items = reopened(outside, made, state)
    with outside.db.read() as session:
        histories = {
            name: item_history(session, made.project.id, item.public_id) for name, item in items.items()
        }
    read = [told(one) for one in histories.values()]
    assert all(one == read[0] for one in read)
    assert read[0]["decisions"] == [("people", SEALED, "", 0)]
    assert read[0]["visits"] == [("ordinary", "", 0)]
    assert read[0]["predictions"] == 1  # what is not secret stays of use
    for purpose, item in items.items():
        for address in ("/projects/reviews/items/", "/api/v1/projects/reviews/items/"):
            text = client.get(address + item.public_id).text
            assert not [word for word in ("rule of", "audit", "blind", "gold") if word in text], purpose
    listed = {one["public_id"]: one for one in client.get("/api/v1/projects/reviews/items").json()["items"]}
    assert {item.public_id for item in items.values()} <= listed.keys()
    assert {frozenset(listed[item.public_id]) for item in items.values()} == {
        frozenset({"public_id", "external_id", "state", "language", "text", "predicted", "confidence", "label",
                   "source", "created_at"})
    }  # fmt: skip
    assert all(listed[item.public_id]["predicted"] for item in items.values())


def test_filters_and_order_do_not_part_audits_from_ordinary_items(outside: Outside, made: Plausible) -> None:
    items = reopened(outside, made, "in_labeling")
    names = {item.external_id for item in items.values()}
    for wanted in ({"confidence_from": 0.0}, {"sort": Sort.LEAST_CONFIDENT}, {"state": "in_labeling"}):
        with outside.db.read() as session:
            seen, after = set(), ""
            while True:
                found = find_items(session, made.project.id, ItemFilter(**wanted), after)
                seen |= {one.external_id for one in found.items}
                if not (after := found.after):
                    break
        assert names <= seen


def test_when_people_have_answered_the_page_tells_why(outside: Outside, made: Plausible) -> None:
    items = reopened(outside, made, "resolved")
    with outside.db.read() as session:
        for purpose, item in items.items():
            history = item_history(session, made.project.id, item.public_id)
            assert not history.sealed
            assert [one.purpose for one in history.visits] == [purpose]
            assert history.visits[0].lane
            assert history.decisions[0].outcome == ("accept" if purpose == "audit" else "people")
            assert history.decisions[0].reason == f"rule of {purpose} said so"
            assert SEALED not in [move.reason for move in history.moves]


def test_what_an_item_cost_is_its_ledger_and_for_those_alone_who_see_costs(
    client: TestClient, outside: Outside, made: Plausible
) -> None:
    with outside.db.write() as session:
        visit = session.scalars(select(VisitRow).where(VisitRow.purpose == "ordinary")).first()
        assert visit is not None
        item = session.get_one(ItemRow, visit.item_id)
        paid = session.scalars(select(LedgerRow).where(LedgerRow.item_id == item.id)).first()
        assert paid is not None
        values = {c.name: getattr(paid, c.name) for c in LedgerRow.__table__.columns if c.name != "id"}
        session.add(LedgerRow(**values | {"sequence": 9, "amount": Decimal("1.25"), "note": "correction"}))
    with outside.db.read() as session:
        spent = item_costs(session, [item.id])[item.id]
    address = f"/projects/reviews/items/{item.public_id}"
    assert spent > Decimal("1.25")
    assert Decimal(client.get(f"/api/v1{address}").json()["cost"]) == spent
    assert f"${spent:,.2f}" in client.get(address).text
    with outside.db.write() as session:
        # One row in the table of permissions, and the code's defaults are out of force.
        session.add(PermissionRow(role="admin", permission=Permission.ITEMS_READ))
    client.app.state.role_table.forget()  # type: ignore[attr-defined]
    found = client.get(f"/api/v1{address}")
    assert found.status_code == 200
    assert "cost" not in found.text


def test_an_unknown_item_is_not_found(client: TestClient) -> None:
    assert client.get("/projects/reviews/items/0123456789abcdef01234567").status_code == 404


def test_api_pages_through_items(client: TestClient) -> None:
    first = client.get("/api/v1/projects/reviews/items").json()
    second = client.get(f"/api/v1/projects/reviews/items?after={first['after']}").json()
    assert len(first["items"]) == 50
    assert not {one["public_id"] for one in first["items"]} & {one["public_id"] for one in second["items"]}
