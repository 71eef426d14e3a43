"""Every route and every role: nothing is open that does not say so."""

from __future__ import annotations

import re
from typing import Annotated, Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from tests.factories import make_pool, make_project, make_server
from tests.integration.web.clients import client_as
from workbench.app import create_app
from workbench.auth.access import Caller, guard_of, guarded_routes, public
from workbench.auth.domain import DEFAULT_ROLES, WITHOUT_PROJECT, Permission, Role
from workbench.outside import Outside

NOBODY, STRANGER = "", "stranger"
BETWEEN = {Role.PM, Role.ML_ENGINEER, Role.QA_LEAD, Role.VIEWER}
PUBLIC = {
    "/", "/health", "/health/ready", "/api/openapi.json", "/sign-in", "/sign-in/code", "/sign-in/with/{name}",
    "/sign-in/with/{name}/back", "/invitations/{token}", "/reset/{token}",
}  # fmt: skip
ENDS_THE_WALK = {("POST", "/sign-out"), ("DELETE", "/api/v1/sessions")}


@pytest.fixture
def app(outside: Outside) -> FastAPI:
    with outside.db.write() as session:
        server = make_server(session)
        pool = make_pool(session)
        make_project(session, server_id=server.id, pool_id=pool.id)
        make_project(session, "another")
    made = create_app(outside)
    made.state.stopping.ask()  # live pages end at once
    return made


def address_of(path: str) -> str:
    path = path.replace("{key}", "sentiment")
    return re.sub(r"\{(\w+)(:\w+)?\}", lambda found: "999999" if "id" in found[1] else "none", path)


def calls(app: FastAPI) -> list[tuple[str, str, Permission | None]]:
    found = []
    for route in guarded_routes(app):
        guard = guard_of(route)
        assert guard is not None
        assert route.path is not None
        found += [(method, route.path, guard.permission) for method in sorted(route.methods or ())]
    return sorted(found, key=str)


@pytest.mark.parametrize("role", [NOBODY, STRANGER, *Role])
def test_each_role_gets_what_its_rows_say(app: FastAPI, outside: Outside, role: str) -> None:
    client = TestClient(app, follow_redirects=False)
    if role == STRANGER:  # a role in another project alone
        with outside.db.read() as session:
            from workbench.projects.store import find_project

            another = find_project(session, "another").id
        client_as(outside, Role.PM, project_id=another, client=client)
    else:
        client_as(outside, role, client=client)
    wrong = []
    for method, path, permission in calls(app):
        if path == "/health/ready" or ((method, path) in ENDS_THE_WALK and role != NOBODY):
            continue  # tests make their tables without a release; signing out would end the walk
        if role in BETWEEN and permission in DEFAULT_ROLES[Role(role)]:
            continue  # the pages themselves are opened as admin, annotator and stranger
        status = client.request(method, address_of(path)).status_code
        if status >= 500 or not _fits(role, path, permission, status):
            wrong.append((method, path, permission, status))
    assert wrong == []


def _fits(role: str, path: str, permission: Permission | None, status: int) -> bool:
    if permission is None:
        return path in PUBLIC
    if role == NOBODY:
        return status == 401 if path.startswith("/api/") else status == 303
    if role == STRANGER:
        if "{key}" in path:
            return status == 404
        return (status == 403) == (permission not in WITHOUT_PROJECT)
    if "{key}" in path and Permission.PROJECTS_READ not in DEFAULT_ROLES[Role(role)]:
        return status == 404
    return (status == 403) == (permission not in DEFAULT_ROLES[Role(role)])


def test_a_project_somebody_may_not_know_of_is_like_one_that_is_not_there(
    app: FastAPI, outside: Outside
) -> None:
    client = client_as(outside, Role.ANNOTATOR, client=TestClient(app, follow_redirects=False))
    for path in ("/projects/{}", "/projects/{}/items", "/api/v1/projects/{}/figures"):
        there, nowhere = client.get(path.format("sentiment")), client.get(path.format("nonesuch"))
        assert (there.status_code, nowhere.status_code) == (404, 404)
        by_chance = r"[0-9a-f]{16}\.[0-9a-f]{64}|nonce=\"[\w-]+\""
        shown, other = (re.sub(by_chance, "", one.text) for one in (there, nowhere))
        assert shown.replace("sentiment", "nonesuch") == other
        assert "Sentiment" not in there.text


def test_who_knows_a_project_is_told_what_they_may_not_do_in_its_frame(
    app: FastAPI, outside: Outside
) -> None:
    client = client_as(outside, Role.VIEWER, client=TestClient(app, follow_redirects=False))
    page = client.get("/projects/sentiment/import")
    assert page.status_code == 403
    assert "Sentiment" in page.text


def test_admin_may_everything_and_annotators_only_their_work() -> None:
    assert DEFAULT_ROLES[Role.ADMIN] == frozenset(Permission)
    assert DEFAULT_ROLES[Role.ANNOTATOR] == {Permission.ACCOUNT, Permission.WORK}


def test_an_application_with_an_undeclared_route_is_not_built(app: FastAPI) -> None:
    @app.get("/forgotten")
    def forgotten() -> dict[str, Any]:
        return {}

    with pytest.raises(RuntimeError, match="/forgotten declares no permission"):
        guarded_routes(app)


def test_a_mounted_application_is_refused(app: FastAPI) -> None:
    app.mount("/more", FastAPI())
    with pytest.raises(RuntimeError, match="/more"):
        guarded_routes(app)


def test_public_is_a_declaration(app: FastAPI) -> None:
    @app.get("/open")
    def opened(caller: Annotated[Caller, public()]) -> dict[str, Any]:
        return {"known": caller.identity is not None}

    guarded_routes(app)
    assert TestClient(app).get("/open").json() == {"known": False}


def test_pages_never_load_torch() -> None:
    import subprocess
    import sys

    code = "import sys; from workbench.app import feature_routers; list(feature_routers()); print('torch' in sys.modules or 'transformers' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"
