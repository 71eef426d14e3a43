"""A server's page: webhooks, lanes, epochs, and what a person decides there."""

from __future__ import annotations

import pytest

from tests.integration.line.test_sending import ready
from tests.integration.web.clients import client_as
from workbench.inbox.tables import ReceiverRow
from workbench.labeling.life import freeze
from workbench.people.tables import ServerRow


@pytest.fixture
def world(outside):
    made = ready(outside)
    made.sync()
    return made


def test_the_page_shows_lanes_and_webhooks(world):
    client = client_as(world.outside, "admin")
    text = client.get("/servers/1").text
    assert "told at once" in text
    assert world.lane().title in text
    assert client.get("/servers/99").status_code == 404


def test_the_secret_is_changed_by_a_button(world):
    before = world.rows(ReceiverRow)[0].secret
    client = client_as(world.outside, "admin")
    answer = client.post("/servers/1/webhook-secret", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/servers/1")
    row = world.rows(ReceiverRow)[0]
    assert (row.previous, row.secret != before) == (before, True)
    assert client_as(world.outside, "viewer").post("/servers/1/webhook-secret").status_code == 403


def test_a_frozen_server_is_shown_and_a_new_epoch_begun(world):
    freeze(world.outside, 1, "tasks are gone")
    client = client_as(world.outside, "admin")
    assert "a person has to decide" in client.get("/servers/1").text
    assert client.post("/servers/1/check").status_code in {200, 303}
    assert world.rows(ServerRow)[0].state == "frozen", "looking again does not mend it"
    assert client.post("/servers/1/epochs").status_code in {200, 303}
    assert world.rows(ServerRow)[0].epoch == 2
    assert client.post("/api/v1/servers/1/epochs").status_code == 409


def test_items_are_recalled_by_form_and_api(world):
    client = client_as(world.outside, "admin")
    keys = [item.public_id for item in world.items()]
    answer = client.post(
        "/projects/sentiment/items/recall", data={"ids": f"{keys[0]} {keys[1]}"}, follow_redirects=False
    )
    assert answer.status_code == 303
    answer = client.post(
        "/api/v1/projects/sentiment/items/recall", json={"ids": [keys[2]], "pool": "english"}
    )
    assert answer.json() == {"recalled": 1, "busy": 0, "left": 0}
    assert sorted(world.states()) == ["in_labeling", "predicted", "predicted", "queued"]
    assert client.post("/api/v1/projects/sentiment/items/recall", json={"ids": ["x"]}).status_code == 422
