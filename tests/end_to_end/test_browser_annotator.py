"""One visit as an annotator: from the invitation through the real Label Studio and back to our page."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from PIL import Image, ImageChops
from playwright.sync_api import Page, expect

from tests.end_to_end.browsing import PASSWORD, Visitor, chromium, serving, visiting
from tests.end_to_end.installation import BY, KEY, Installation, Note, installation, wait_until, worker
from tests.integration.web.clients import client_as
from tests.label_studio_server import TestServer
from workbench.auth.domain import Permission
from workbench.people.invitations import invite_person
from workbench.people.store import pool_ids

pytestmark = [pytest.mark.browser, pytest.mark.label_studio]
SHOWN = Note("note-1", "Our guide was splendid and the weather kind", "Positive", "urgent")
BLIND = Note("note-2", "A splendid view, they said, and then fog", "Negative", "sealed")
ROUTING = {
    "accept_at": 0.99,
    "routes": [
        {"when": 'meta.kind == "urgent"', "priority": 90},
        {"when": 'meta.kind == "sealed"', "show_suggestion": False, "priority": 10},
    ],
    "audit_rate": 0,
    "blind_rate": 0,
}


def test_an_annotator_is_led_to_an_answer_and_it_comes_back(
    tmp_path: Path, label_studio_server: TestServer
) -> None:
    with (
        installation(tmp_path, label_studio_server, readers=(), routing=ROUTING) as made,
        worker(made),
        serving(made.outside) as base,
        chromium() as browser,
        visiting(browser, base, tmp_path / "ada", viewport={"width": 1280, "height": 900}) as ada,
    ):
        email, token = invited(made)
        page = accepts_the_invitation(ada, token)
        expect(page.get_by_text("Nothing waits for you right now")).to_be_visible()
        made.bring_in([SHOWN, BLIND])
        is_taken_to_label_studio(page, made.server.url, email)

        expect(page.get_by_text(SHOWN.text)).to_be_visible()
        expect(choice(page, "Positive")).to_be_checked()
        suggested = ada.keep(page, "suggestion")
        answers(page, "3", "Negative")
        chosen = ada.keep(page, "chosen")
        assert differs(suggested, chosen, page, "Positive")
        assert differs(suggested, chosen, page, "Negative")
        page.get_by_role("button", name="Submit current annotation").click()

        expect(page.get_by_text(BLIND.text)).to_be_visible()
        for label in ("Positive", "Neutral", "Negative"):
            expect(choice(page, label)).not_to_be_checked()
        ada.keep(page, "blind")
        comes_back(made, SHOWN, "Negative", saw_prediction=True)

        answers(page, "2", "Neutral")
        page.get_by_role("button", name="Submit current annotation").click()
        comes_back(made, BLIND, "Neutral", saw_prediction=False)


def invited(made: Installation) -> tuple[str, str]:
    email = f"ada-{uuid.uuid4().hex[:8]}@example.com"
    with made.outside.db.write() as session:
        invitation = invite_person(
            session,
            made.outside,
            email=email,
            name="Ada",
            pool_id=pool_ids(session)["readers"],
            project_id=None,
            server_id=made.server_id,
            by=BY,
            may=frozenset(Permission),
        )
    return email, invitation.token


def accepts_the_invitation(ada: Visitor, token: str) -> Page:
    page = ada.open(f"/invitations/{token}")
    expect(page.get_by_text("Welcome, Ada")).to_be_visible()
    page.get_by_label("Choose a password").fill(PASSWORD)
    page.get_by_role("button", name="Accept").click()
    page.wait_for_url("**/work")
    return page


def is_taken_to_label_studio(page: Page, address: str, email: str) -> None:
    page.wait_for_url(f"{address}/user/login/**")
    page.locator("input[name=email]").fill(email)
    page.locator("input[name=password]").fill(PASSWORD)
    page.locator("input[name=password]").press("Enter")


def choice(page: Page, label: str):
    return page.locator("label", has_text=label).locator("input")


def answers(page: Page, hotkey: str, label: str) -> None:
    page.keyboard.press(hotkey)
    expect(choice(page, label)).to_be_checked()


def differs(before: Image.Image, after: Image.Image, page: Page, label: str) -> bool:
    """Whether the place of a choice looks different on two screenshots."""
    box = page.locator("label", has_text=label).bounding_box()
    assert box is not None
    area = (
        round(box["x"]), round(box["y"]), round(box["x"] + box["width"]), round(box["y"] + box["height"])
    )  # fmt: skip
    return ImageChops.difference(before.crop(area), after.crop(area)).getbbox() is not None


def comes_back(made: Installation, note: Note, label: str, *, saw_prediction: bool) -> None:
    """The answer stands on our item page within seconds."""
    client = client_as(made.outside, "pm")

    def found() -> dict | None:
        rows = client.get(f"/api/v1/projects/{KEY}/items", params={"search": note.external_id}).json()[
            "items"
        ]
        item = client.get(f"/api/v1/projects/{KEY}/items/{rows[0]['public_id']}").json()
        return item if item["state"] == "resolved" else None

    item = wait_until(found, seconds=15, what=f"the answer to {note.external_id}")
    (answer,) = [one for visit in item["visits"] for one in visit["answers"]]
    assert (answer["person"], answer["label"], answer["status"]) == ("Ada", label, "counted")
    assert answer["saw_prediction"] is saw_prediction
    assert answer["lead_time_s"] > 0
    page = client.get(f"/projects/{KEY}/items/{item['public_id']}").text
    assert f"“{label}”, because 1 of 1 counted answer said so (Ada)" in page
