"""One event for each change: every route that changes something is walked, and must leave its event."""

from __future__ import annotations

import re
import secrets
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import func, select
from starlette.testclient import TestClient

from integrations.label_studio.interface import ServerInfo
from models.keyword import KeywordPredictor
from tests.factories import make_items, make_person, make_pool, make_project, make_server
from tests.integration.overview.plausible import plausible_project
from tests.integration.web.clients import client_as
from workbench.activity.service import verify
from workbench.activity.tables import EventRow
from workbench.app import create_app
from workbench.auth.access import guarded_routes
from workbench.auth.domain import Permission, Role
from workbench.incidents.store import report_incident
from workbench.jobs.store import report, start_job
from workbench.model_versions.store import versions_of
from workbench.outside import Outside
from workbench.people.invitations import invite_person

SAFE = {"GET", "HEAD", "OPTIONS"}
NO_EVENT = {
    "POST /projects/new/preview": "shows, changes nothing",
    "POST /projects/{key}/routing/preview": "shows, changes nothing",
    "POST /api/v1/projects/{key}/routing/preview": "shows, changes nothing",
    "POST /projects/{key}/settings/plan": "shows, changes nothing",
    "POST /api/v1/projects/{key}/plan": "shows, changes nothing",
    "POST /projects/{key}/import": "keeps a file until an import starts from it",
}
TOLD_IN_THEIR_OWN_TESTS = ("/account", "/users", "/sign-in", "/sign-out", "/reset/", "/api/v1/tokens", "/api/v1/sessions", "/supplier", "/api/v1/supplier", "/webhooks", "/servers/{server_id}/webhook", "/api/v1/servers/{server_id}/webhook", "/servers/{server_id}/epochs", "/api/v1/servers/{server_id}/epochs", "/servers/{server_id}/dead-letters", "/projects/{key}/items/recall", "/api/v1/projects/{key}/items/recall")  # fmt: skip
"""Signing in, suppliers, webhooks, epochs and recall: walked where they are made."""


class Server:
    def probe(self) -> ServerInfo:
        return ServerInfo("1.23.2", 1, 1, "owner@example.org", True, 1.0, {"community": True})

    def members(self) -> list[Any]:
        return []


class World:
    """An installation in which every change can be made; `calls` knows how."""

    def __init__(self, outside: Outside) -> None:
        self.outside = replace(outside, label_studio=lambda url, token: Server())
        self.made = plausible_project(outside, n_items=40)
        with outside.db.write() as session:
            server = make_server(session, name="spare")
            pool = make_pool(session, "spare")
            self.server, self.pool = server.id, pool.id
            self.person = make_person(session, server, make_pool(session, "elsewhere"), 99)
            self.empty = make_project(session, "empty", server_id=server.id, pool_id=pool.id)
            make_items(session, self.empty, 1)
        self.app = create_app(self.outside)
        self.admin = client_as(self.outside, client=TestClient(self.app, follow_redirects=False))

    def events(self) -> int:
        with self.outside.db.read() as session:
            return session.scalar(select(func.count()).select_from(EventRow)) or 0

    def actors_since(self, seq: int) -> set[str]:
        with self.outside.db.read() as session:
            return set(session.scalars(select(EventRow.actor).where(EventRow.seq > seq)))

    def job(self, state: str) -> str:
        with self.outside.db.write() as session:
            job_id = start_job(
                session, "export", {}, job_id=secrets.token_hex(8), project_id=self.made.project.id,
                by="test", now=self.outside.now(),
            )  # fmt: skip
            report(session, job_id, state=state)
        return job_id

    def incident(self) -> int:
        with self.outside.db.write() as session:
            return report_incident(session, secrets.token_hex(4), "x", "y", now=self.outside.now()).id

    def invitation(self) -> str:
        with self.outside.db.write() as session:
            return invite_person(
                session, self.outside, email=f"{secrets.token_hex(4)}@example.org", name="Wei",
                pool_id=None, project_id=None, server_id=None, by="test",
                may=frozenset(map(str, Permission)), role=Role.VIEWER,
            ).token  # fmt: skip

    def model(self) -> str:
        folder = self.outside.settings.data_dir / "models" / secrets.token_hex(4)
        folder.parent.mkdir(parents=True, exist_ok=True)
        KeywordPredictor({"Positive": [secrets.token_hex(3)], "Negative": ["bad"]}).save(folder)
        return str(folder)

    def connected(self) -> int:
        from workbench.people.service import connect_server

        return connect_server(
            self.outside, name="there", url="http://there.example/", token="secret", by="test"
        ).id

    def unpromoted(self) -> int:
        self.admin.post("/api/v1/projects/reviews/models", json={"folder": self.model()})
        with self.outside.db.read() as session:
            return max(row.id for row in versions_of(session, self.made.project.id))

    def draft(self) -> int:
        document = {"rules": [{"name": secrets.token_hex(3), "when": "true"}]}
        answer = self.admin.post(
            "/api/v1/projects/reviews/routing", json={"document": document, "activate": False}
        )
        return answer.json()["id"] if "id" in answer.json() else answer.json()["version"]

    def document(self, key: str) -> dict[str, Any]:
        return {
            "id": key,
            "title": f"Project {secrets.token_hex(3)}",
            "labels": [{"value": "Positive"}, {"value": "Negative"}],
        }

    def upload(self) -> str:
        answer = self.admin.post(
            "/projects/reviews/import",
            files={"file": ("new.csv", f"id,text\n{secrets.token_hex(4)},hello\n", "text/csv")},
        )
        assert answer.status_code == 303, answer.text[-600:]
        return answer.headers["location"]


def calls(w: World) -> dict[str, Any]:
    """By route: what to send so that something changes."""
    j, f = "json", "data"
    sensitive = w.made.items[0].public_id
    new_member = {"person": w.person.public_id, "pool": str(w.pool)}
    return {
        "POST /projects/{key}/state": lambda: ("/projects/empty/state", f, {"state": "paused"}),
        "PUT /api/v1/projects/{key}/state": lambda: ("/api/v1/projects/empty/state", j, {"state": "active"}),
        "POST /api/v1/projects": lambda: ("/api/v1/projects", j, w.document("fresh")),
        "PUT /api/v1/projects/{key}": lambda: ("/api/v1/projects/fresh", j, w.document("fresh")),
        "POST /projects/{key}/people/invitations": lambda: (
            "/projects/empty/people/invitations", f, {"email": "a@example.org", "pool": str(w.pool)}),
        "POST /api/v1/projects/{key}/invitations": lambda: (
            "/api/v1/projects/empty/invitations", j, {"email": "b@example.org"}),
        "POST /projects/{key}/people/members": lambda: ("/projects/empty/people/members", f, new_member),
        "POST /projects/{key}/people/members/remove": lambda: (
            "/projects/empty/people/members/remove", f, new_member),
        "POST /projects/{key}/people/prices": lambda: (
            "/projects/empty/people/prices", f,
            {"pool": str(w.pool), "unit": "item", "price": "0.5", "currency": "USD"}),
        "POST /api/v1/projects/{key}/prices": lambda: (
            "/api/v1/projects/empty/prices", j, {"pool": "spare", "unit": "hour", "price": "9"}),
        "POST /servers": lambda: (
            "/servers", f, {"name": "new", "url": "http://labels.example/", "token": "secret"}),
        "POST /api/v1/servers": lambda: (
            "/api/v1/servers", j, {"name": "newer", "url": "http://labels.example/", "token": "secret"}),
        "POST /servers/{server_id}/check": lambda: (f"/servers/{w.connected()}/check", f, {}),
        "POST /api/v1/servers/{server_id}/check": lambda: (
            f"/api/v1/servers/{w.connected()}/check", j, {}),
        "POST /servers/{server_id}/members": lambda: (f"/servers/{w.connected()}/members", f, {}),
        "POST /projects/{key}/import/files/{upload_id}": lambda: (
            w.upload(), f, {"text": "text", "external_id": "id"}),
        "POST /api/v1/projects/{key}/imports": lambda: (
            "/api/v1/projects/reviews/imports", "files",
            {"file": ("some.csv", f"id,text\n{secrets.token_hex(4)},hi\n", "text/csv")}),
        "POST /api/v1/projects/{key}/routing": lambda: (
            "/api/v1/projects/reviews/routing", j,
            {"document": {"rules": [{"name": "all", "when": "true"}]}, "activate": True}),
        "POST /projects/{key}/routing/{policy_id}/activate": lambda: (
            f"/projects/reviews/routing/{w.draft()}/activate", f, {}),
        "POST /projects/{key}/exports": lambda: ("/projects/reviews/exports", f, {"format": "csv"}),
        "POST /api/v1/projects/{key}/exports": lambda: (
            "/api/v1/projects/reviews/exports", j, {"format": "jsonl"}),
        "POST /projects/{key}/items/{public_id}/open": lambda: (
            f"/projects/reviews/items/{sensitive}/open", f, {}),
        "POST /projects/{key}/models": lambda: ("/projects/reviews/models", f, {"folder": w.model()}),
        "POST /api/v1/projects/{key}/models": lambda: (
            "/api/v1/projects/reviews/models", j, {"folder": w.model()}),
        "POST /projects/{key}/models/{version_id}/promote": lambda: (
            f"/projects/reviews/models/{w.unpromoted()}/promote", f, {}),
        "POST /api/v1/projects/{key}/models/{version_id}/promote": lambda: (
            f"/api/v1/projects/reviews/models/{w.unpromoted()}/promote", j, {}),
        "POST /projects/{key}/models/train": lambda: ("/projects/reviews/models/train", f, {}),
        "POST /api/v1/projects/{key}/models/train": lambda: ("/api/v1/projects/empty/models/train", j, {}),
        "POST /projects/{key}/jobs/{job_id}/cancel": lambda: (
            f"/projects/reviews/jobs/{w.job('queued')}/cancel", f, {}),
        "POST /projects/{key}/jobs/{job_id}/resume": lambda: (
            f"/projects/reviews/jobs/{w.job('failed')}/resume", f, {}),
        "POST /api/v1/projects/{key}/jobs/{job_id}/cancel": lambda: (
            f"/api/v1/projects/reviews/jobs/{w.job('queued')}/cancel", j, {}),
        "POST /api/v1/projects/{key}/jobs/{job_id}/resume": lambda: (
            f"/api/v1/projects/reviews/jobs/{w.job('failed')}/resume", j, {}),
        "POST /operations/incidents/{incident_id}/acknowledge": lambda: (
            f"/operations/incidents/{w.incident()}/acknowledge", f, {}),
        "POST /api/v1/operations/incidents/{incident_id}/acknowledge": lambda: (
            f"/api/v1/operations/incidents/{w.incident()}/acknowledge", j, {}),
        "POST /operations/invariants": lambda: ("/operations/invariants", f, {}),
        # The last one: it signs the browser in as somebody else.
        "POST /invitations/{token}": lambda: (
            f"/invitations/{w.invitation()}", f, {"password": "a long password"}),
    }  # fmt: skip


WALKED_BY_FORM = {
    "POST /projects/new": "its forms have tests of their own; what it calls is walked by the API",
    "POST /projects/{key}/settings": "the same use case as PUT /api/v1/projects/{key}",
    "POST /projects/{key}/settings/apply": "the same use case as PUT /api/v1/projects/{key}",
    "POST /projects/{key}/routing": "the same use case as POST /api/v1/projects/{key}/routing",
}


@pytest.mark.database("sqlite")
def test_every_route_that_changes_something_leaves_an_event(outside: Outside) -> None:
    w = World(outside)
    known = calls(w)
    unsafe = {
        f"{method} {route.path}"
        for route in guarded_routes(w.app)
        for method in set(route.methods or ()) - SAFE
    }
    judged = {one for one in unsafe if not one.partition(" ")[2].startswith(TOLD_IN_THEIR_OWN_TESTS)}
    assert judged - set(known) - set(NO_EVENT) - set(WALKED_BY_FORM) == set(), "say here how to call it"
    wrong = []
    for name, call in known.items():
        path, how, given = call()
        before = w.events()
        answer = w.admin.request(name.partition(" ")[0], path, **{how: given})
        if answer.status_code >= 400:
            wrong.append((name, answer.status_code, re.sub(r"\s+", " ", answer.text)[-300:]))
        elif w.events() <= before:
            wrong.append((name, answer.status_code, "no event"))
        elif {actor.partition("@")[2] for actor in w.actors_since(before)} != {"example.org"}:
            wrong.append(
                (name, answer.status_code, f"not said to be done by a person: {w.actors_since(before)}")
            )
    assert wrong == []
    with outside.db.read() as session:
        assert verify(session, deep=True).broken is None
        told = " ".join(map(str, session.execute(select(EventRow.before, EventRow.after))))
        assert "'secret'" not in told
        assert "a long password" not in told


@pytest.mark.database("sqlite")
def test_what_changes_nothing_leaves_no_event(outside: Outside) -> None:
    w = World(outside)
    w.admin.put("/api/v1/projects/empty/state", json={"state": "active"})
    for path in ("/api/v1/projects/nowhere/state", "/api/v1/projects/empty/state"):
        before = w.events()
        w.admin.put(path, json={"state": "active"})
        assert w.events() == before
    before = w.events()
    document = w.document("dry")
    assert w.admin.post("/api/v1/projects?dry_run=true", json=document).status_code == 201
    assert w.events() == before
