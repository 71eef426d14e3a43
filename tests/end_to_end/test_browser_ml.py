"""An ML engineer's visit: what the versions are worth, training another, and making one live."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select

from models.keyword import KeywordPredictor
from tests.end_to_end.browsing import Visitor, add_user, chromium, serving, visiting
from tests.end_to_end.installation import (
    HINTS,
    KEY,
    Installation,
    at_work,
    installation,
    notes,
    wait_until,
    worker,
)
from tests.label_studio_server import TestServer
from workbench.jobs.store import last_job
from workbench.model_versions.tables import ModelVersionRow
from workbench.training.jobs import TRAIN

pytestmark = [pytest.mark.browser, pytest.mark.label_studio]
MODELS = f"/projects/{KEY}/models"


def stages(made: Installation) -> dict[str, str]:
    with made.outside.db.read() as session:
        rows = session.execute(select(ModelVersionRow.name, ModelVersionRow.stage))
        return {row.name: row.stage for row in rows}


def twelve_items_labeled(made: Installation) -> None:
    """By the model and by people; the worker is gone afterwards, so that jobs wait."""
    with worker(made):
        made.bring_in(notes(12))
        with at_work(made):
            wait_until(lambda: made.states() == {"resolved": 12}, seconds=60, what=f"{made.states()}")


def test_versions_training_and_promotion(tmp_path: Path, label_studio_server: TestServer) -> None:
    with installation(tmp_path, label_studio_server, readers=("Ann", "Ben")) as made:
        twelve_items_labeled(made)
        add_user(made, "mikko@example.org", "Mikko", "ml_engineer")
        folder = made.outside.settings.model_folders[0].resolve()
        folder.mkdir(parents=True, exist_ok=True)
        KeywordPredictor({label: [word] for label, word in HINTS.items()}).save(folder / "hints")
        with (
            serving(made.outside) as base,
            chromium() as browser,
            visiting(browser, base, tmp_path / "mikko", viewport={"width": 1280, "height": 900}) as mikko,
        ):
            page = mikko.sign_in("mikko@example.org")
            page.goto(base + MODELS)
            reads_what_a_version_is_worth(page)
            registers_another(page, mikko, folder)
            promotes_it_after_being_asked(page, made)
            page.get_by_role("button", name="Train a model").click()
            expect(page.get_by_text("Training is under way")).to_be_visible()
            mikko.keep(page, "models")
            cancels_the_training(page, base, made)


def reads_what_a_version_is_worth(page: Page) -> None:
    live = page.locator(".version", has_text="keywords@1")
    expect(live.locator(".pill")).to_have_text("live")
    expect(live.locator("dl.figures").first).to_contain_text("Items predicted")
    expect(live.locator("dl.figures dd").first).to_have_text("12")


def registers_another(page: Page, mikko: Visitor, folder: Path) -> None:
    page.get_by_label("Folder on this machine").fill(str(folder / "no-such-folder"))
    page.get_by_role("button", name="Register").click()
    expect(page.locator("#folder-error")).to_be_visible()
    assert [line.partition("status of ")[2][:3] for line in mikko.complaints] == ["422"]
    mikko.complaints.clear()
    page.get_by_label("Folder on this machine").fill(str(folder / "hints"))
    page.get_by_role("button", name="Register").click()
    expect(page.locator(".version")).to_have_count(2)


def promotes_it_after_being_asked(page: Page, made: Installation) -> None:
    before = stages(made)
    page.get_by_role("button", name="Promote").click()
    asks = page.get_by_role("dialog", name="Make hints@1 live?")
    expect(asks).to_contain_text("It replaces keywords@1")
    asks.get_by_role("button", name="Cancel").click()
    assert stages(made) == before
    page.get_by_role("button", name="Promote").click()
    asks.get_by_role("button", name="Make it live").click()
    expect(page.get_by_text("hints@1 is live:")).to_be_visible()
    assert stages(made) == {"keywords": "retired", "hints": "live"}


def cancels_the_training(page: Page, base: str, made: Installation) -> None:
    page.goto(f"{base}/projects/{KEY}/jobs")
    training = page.locator("tbody tr", has_text="Training")
    training.get_by_role("button", name="Cancel").first.click()
    page.get_by_role("button", name="Cancel the job").click()
    # No worker is there to end it: until one looks, it is known as about to stop.
    expect(training.locator(".pill")).to_have_text("cancelling")
    with made.outside.db.read() as session:
        job = last_job(session, TRAIN, made.project_id)
    assert job is not None
    assert (job.state, job.created_by) == ("cancelling", "mikko@example.org")
