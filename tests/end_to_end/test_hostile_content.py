"""Whatever items, people, labels and files are called: no page runs it, and nothing is asked of another site."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urldefrag, urlsplit

import pytest
from playwright.sync_api import Browser, Page, Response

from tests.end_to_end.browsing import chromium, serving, visiting
from tests.end_to_end.hostile import EVALUATED, poison, seed
from workbench.app import create_app
from workbench.auth.access import guarded_routes
from workbench.auth.identify import cookie_name
from workbench.auth.service import create_user, open_session
from workbench.auth.store import user_by_email
from workbench.outside import Outside

pytestmark = [pytest.mark.browser, pytest.mark.database("sqlite")]

PAGES_OF_A_KIND = 2
NOT_PAGES = re.compile(
    r"^/api/|^/health|/live$|/(rows|list|progress|top|charts|tables|people|parts)$|/new/(preview|threshold)$|"
    r"/labels$|/manifest$|/corrections$|/rejects$|project\.yaml$|answers\.(csv|xlsx)$|^/supplier/lanes/|"
    r"^/(reset|invitations)/|^/sign-in|^/hooks/|^/$"
)
"""Parts of pages that their pages load, downloads, streams, ways out, and what only a stranger sees."""
PEOPLE = {"/projects/{key}/people", "/supplier/people"}
"""Pages with the name of a part."""
OF_A_LEAD = ("/supplier", "/account", "/supplier/people")
OF_AN_ADMIN = (
    "/projects", "/work", "/account", "/servers", "/users", "/operations", "/activity", "/suppliers",
)  # fmt: skip
CHARTS_DRAWN = """() => [...document.querySelectorAll('figure.chart')].every(one => one.dataset.drawn)
  && !document.querySelector('.plot.waiting')"""
TALL = {"width": 1280, "height": 9000}
"""Charts are drawn when they come into view: here all are."""
WATCH = """
window.attack = () => { document.documentElement.dataset.attacked = '1' };
document.addEventListener('securitypolicyviolation', event => {
  document.documentElement.dataset.refused = event.violatedDirective + ' ' + event.blockedURI;
});
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as made:
        yield made


def kind_of(path: str, patterns: list[tuple[str, re.Pattern[str]]]) -> str:
    return next((name for name, pattern in patterns if pattern.fullmatch(path)), "")


def is_page(kind: str) -> bool:
    return kind in PEOPLE or not NOT_PAGES.search(kind)


def test_no_page_runs_what_it_shows(outside: Outside, browser: Browser, tmp_path: Path):
    unlinked = seed(outside)
    with outside.db.write() as session:
        admin = create_user(
            session, outside, email="admin@example.org", name="A", password="long enough 1", role="admin"
        )
        lead = user_by_email(session, "lead@acme.example")
        assert lead is not None
        visitors = [
            (open_session(session, outside, admin.id, browser="b"), (*OF_AN_ADMIN, *unlinked)),
            (open_session(session, outside, lead.id, browser="b"), OF_A_LEAD),
        ]
        reached = poison(session, admin.id)
    assert len(reached) > 60, reached
    routes = {
        str(route.path): re.compile(re.sub(r"\{\w+(:\w+)?\}", "[^/]+", str(route.path)))
        for route in guarded_routes(create_app(outside))
        if "GET" in (route.methods or ())
    }
    # The most exact pattern first: /projects/new is no project.
    patterns = sorted(routes.items(), key=lambda one: one[0].count("{"))
    visited: set[str] = set()
    found: list[str] = []
    with serving(outside) as base:
        for secret, starts in visitors:
            with visiting(browser, base, tmp_path, viewport=TALL) as visitor:
                visitor.context.add_cookies([{"name": cookie_name(outside), "value": secret, "url": base}])
                visitor.context.add_init_script(WATCH)
                seen = Walk(visitor.open(), base, patterns)
                for start in starts:
                    seen.visit(start)
                found += seen.found + visitor.complaints
                visitor.complaints.clear()
                visited |= set(seen.visited)
    assert found == [], "\n".join(found)
    assert {path for path in routes if is_page(path)} - visited == set()


class Walk:
    """One tab, led through every page that links lead to."""

    def __init__(self, page: Page, base: str, patterns: list[tuple[str, re.Pattern[str]]]) -> None:
        self.page, self.base, self.patterns = page, base, patterns
        self.visited: Counter[str] = Counter()
        self.found: list[str] = []
        self._known: set[str] = set()
        page.on("dialog", lambda dialog: (self.found.append(f"dialog {page.url}"), dialog.dismiss()))
        page.on("request", self._asked)
        page.on("response", self._answered)

    def visit(self, start: str) -> None:
        waiting = [start]
        while waiting:
            address = waiting.pop(0)
            path = urlsplit(address).path
            kind = kind_of(path, self.patterns)
            if not kind or not is_page(kind) or self.visited[kind] >= PAGES_OF_A_KIND:
                continue
            self.visited[kind] += 1
            waiting += self._look(address)

    def _look(self, address: str) -> list[str]:
        self.page.goto(self.base + address, wait_until="load")
        self.page.wait_for_load_state("networkidle")
        self.page.wait_for_function(CHARTS_DRAWN)
        state = self.page.evaluate("() => ({...document.documentElement.dataset})")
        text = self.page.inner_text("body")
        self.found += [
            f"{address}: {name} {state[name]}" for name in ("attacked", "refused") if name in state
        ]
        if EVALUATED in text:
            self.found.append(f"{address}: a template was evaluated")
        bad = "iframe, object, embed, [onerror], [onload], a[href^='javascript'], link[href*='attacker']"
        if self.page.locator(bad).count():
            self.found.append(f"{address}: markup of the attack is in the page")
        links = self.page.eval_on_selector_all("a[href]", "all => all.map(a => a.href)")
        here = [urldefrag(one)[0] for one in links if one.startswith(self.base)]
        fresh = [one[len(self.base) :] for one in here if one not in self._known]
        self._known |= set(here)
        return fresh

    def _asked(self, request: object) -> None:
        url = str(request.url)  # type: ignore[attr-defined]
        if not url.startswith((self.base, "data:", "blob:")):
            self.found.append(f"{self.page.url} asks {url}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400:
            self.found.append(f"{response.status} {response.url}")


def test_the_walk_finds_a_page_that_runs_what_it_shows(
    outside: Outside, browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The same walk, where one template forgets to escape and the policy of the pages is gone."""
    from workbench.auth import account_pages
    from workbench.web import middleware

    assert hasattr(middleware, "SecurityHeaders")
    with outside.db.write() as session:
        user = create_user(
            session, outside, email="admin@example.org", name="A", password="long enough 1", role="admin"
        )
        secret = open_session(session, outside, user.id, browser="b")
        poison(session, user.id)
    from starlette.responses import HTMLResponse

    monkeypatch.setattr(
        account_pages,
        "page",
        lambda request, template, **values: HTMLResponse('<img src=x onerror="attack()">'),
    )
    with serving(outside) as base, visiting(browser, base, tmp_path) as visitor:
        visitor.context.add_cookies([{"name": cookie_name(outside), "value": secret, "url": base}])
        visitor.context.add_init_script(WATCH)
        seen = Walk(visitor.open(), base, [("/account", re.compile("/account"))])
        seen.visit("/account")
        visitor.complaints.clear()
    assert any("markup of the attack" in one for one in seen.found)
    assert any("refused" in one or "attacked" in one for one in seen.found)
