"""A person's way from a link to an account on a real Label Studio."""

from __future__ import annotations

from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from integrations.label_studio.client import LabelStudioClient
from tests.factories import make_pool, make_project
from tests.integration.web.clients import client_as
from tests.label_studio_server import TestServer
from workbench.app import create_app
from workbench.outside import Outside
from workbench.people.tables import AccountRow


@pytest.mark.label_studio
def test_connect_invite_accept(outside: Outside, label_studio_server: TestServer) -> None:
    opened: list[LabelStudioClient] = []

    def client(url: str, token: str) -> LabelStudioClient:
        opened.append(LabelStudioClient(url, token, timeout_s=60))
        return opened[-1]

    there = replace(outside, label_studio=client)
    pm = client_as(there, "pm", client=TestClient(create_app(there), follow_redirects=False))
    wrong = pm.post("/servers", data={"name": "Main", "url": label_studio_server.url, "token": "f" * 40})
    assert wrong.status_code == 422
    assert "token" in wrong.text
    given = {"name": "Main", "url": label_studio_server.url, "token": label_studio_server.token}
    assert pm.post("/servers", data=given).status_code == 303
    assert label_studio_server.token not in pm.get("/servers").text
    with there.db.write() as session:
        make_project(session, server_id=1, pool_id=make_pool(session).id)

    page = pm.post(
        "/projects/sentiment/people/invitations",
        data={"email": "wei@example.org", "name": "Wei Chen", "pool": "1"},
    ).text
    link = page.partition('id="invitation-link">')[2].partition("<")[0]
    path = "/invitations/" + link.rpartition("/")[2]
    guest = TestClient(pm.app, follow_redirects=False)
    assert "wei@example.org" in guest.get(path).text
    assert guest.post(path, data={"password": "short"}).status_code == 422
    assert guest.post(path, data={"password": "a long password"}).status_code == 303
    assert guest.get("/").headers["location"] == "/work"
    assert guest.get("/projects/sentiment/people").status_code == 404
    with label_studio_server.sign_in("wei@example.org", "a long password") as browser:
        me = browser.get("/api/current-user/whoami").json()
    with there.db.read() as session:
        assert session.query(AccountRow).one().ls_user_id == me["id"]
    assert "Wei Chen" in pm.get("/projects/sentiment/people").text
    again = TestClient(pm.app, follow_redirects=False)
    assert again.post(path, data={"password": "a long password"}).status_code == 409
    for one in opened:
        one.close()
