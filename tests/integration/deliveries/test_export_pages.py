from __future__ import annotations

import hashlib

import pytest

from tests.integration.web.clients import client_as
from tests.unit.workbench.deliveries.world import World, build
from tests.unit.workbench.items.running import Run
from workbench.deliveries.jobs import JOB as EXPORT
from workbench.jobs.definition import JobState
from workbench.jobs.store import find_job, finish
from workbench.outside import Outside


@pytest.fixture
def world(outside: Outside) -> World:
    with outside.db.write() as session:
        return build(session)


def run_job(outside: Outside, job_id: str) -> None:
    with outside.db.read() as session:
        arguments = find_job(session, job_id).arguments
    result = EXPORT.run(Run(outside), arguments)
    with outside.db.write() as session:
        finish(session, job_id, JobState.DONE, now=outside.now(), result=result)


def test_from_form_to_download(outside: Outside, world: World):
    client = client_as(outside)
    assert "8 items have their final label now" in client.get("/projects/sentiment/exports").text
    assert client.post("/projects/sentiment/exports", data={"format": "csv"}).status_code == 303
    one = client.get("/api/v1/projects/sentiment/exports").json()["exports"][0]
    assert (one["state"], one["total"]) == ("queued", 8)
    assert client.get(f"/projects/sentiment/exports/{one['id']}/labels").status_code == 404
    run_job(outside, one["job_id"])
    page = client.get("/projects/sentiment/exports/list").text
    one = client.get(f"/api/v1/projects/sentiment/exports/{one['id']}").json()
    assert one["sha256"] in page
    for base in ("/projects", "/api/v1/projects"):
        file = client.get(f"{base}/sentiment/exports/{one['id']}/labels")
        assert hashlib.sha256(file.content).hexdigest() == one["sha256"]
        assert file.headers["content-disposition"].startswith('attachment; filename="sentiment-labels-')
        assert file.headers["x-content-type-options"] == "nosniff"
        assert client.get(f"{base}/sentiment/exports/{one['id']}/manifest").json() == one["manifest"]


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_api(outside: Outside, world: World, form: str):
    client = client_as(outside)
    made = client.post("/api/v1/projects/sentiment/exports", json={"format": form, "mark_delivered": True})
    assert made.status_code == 202
    run_job(outside, made.json()["job_id"])
    assert client.get(f"/api/v1/projects/sentiment/exports/{made.json()['id']}").json()["rows"] == 8


@pytest.mark.parametrize("wanted", [{"format": "xml"}, {"formt": "csv"}])
def test_bad_wishes(outside: Outside, world: World, wanted: dict[str, str]):
    assert client_as(outside).post("/api/v1/projects/sentiment/exports", json=wanted).status_code == 422


def test_a_viewer_may_not_export(outside: Outside, world: World):
    client = client_as(outside, "viewer")
    assert client.post("/api/v1/projects/sentiment/exports", json={}).status_code == 403
