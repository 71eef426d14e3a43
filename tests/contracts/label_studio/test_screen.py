from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, sync_playwright

from integrations.label_studio.convert import Answer, to_answers, to_result
from tests.contracts.label_studio.conftest import task
from tests.label_studio_server import PASSWORD

pytestmark = [pytest.mark.label_studio, pytest.mark.browser]
CHROMIUM = "/usr/bin/chromium"


@pytest.fixture
def new_page(label_studio_server) -> Iterator[Callable[[str], Page]]:
    """Makes a fresh browser in which a new person has signed in."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])

        def make(name: str) -> Page:
            _, email = label_studio_server.new_member(name)
            page = browser.new_page(viewport={"width": 1280, "height": 800}, base_url=label_studio_server.url)
            page.goto("/user/login/")
            page.fill("input[name=email]", email)
            page.fill("input[name=password]", PASSWORD)
            page.click("button[type=submit]")
            page.wait_for_url(lambda url: "login" not in url)
            return page

        yield make
        browser.close()


def begin(page: Page, address: str) -> None:
    page.goto(address)
    page.get_by_text("Labeling Instructions").wait_for()
    page.keyboard.press("Escape")
    page.get_by_text("Labeling Instructions").wait_for(state="hidden")


def test_the_lane_address_opens_the_most_urgent_task_and_keys_are_enough(
    label_studio, lane, config, new_page
):
    page = new_page("Eva")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    result = to_result(config, ["negative"], 0.6)
    made = label_studio.push(lane, [task(1, 2.0, result=result), task(2, 1.0, result=result), task(3, 3.0)])
    begin(page, label_studio.lane_url(lane))
    page.get_by_text("text 2").wait_for()
    assert page.get_by_label("negative").is_checked()
    page.keyboard.press("1")
    assert page.get_by_label("Positive").is_checked()
    assert not page.get_by_label("negative").is_checked()
    page.keyboard.press("Control+Enter")
    page.get_by_text("text 1").wait_for()
    assert page.get_by_label("negative").is_checked()
    page.keyboard.press("Control+Enter")
    # A blind visit shows nothing chosen.
    page.get_by_text("text 3").wait_for()
    assert not any(page.get_by_label(name).is_checked() for name in ("Positive", "negative", "neutral"))
    answers = {one.visit_key: one.annotations for one in label_studio.read_tasks(lane, made.values())}
    assert to_answers(config, answers["visit-2"][0].result) == (Answer("label", "choice", "positive"),)
    assert to_answers(config, answers["visit-1"][0].result) == (Answer("label", "choice", "negative"),)
    assert answers["visit-3"] == ()
    # Nothing was asked of any other machine.
    hosts = {address.split("/")[2] for address in asked if address.startswith("http")}
    assert hosts == {label_studio.url.split("/")[2]}


def test_two_people_are_given_different_tasks(label_studio, lane, new_page):
    label_studio.push(lane, [task(n) for n in range(4)])
    first, second = new_page("Eva"), new_page("Fritz")
    begin(first, label_studio.lane_url(lane))
    first.get_by_text("text 0").wait_for()
    begin(second, label_studio.lane_url(lane))
    second.get_by_text("text 1").wait_for()
