"""A project manager's day in the browser: from nothing to a file of labels, without seeing YAML."""

from __future__ import annotations

import csv
from pathlib import Path

import openpyxl
import pytest
from playwright.sync_api import Page, expect

from integrations.label_studio.client import LabelStudioClient
from models.keyword import KeywordPredictor
from tests.end_to_end.browsing import Visitor, add_user, chromium, serving, visiting
from tests.end_to_end.installation import KEYWORDS, Installation, wait_until, worker
from tests.label_studio_server import TestServer
from workbench.adapters import model_loader
from workbench.auth.service import ensure_roles
from workbench.db import migrate
from workbench.outside import Outside, outside_of
from workbench.settings import load_settings

pytestmark = [pytest.mark.browser, pytest.mark.label_studio]
PROJECT = "/projects/visitors-book"
ONE_WORD, TWO_WORDS, NO_WORD = 12, 6, 9
"""Texts by how many keywords of the model they hold: it is 82%, 89% and 33% sure of them."""
ITEMS = ONE_WORD + TWO_WORDS + NO_WORD


def messy_workbook(path: Path) -> None:
    """A title over the columns, an empty row, a date, other scripts, and one row without a text."""
    sheet = openpyxl.Workbook().active
    sheet.append(["Visitors' book, autumn"])
    sheet.merge_cells("A1:C1")
    sheet.append(["No.", "What they wrote", "Day"])
    texts = [f"Room {i}: a splendid stay" for i in range(ONE_WORD)]
    texts += [f"Tisch {i}: dreadful Käse, dreadful 天气" for i in range(TWO_WORDS)]
    texts += [f"Visit {i} came and went" for i in range(NO_WORD)]
    for number, text in enumerate(texts, start=1):
        sheet.append([f"v-{number}", text, f"2026-10-{number % 28 + 1:02d}"])
        if number == 5:
            sheet.append([None, None, None])
    sheet.append(["v-broken", None, "2026-10-30"])
    sheet.parent.save(path)


@pytest.fixture
def made(tmp_path: Path, label_studio_server: TestServer):
    """An installation with nothing but a project manager and a model's folder."""
    settings = load_settings(data_dir=tmp_path / "data", poll_seconds=0.5, idle_poll_seconds=1.0)
    migrate.upgrade(settings)
    with LabelStudioClient(label_studio_server.url, label_studio_server.token, timeout_s=60) as client:
        outside = outside_of(settings, label_studio=lambda *_: client, load_model=model_loader(settings))
        yield prepared(outside, label_studio_server, tmp_path)
        outside.db.close()


def prepared(outside: Outside, server: TestServer, folder: Path) -> Installation:
    with outside.db.write() as session:
        ensure_roles(session)
    made = Installation(outside, server, 0, 0, folder)
    add_user(made, "paula@example.org", "Paula", "pm")
    KeywordPredictor(KEYWORDS).save(folder / "data" / "models" / "keywords")
    messy_workbook(folder / "book.xlsx")
    return made


def test_from_a_template_to_a_file_of_labels(made: Installation, tmp_path: Path) -> None:
    with (
        worker(made),
        serving(made.outside) as base,
        chromium() as browser,
        visiting(browser, base, tmp_path / "pm", viewport={"width": 1280, "height": 900}) as paula,
    ):
        page = paula.sign_in("paula@example.org")
        columns = makes_a_project(page, made)
        gives_it_a_model(page, paula, made.folder / "data" / "models" / "keywords")
        watches_items_come_in(page, paula, columns)
        finds_and_understands_an_item(page, paula)
        moves_the_threshold(page, paula)
        carries_the_labels_home(page, paula, tmp_path)


def makes_a_project(page: Page, made: Installation) -> str:
    page.get_by_role("link", name="New project").first.click()
    page.get_by_role("link", name="Sentiment", exact=True).click()
    page.get_by_label("Title").fill("Visitors' book")
    page.get_by_label("Address", exact=True).first.fill("visitors-book")
    page.locator("#accept_at").fill("80")
    expect(page.locator("#accept_words")).to_contain_text("80%")
    page.locator("#audit_percent").fill("0")
    page.locator("#price").fill("0.08")
    page.locator("#server").select_option("+")
    page.get_by_text("Connect another server").click()
    page.locator("#server_name").fill("Main")
    page.locator("#server_url").fill(made.server.url)
    page.locator("#server_token").fill(made.server.token)
    page.locator("#file").set_input_files(made.folder / "book.xlsx")
    page.locator("#people").fill("Ada Nwosu ada@example.org\nBo Lindqvist bo@example.org")
    page.get_by_role("button", name="Make the project").click()
    expect(page.get_by_text("/invitations/")).to_have_count(2)
    address = page.get_by_role("link", name="Choose the file's columns").get_attribute("href")
    assert address
    return address


def gives_it_a_model(page: Page, paula: Visitor, folder: Path) -> None:
    page.goto(paula.base + PROJECT + "/models")
    page.get_by_label("Folder on this machine").fill(str(folder))
    page.get_by_role("button", name="Register").click()
    page.get_by_role("button", name="Promote").click()
    page.get_by_role("button", name="Make it live").click()
    expect(page.get_by_text("is live:")).to_be_visible()


def watches_items_come_in(page: Page, paula: Visitor, columns: str) -> None:
    overview = paula.open(PROJECT)
    expect(overview.get_by_text("No items yet")).to_be_visible()
    overview.evaluate("window.notReloaded = true")
    page.goto(paula.base + columns)
    expect(page.locator("#text")).to_have_value("What they wrote")
    page.locator("#external_id").select_option("No.")
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.locator(".tile", has_text="Added")).to_contain_text(str(ITEMS))
    expect(page.locator(".tile", has_text="Rejected")).to_contain_text("1")
    resolved = overview.locator(".tile", has_text="Resolved").first
    overview.bring_to_front()
    expect(resolved).to_contain_text(f"{ONE_WORD + TWO_WORDS} of {ITEMS}")
    expect(overview.get_by_text("Items by state")).to_be_visible()
    expect(overview.get_by_text("No items yet")).to_have_count(0)
    assert overview.evaluate("window.notReloaded")
    expect(overview.get_by_text("1 row was rejected")).to_be_visible()
    paula.keep(overview, "overview")
    overview.close()


def finds_and_understands_an_item(page: Page, paula: Visitor) -> None:
    page.goto(paula.base + PROJECT + "/items")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(ITEMS)
    page.get_by_label("Search").fill("天气")
    page.get_by_role("button", name="Search").click()
    expect(rows).to_have_count(TWO_WORDS)
    page.get_by_label("Search").fill("")
    page.get_by_label("Resolved by").select_option("machine")
    expect(rows).to_have_count(ONE_WORD + TWO_WORDS)
    page.get_by_label("Final label").select_option("Positive")
    expect(rows).to_have_count(ONE_WORD)
    rows.first.get_by_role("link").click()
    expect(page.locator(".why")).to_contain_text("because keywords@1 predicted it with confidence 0.82")
    expect(page.locator(".why")).to_contain_text("0.82 ≥ 0.80")


def moves_the_threshold(page: Page, paula: Visitor) -> None:
    page.goto(paula.base + PROJECT + "/routing")
    page.locator("[data-mirrors=threshold]").fill("0.85")
    expect(page.locator("#threshold")).to_have_value("0.85")
    change = page.locator("#before-saving")
    expect(change).to_contain_text("66.7% are accepted under the policy in force")
    expect(change).to_contain_text("this one would have accepted 22.2%")
    expect(change).to_contain_text(f"{ONE_WORD} items would have gone another way")
    paula.keep(page, "routing")
    page.get_by_label("Why").fill("too many mistakes at 0.8")
    page.get_by_role("button", name="Save and put in force").click()
    expect(page.get_by_text("Version 2 is in force")).to_be_visible()
    expect(page.get_by_role("cell", name="confidence >= 0.85")).to_be_visible()


def carries_the_labels_home(page: Page, paula: Visitor, folder: Path) -> None:
    page.goto(paula.base + PROJECT)
    page.get_by_role("link", name="Export labels").click()
    page.get_by_label("Format").select_option("csv")
    page.get_by_role("button", name="Export", exact=True).click()
    with page.expect_download() as awaited:
        page.get_by_role("link", name="Labels", exact=True).click()
    path = folder / "labels.csv"
    awaited.value.save_as(path)
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == ONE_WORD + TWO_WORDS
    assert {row["external_id"] for row in rows} == {f"v-{n}" for n in range(1, ONE_WORD + TWO_WORDS + 1)}
    assert {row["label"] for row in rows} == {"Positive", "Negative"}
    wait_until(lambda: paula.complaints == [], seconds=1, what=str(paula.complaints))
