"""Pages in a real browser: nothing blocked, nothing broken, light and dark, wide and narrow."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import pytest
import uvicorn
from fastapi import FastAPI, Request
from playwright.sync_api import Browser, Page, sync_playwright

from tests.factories import make_person, make_pool, make_project, make_rate_card, make_server
from workbench.app import create_app
from workbench.auth.access import Caller, guard_of, guarded_routes, require
from workbench.auth.domain import Permission
from workbench.auth.service import create_user
from workbench.outside import Outside
from workbench.web.render import page as render
from workbench.web.render import templates

pytestmark = pytest.mark.browser
PASSWORD = "correct horse battery"
CHART = """{% extends "web/base.html" %}{% from "web/macros.html" import card, chart, tile, confirm_button %}
{% block title %}Chart{% endblock %}
{% block content %}<div class="stack"><div class="strip">{{ tile("Items", 5, spark=[1, 2, 3]) }}</div>
{% call card("Throughput") %}{{ chart(spec, "Throughput") }}{% endcall %}
{{ confirm_button("Remove", "/account/tokens/1/revoke", "Really?") }}</div>{% endblock %}"""
SPEC = {
    "data": {"values": [{"hour": 1, "items": 5}, {"hour": 2, "items": 8}, {"hour": 3, "items": 2}]},
    "mark": {"type": "bar", "color": "$good"},
    "transform": [{"calculate": "datum.items * 2", "as": "twice"}],
    "encoding": {"x": {"field": "hour", "type": "ordinal"}, "y": {"field": "twice", "type": "quantitative"}},
}


@dataclass
class Visit:
    page: Page
    base: str
    complaints: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield chromium
        chromium.close()


@pytest.fixture
def app(outside: Outside, tmp_path: Path) -> Iterator[FastAPI]:
    with outside.db.write() as session:
        server, pool = make_server(session), make_pool(session)
        make_project(session, server_id=server.id, pool_id=pool.id)
        make_person(session, server, pool, 7)
        make_rate_card(session, pool)
        create_user(session, outside, email="a@example.org", name="Ada", password=PASSWORD, role="admin")
    app = create_app(outside)
    (tmp_path / "chart.html").write_text(CHART)

    @app.get("/chart")
    def chart(request: Request, caller: Annotated[Caller, require(Permission.ACCOUNT)]) -> object:
        return render(request, "chart.html", spec=SPEC)

    paths = templates().loader.searchpath
    paths.append(str(tmp_path))
    yield app
    paths.remove(str(tmp_path))


@contextlib.contextmanager
def served(app: FastAPI) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app, "127.0.0.1", port, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        app.state.stopping.ask()
        server.should_exit = True
        thread.join(20)


@contextlib.contextmanager
def visiting(browser: Browser, app: FastAPI, **options: object) -> Iterator[Visit]:
    with served(app) as base:
        context = browser.new_context(**options)
        visit = Visit(context.new_page(), base)
        visit.page.on(
            "console",
            lambda said: visit.complaints.append(said.text) if said.type in {"error", "warning"} else None,
        )
        visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
        visit.page.on(
            "request",
            lambda asked: (
                None if asked.url.startswith((base, "data:")) else visit.complaints.append(asked.url)
            ),
        )
        visit.page.goto(f"{base}/sign-in")
        visit.page.get_by_label("E-mail").fill("a@example.org")
        visit.page.get_by_label("Password").fill(PASSWORD)
        visit.page.get_by_role("button", name="Sign in").click()
        visit.page.wait_for_url(lambda url: "/sign-in" not in url)
        try:
            yield visit
        finally:
            context.close()


def plain_pages(app: FastAPI) -> list[str]:
    found = []
    for route in guarded_routes(app):
        path = (route.path or "").replace("{key}", "sentiment")
        guard = guard_of(route)
        is_page = "GET" in (route.methods or ()) and not path.startswith(("/api", "/health"))
        if is_page and guard and guard.permission and "{" not in path and not path.endswith("/live"):
            found.append(path)
    return sorted(set(found) - {"/work"})


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 390)])
def test_every_page_keeps_the_policy_and_its_width(
    browser: Browser, app: FastAPI, scheme: str, width: int
) -> None:
    options = {"color_scheme": scheme, "viewport": {"width": width, "height": 900}}
    with visiting(browser, app, **options) as visit:
        wide, seen = [], []
        for path in plain_pages(app):
            answer = visit.page.request.get(visit.base + path)
            if (
                answer.status != 200
                or "html" not in answer.headers.get("content-type", "")
                or "<html" not in answer.text()
            ):
                continue
            visit.page.goto(visit.base + path)
            if visit.page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                wide.append(path)
            seen.append(path)
        assert visit.complaints == []
        assert wide == []
        assert len(seen) > 8


def test_a_chart_is_drawn_and_the_theme_is_remembered(browser: Browser, app: FastAPI) -> None:
    with visiting(browser, app, color_scheme="light") as visit:
        page = visit.page
        page.goto(f"{visit.base}/chart")
        page.wait_for_selector("figure.chart svg .mark-rect path")
        light = page.locator("figure.chart .mark-rect path").first.get_attribute("fill")
        page.get_by_role("button", name="Change between light and dark").click()
        page.wait_for_function(
            f"document.querySelector('figure.chart .mark-rect path').getAttribute('fill') !== '{light}'"
        )
        page.reload()
        assert page.locator("html").get_attribute("data-theme") == "dark"
        page.get_by_text("Show as table").click()
        assert page.get_by_role("cell", name="8").is_visible()
        assert visit.complaints == []


def test_what_destroys_asks_first(browser: Browser, app: FastAPI) -> None:
    with visiting(browser, app) as visit:
        visit.page.goto(f"{visit.base}/chart")
        visit.page.get_by_role("button", name="Remove").click()
        dialog = visit.page.get_by_role("dialog", name="Really?")
        assert dialog.is_visible()
        dialog.get_by_role("button", name="Cancel").click()
        assert not dialog.is_visible()


def test_forms_work_end_to_end(browser: Browser, app: FastAPI) -> None:
    with visiting(browser, app) as visit:
        page = visit.page
        page.goto(f"{visit.base}/projects/sentiment/people")
        page.get_by_label("E-mail").fill("new@example.org")
        page.get_by_role("button", name="Make invitation").click()
        link = page.locator("#invitation-link").inner_text()
        assert link.startswith(f"{visit.base}/invitations/")
        page.get_by_label("Price", exact=True).fill("0.12")
        page.get_by_role("button", name="Set price").click()
        page.wait_for_selector("text=The price is set.")
        assert page.get_by_role("cell", name="$0.12").is_visible()
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_selector("text=You are signed out.")
