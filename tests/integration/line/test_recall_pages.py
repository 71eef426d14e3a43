"""Taking items back by the pages: one from its own page, those ticked, or all that fit the filter."""

from __future__ import annotations

import pytest

from tests.factories import make_pool, make_rate_card
from tests.integration.line.test_sending import ready
from tests.integration.web.clients import client_as
from workbench.activity.tables import EventRow

ITEMS = "/projects/sentiment/items"


@pytest.fixture
def world(outside):
    made = ready(outside)
    made.sync()
    return made


def notice(answer) -> str:
    return answer.headers["set-cookie"]


def test_an_item_is_taken_back_from_its_own_page(world):
    client, item = client_as(world.outside, "pm"), world.items()[0]
    page = client.get(f"{ITEMS}/{item.public_id}").text
    assert "Within seconds nobody is offered these tasks any more" in page
    form = {"ids": item.public_id, "which": "one", "where": "decision", "reason": "the wrong people"}
    answer = client.post(f"{ITEMS}/recall", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{ITEMS}/{item.public_id}")
    assert "1%20item%20taken%20back" in notice(answer)
    page = client.get(f"{ITEMS}/{item.public_id}").text
    assert "the wrong people" in page
    assert "take-back-ask" not in page, "it is with nobody any more"
    assert [event.about for event in world.rows(EventRow, EventRow.verb == "item.recalled")] == [
        f"item:{item.public_id}"
    ]


def test_ticked_items_go_to_another_pool(world):
    with world.outside.db.write() as session:
        make_rate_card(session, make_pool(session, key="experts")).project_id = world.project_id
    client = client_as(world.outside, "pm")
    assert '<option value="experts"' in client.get(ITEMS).text
    keys = [item.public_id for item in world.items()[:2]]
    answer = client.post(f"{ITEMS}/recall", data={"ids": keys, "which": "ticked", "where": "experts"})
    assert "2%20items%20taken%20back" in notice(answer)
    world.sync()
    assert sorted(visit.state for visit in world.visits()) == ["in_lane"] * 4 + ["recalled"] * 2


def test_all_that_fit_the_filter_are_taken_back_and_no_other(world):
    client = client_as(world.outside, "pm")
    third = world.items()[2]
    form = {"which": "found", "query": f"search={third.external_id}"}
    answer = client.post(f"{ITEMS}/recall", data=form)
    assert answer.headers["location"] == f"{ITEMS}?search={third.external_id}"
    assert world.states() == ["in_labeling", "in_labeling", "predicted", "in_labeling"]
    assert client.post(f"{ITEMS}/recall", data={"which": "found"}).status_code == 303
    assert world.states() == ["predicted"] * 4
    assert client.post(f"{ITEMS}/recall", data={"which": "found"}).status_code == 422, "nothing is left"


@pytest.mark.parametrize(
    "form",
    [
        {"which": "ticked"},
        {"which": "found", "query": "from=2"},
        {"which": "nothing"},
        {"ids": "x"},
        {"which": "found", "where": "nobody"},
    ],
)
def test_bad_forms_change_nothing(world, form):
    answer = client_as(world.outside, "pm").post(f"{ITEMS}/recall", data=form)
    assert answer.status_code in {404, 422}
    assert world.states() == ["in_labeling"] * 4


def test_who_may_not_sees_no_button_and_is_refused(world):
    client, item = client_as(world.outside, "viewer"), world.items()[0]
    for page in (ITEMS, f"{ITEMS}/{item.public_id}"):
        assert "take-back-ask" not in client.get(page).text
    assert client.post(f"{ITEMS}/recall", data={"ids": item.public_id}).status_code == 403
