"""A real browser on a real app: pages served, everything that goes wrong in them written down."""

from __future__ import annotations

import contextlib
import io
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from tests.end_to_end.installation import Installation
from workbench.app import create_app
from workbench.auth.service import create_user
from workbench.outside import Outside

PASSWORD = "correct horse battery"
expect.set_options(timeout=20_000)


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, without a screen."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield browser
        browser.close()


@contextlib.contextmanager
def serving(outside: Outside) -> Iterator[str]:
    """The address of the workbench's web process, run in a thread."""
    app = create_app(outside)
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


@dataclass
class Visitor:
    """Somebody with a browser of their own.

    Attributes:
        complaints: Console errors, broken scripts, refused content and requests to other sites, in the
            workbench's own pages.
    """

    context: BrowserContext
    base: str
    folder: Path
    complaints: list[str] = field(default_factory=list)

    def open(self, path: str = "") -> Page:
        """A new tab, on a page of the workbench."""
        page = self.context.new_page()
        if path:
            page.goto(self.base + path)
        return page

    def sign_in(self, email: str, password: str = PASSWORD) -> Page:
        """A tab in which this person has signed in."""
        page = self.open("/sign-in")
        page.get_by_label("E-mail").fill(email)
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(lambda url: "/sign-in" not in url)
        return page

    def keep(self, page: Page, name: str) -> Image.Image:
        """The screenshot of a page, kept beside the test's files; it must show something."""
        picture = page.screenshot(path=self.folder / f"{name}.png")
        image = Image.open(io.BytesIO(picture)).convert("RGB")
        colours = image.getcolors(maxcolors=image.width * image.height)
        assert colours is not None
        assert len(colours) > 20, f"{name} is blank"
        return image

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and message.location["url"].startswith(self.base):
            self.complaints.append(message.text)


@contextlib.contextmanager
def visiting(browser: Browser, base: str, folder: Path, **options: object) -> Iterator[Visitor]:
    """A visitor whose pages of the workbench must not complain."""
    folder.mkdir(parents=True, exist_ok=True)
    context = browser.new_context(accept_downloads=True, **options)  # type: ignore[arg-type]
    context.set_default_timeout(20_000)
    visitor = Visitor(context, base, folder)
    context.on("console", visitor._said)
    context.on(
        "weberror",
        lambda error: (
            visitor.complaints.append(str(error.error))
            if error.page and error.page.url.startswith(base)
            else None
        ),
    )
    try:
        yield visitor
    finally:
        context.close()
    assert visitor.complaints == []


def add_user(made: Installation, email: str, name: str, role: str) -> None:
    """Somebody who can sign in with `PASSWORD`."""
    with made.outside.db.write() as session:
        create_user(session, made.outside, email=email, name=name, password=PASSWORD, role=role)
