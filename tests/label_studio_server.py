"""One real Label Studio a session, for every test that asks for it (a pytest plugin)."""

import contextlib
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from integrations.label_studio.accounts import sign_up
from integrations.label_studio.client import LabelStudioClient
from integrations.label_studio.interface import Member
from integrations.label_studio.server import LocalServerSpec, free_port, new_token, prepare, start, stop

ROOT = Path(__file__).resolve().parent.parent
PYTHON = ROOT / ".venv-ls" / "bin" / "python"
TEMPLATE = ROOT / ".cache" / "label-studio-template"
PASSWORD = "a-password-for-tests-1"


@dataclass(frozen=True)
class TestServer:
    """A real server with its owner's token."""

    __test__ = False

    url: str
    token: str
    pid: int
    admin_email: str
    admin_password: str
    data_dir: Path

    def client(self, *, timeout_s: float = 60.0) -> LabelStudioClient:
        """A new client of the owner; the caller closes it."""
        return LabelStudioClient(self.url, self.token, timeout_s=timeout_s)

    def new_member(self, name: str = "Ann") -> tuple[Member, str]:
        """A new account and its e-mail address; every password is `PASSWORD`."""
        email = f"person-{uuid.uuid4().hex[:8]}@example.com"
        with self.client() as client:
            invitation = client.invite_token()
        member = sign_up(
            self.url, invitation, email, PASSWORD, first_name=name, last_name="Tester", timeout_s=60
        )
        return member, email

    def sign_in(
        self, email: str, password: str = PASSWORD
    ) -> contextlib.AbstractContextManager[httpx.Client]:
        """A browser-like session that has signed in."""
        return sign_in(self.url, email, password)


@contextlib.contextmanager
def sign_in(url: str, email: str, password: str) -> Iterator[httpx.Client]:
    """A browser-like session of an account; knows nothing but what a person knows."""
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as browser:
        page = browser.get("/user/login/")
        csrf = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
        assert csrf is not None, "the sign-in page has no form"
        form = {"csrfmiddlewaretoken": csrf[1], "email": email, "password": password}
        answer = browser.post("/user/login/", data=form, headers={"Referer": url})
        assert answer.status_code == httpx.codes.FOUND, f"sign-in failed ({answer.status_code})"
        yield browser


@contextlib.contextmanager
def running_server(data_dir: Path, *, workers: int = 2, receiver: str = "") -> Iterator[TestServer]:
    """A server on a fresh data folder, stopped and removed at the end; it may tell `receiver` of changes.

    Without `.venv-ls` it fails and says to run `make bootstrap`; nothing is skipped.
    """
    prepare(TEMPLATE, PYTHON)
    token, email = new_token(), "admin@example.com"
    spec = LocalServerSpec(
        data_dir=data_dir,
        port=free_port(),
        python=PYTHON,
        admin_email=email,
        admin_password=PASSWORD,
        admin_token=token,
        template_dir=TEMPLATE,
        workers=workers,
        receiver=receiver,
    )
    running = start(spec)
    try:
        yield TestServer(running.url, token, running.pid, email, PASSWORD, data_dir)
    finally:
        stop(running.pid)
        shutil.rmtree(data_dir, ignore_errors=True)


@pytest.fixture(scope="session")
def label_studio_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestServer]:
    """The session's one server, started when the first test asks for it."""
    with running_server(tmp_path_factory.mktemp("label-studio") / f"data-{os.getpid()}") as server:
        yield server


@pytest.fixture
def label_studio(label_studio_server: TestServer) -> Iterator[LabelStudioClient]:
    """A client of the server's owner."""
    with label_studio_server.client() as client:
        yield client
