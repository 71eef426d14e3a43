"""Hostile texts, labels and names on the screen of a real Label Studio run nothing and call nobody."""

import http.server
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page, sync_playwright

from integrations.label_studio.errors import LabelConfigInvalid
from integrations.label_studio.interface import LaneSpec, NewTask
from integrations.label_studio.label_config import LabelOption, choices_config
from integrations.label_studio.safe_config import rewritten
from tests.label_studio_server import PASSWORD

pytestmark = [pytest.mark.label_studio, pytest.mark.browser]
CHROMIUM = "/usr/bin/chromium"


@contextmanager
def beacon() -> Iterator[tuple[str, list[str]]]:
    """An address of somebody else, and what was asked of it."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    there = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=there.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{there.server_address[1]}", asked
    finally:
        there.shutdown()
        there.server_close()
        thread.join(5)


def payloads(evil: str) -> list[str]:
    return [
        f"<script>fetch('{evil}/script')</script>",
        f"<img src=x onerror=\"fetch('{evil}/onerror');alert(1)\">",
        f"<img src='{evil}/img'>",
        f"<svg onload=\"fetch('{evil}/svg')\"></svg>",
        f"<iframe src='{evil}/iframe'></iframe>",
        f"<style>@import '{evil}/import';</style>",
        f"<link rel=stylesheet href='{evil}/link'>",
        f"<a href='javascript:fetch(\"{evil}/href\")'>here</a>",
        f"{evil}/plain-address.png",
        f"$text {{{{constructor.constructor('fetch(\"{evil}/template\")')()}}}}",
        f"]]></Text><Image value='{evil}/closed'/>",
    ]


def signed_in(page: Page, server) -> None:
    _, email = server.new_member("Eva")
    page.goto("/user/login/")
    page.fill("input[name=email]", email)
    page.fill("input[name=password]", PASSWORD)
    page.click("button[type=submit]")
    page.wait_for_url(lambda url: "login" not in url)


def test_hostile_text_is_shown_as_text(label_studio, label_studio_server):
    with beacon() as (evil, asked), sync_playwright() as playwright:
        hostile = payloads(evil)
        label = f"<img src=x onerror=\"fetch('{evil}/label');alert(1)\">"
        options = [LabelOption(label, hint=hostile[1]), LabelOption("b", title=hostile[0])]
        xml = rewritten(choices_config(options, question=hostile[1]))
        spec = LaneSpec(
            f"test:{uuid.uuid4().hex}", "Hostile <b>lane</b>", xml, 1, hostile[1] + hostile[2], hostile[1]
        )
        lane = label_studio.create_lane(spec)
        try:
            label_studio.push(
                lane,
                [
                    NewTask(f"v{n}", f"i{n}", {"text": text}, float(n), "m", [])
                    for n, text in enumerate(hostile)
                ],
            )
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1280, "height": 800}, base_url=label_studio_server.url)
            dialogs: list[str] = []
            page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
            foreign: list[str] = []
            ours = label_studio_server.url
            page.on(
                "request",
                lambda one: (
                    foreign.append(one.url) if not one.url.startswith((ours, "data:", "blob:")) else None
                ),
            )
            signed_in(page, label_studio_server)
            page.goto(label_studio.lane_url(lane))
            page.get_by_text("Labeling Instructions").wait_for()
            page.keyboard.press("Escape")
            page.get_by_text("Labeling Instructions").wait_for(state="hidden")
            shown = []
            for text in hostile:
                page.get_by_text(text[:30], exact=False).first.wait_for()
                shown.append(text)
                page.keyboard.press("2")
                page.keyboard.press("Control+Enter")
            page.goto(f"/projects/{lane}/data")
            page.wait_for_timeout(1500)
            browser.close()
            assert shown == hostile
            assert dialogs == []
            assert asked == []
            assert foreign == []
        finally:
            label_studio.delete_lane(lane)


def test_what_is_refused_here_would_have_run_there(label_studio, label_studio_server):
    """Why HyperText is refused: the same text, shown by it, calls the foreign address."""
    with beacon() as (evil, asked), sync_playwright() as playwright:
        xml = (
            '<View><HyperText name="item" value="$text"/><Choices name="label" toName="item" choice="single">'
            '<Choice value="a"/><Choice value="b"/></Choices></View>'
        )
        with pytest.raises(LabelConfigInvalid, match="HTML"):
            rewritten(xml)
        spec = LaneSpec(f"test:{uuid.uuid4().hex}", "Hostile lane", xml, 1, "Read.", "Lane")
        lane = label_studio.create_lane(spec)
        try:
            label_studio.push(
                lane, [NewTask("v", "i", {"text": f"hello <img src='{evil}/img'>"}, 1.0, "m", [])]
            )
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1280, "height": 800}, base_url=label_studio_server.url)
            signed_in(page, label_studio_server)
            page.goto(label_studio.lane_url(lane))
            page.get_by_text("Labeling Instructions").wait_for()
            page.keyboard.press("Escape")
            page.wait_for_timeout(3000)
            browser.close()
            assert asked[:1] == ["/img"]
        finally:
            label_studio.delete_lane(lane)
