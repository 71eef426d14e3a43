"""Routing, models and jobs: pages and API."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from models.inspection import inspect
from models.interface import Inspection
from models.keyword import KeywordPredictor
from tests.factories import make_project
from tests.integration.overview.plausible import Plausible, plausible_project
from tests.integration.web.clients import client_as
from workbench.decisions.store import active_policy, policies_of
from workbench.jobs.store import find_job, open_job, report
from workbench.model_versions.store import live_version
from workbench.outside import Outside
from workbench.training.jobs import register


@pytest.fixture
def made(outside: Outside) -> Plausible:
    return plausible_project(outside, n_items=120)


@pytest.fixture
def client(outside: Outside, made: Plausible) -> TestClient:
    return client_as(outside)


def form_of_page(text: str) -> dict[str, str]:
    """The values the routing form would send unchanged."""
    form = text[
        text.index('action="/projects/reviews/routing/preview"') : text.index("What a condition may say")
    ]
    values = dict(
        re.findall(r'<input type="(?:text|number|hidden)"[^>]* name="([^"]+)"[^>]*value="([^"]*)"', form)
    )
    values |= dict(
        re.findall(r'<input type="checkbox" id="[^"]*" name="([^"]+)" value="(yes)" checked', form)
    )
    for name, options in re.findall(
        r'<select id="[^"]*" name="([^"]+)"[^>]*>(.*?)</select>', form, re.DOTALL
    ):
        chosen = re.findall(r'<option value="([^"]*)" selected', options)
        values[name] = chosen[0] if chosen else re.findall(r'<option value="([^"]*)"', options)[0]

    return {name: html.unescape(value) for name, value in values.items() if name != "csrf_token"} | {
        "threshold_before": re.findall(r'name="threshold_before" value="([^"]*)"', form)[0]
    }


def test_the_form_sent_back_unchanged_changes_nothing(
    client: TestClient, outside: Outside, made: Plausible
) -> None:
    values = form_of_page(client.get("/projects/reviews/routing").text)
    sent = client.post("/projects/reviews/routing", data={**values, "activate": "yes"})
    assert sent.status_code == 303
    with outside.db.read() as session:
        assert [row.version for row in policies_of(session, made.project.id)] == [1]


def test_preview_says_where_items_would_have_gone_and_saves_nothing(
    client: TestClient, outside: Outside, made: Plausible
) -> None:
    values = form_of_page(client.get("/projects/reviews/routing").text)
    page = client.post("/projects/reviews/routing/preview", data={**values, "threshold": "0.95"})
    assert page.status_code == 200
    assert "predicted items" in page.text
    assert "would have accepted" in page.text
    assert "confidence &gt;= 0.95" in page.text
    with outside.db.read() as session:
        assert len(policies_of(session, made.project.id)) == 1


def test_a_changed_threshold_becomes_a_new_version_in_force_and_the_old_one_can_return(
    client: TestClient, outside: Outside, made: Plausible
) -> None:
    values = form_of_page(client.get("/projects/reviews/routing").text)
    sent = {**values, "threshold": "0.9", "note": "too many errors", "activate": "yes"}
    assert client.post("/projects/reviews/routing", data=sent).status_code == 303
    with outside.db.read() as session:
        active = active_policy(session, made.project.id)
        first = policies_of(session, made.project.id)[-1]
        assert active is not None
        assert active.version == 2
        assert active.note == "too many errors"
        assert active.document["rules"][0]["when"] == "confidence >= 0.9"
    assert client.post(f"/projects/reviews/routing/{first.id}/activate").status_code == 303
    with outside.db.read() as session:
        active = active_policy(session, made.project.id)
        assert active is not None
        assert active.version == 1


def test_an_error_stands_beside_its_rule(client: TestClient) -> None:
    values = form_of_page(client.get("/projects/reviews/routing").text)
    page = client.post("/projects/reviews/routing/preview", data={**values, "when-1": "confidance < 0.1"})
    assert page.status_code == 422
    assert 'id="when-1-error"' in page.text
    assert "confidence" in page.text
    assert 'id="when-0-error"' not in page.text


def test_who_may_only_propose_makes_a_draft(outside: Outside, made: Plausible) -> None:
    engineer = client_as(outside, "ml_engineer")
    values = form_of_page(engineer.get("/projects/reviews/routing").text)
    sent = engineer.post("/projects/reviews/routing", data={**values, "threshold": "0.7", "activate": "yes"})
    assert sent.status_code == 303
    with outside.db.read() as session:
        newest = policies_of(session, made.project.id)[0]
        assert (newest.version, newest.state) == (2, "draft")


def test_routing_api_previews_and_refuses(client: TestClient) -> None:
    document = {"rules": [{"name": "sure", "when": "confidence >= 0.5", "accept": True}], "audit_rate": 0.1}
    found = client.post("/api/v1/projects/reviews/routing/preview", json={"document": document}).json()
    assert found["after"]["accepted"] > found["before"]["accepted"]
    bad = client.post(
        "/api/v1/projects/reviews/routing", json={"document": {"rules": [{"name": "x", "when": "1"}]}}
    )
    assert bad.status_code == 422
    assert client.get("/api/v1/projects/reviews/routing").json()["active"]["version"] == 1


def test_models_are_shown_with_their_figures(client: TestClient, made: Plausible) -> None:
    page = client.get("/projects/reviews/models")
    assert page.status_code == 200
    assert "reviews-head@1" in page.text
    assert "Apache-2.0" in page.text
    version = client.get("/api/v1/projects/reviews/models").json()["versions"][0]
    assert version["predicted"] == made.expected["predicted"]
    assert version["agreement_blind"]["hits"] == made.expected["same"]


def test_registering_a_folder_that_is_not_there_says_so(client: TestClient) -> None:
    page = client.post("/projects/reviews/models", data={"folder": "/nowhere/model", "label_map": ""})
    assert page.status_code == 422
    assert "/nowhere/model" in page.text
    page = client.post("/projects/reviews/models", data={"folder": "relative"})
    assert page.status_code == 422
    assert "absolute path" in page.text


@pytest.fixture
def folder(outside: Outside) -> Path:
    """A model in the folder from which pages may register."""
    root = outside.settings.data_dir.resolve() / "models"
    root.mkdir(parents=True)
    KeywordPredictor({"Positive": ["good"], "Negative": ["bad"]}).save(root / "words")
    return root / "words"


def test_a_model_is_registered_from_the_folder_for_models(client: TestClient, folder: Path) -> None:
    assert str(folder.parent) in client.get("/projects/reviews/models").text
    assert client.post("/projects/reviews/models", data={"folder": f" {folder} "}).status_code == 303
    again = client.post("/api/v1/projects/reviews/models", json={"folder": str(folder)})
    assert (again.status_code, again.json()) == (201, {"version": "words@1"})


def test_a_folder_elsewhere_on_the_machine_is_refused_whatever_it_holds(
    client: TestClient, folder: Path, tmp_path: Path
) -> None:
    KeywordPredictor({"Positive": ["good"]}).save(tmp_path / "elsewhere")
    (folder.parent / "link").symlink_to(tmp_path / "elsewhere")
    (folder.parent / "circle").symlink_to(folder.parent / "circle")
    inside = str(folder.parent)
    for given in (
        str(tmp_path / "elsewhere"), f"{inside}/link", f"{inside}/../../../elsewhere", f"{inside}-of-others", "/", "/etc",
        "/nowhere", "~", "~nobody/x", "models/words", f"{inside}/a\0b", f"{inside}/circle", f"{inside}/{'x' * 5000}", "",
    ):  # fmt: skip
        page = client.post("/projects/reviews/models", data={"folder": given})
        told = client.post("/api/v1/projects/reviews/models", json={"folder": given})
        assert (page.status_code, told.status_code) == (422, 422), given
    for given in (str(tmp_path / "elsewhere"), "/nowhere"):
        told = client.post("/api/v1/projects/reviews/models", json={"folder": given}).json()["detail"]
        assert told.startswith(f"models are registered here from {inside} alone")


def test_nobody_waits_while_weights_are_hashed(
    client: TestClient, outside: Outside, made: Plausible, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def others_write(path: Path) -> Inspection:
        with outside.db.write() as session:
            report(session, "reviews-import", message="went on meanwhile")
        return inspect(path)

    monkeypatch.setattr("workbench.model_versions.service.inspect", others_write)
    sent = client.post("/projects/reviews/models", data={"folder": str(folder)})
    assert sent.status_code == 303
    trained = {"folder": str(folder), "examples": 3}
    assert register(outside, made.project.id, "words", trained, "x", go_live=False)["version"] == 1
    with outside.db.read() as session:
        assert find_job(session, "reviews-import").message == "went on meanwhile"


def test_promoting_keeps_one_live(client: TestClient, outside: Outside, made: Plausible) -> None:
    with outside.db.read() as session:
        live = live_version(session, made.project.id)
        assert live is not None
    assert client.post(f"/projects/reviews/models/{live.id}/promote").status_code == 303
    with outside.db.read() as session:
        assert live_version(session, made.project.id).id == live.id  # type: ignore[union-attr]


def test_training_is_asked_for_once(client: TestClient, outside: Outside, made: Plausible) -> None:
    assert client.post("/projects/reviews/models/train", data={}).status_code == 303
    assert client.post("/projects/reviews/models/train", data={}).status_code == 303
    with outside.db.read() as session:
        job = open_job(session, "train", made.project.id)
        assert job is not None
        assert job.arguments["project_id"] == made.project.id
    assert "Training is under way" in client.get("/projects/reviews/models").text


def test_jobs_can_be_cancelled_and_resumed(client: TestClient, outside: Outside) -> None:
    page = client.get("/projects/reviews/jobs")
    assert page.status_code == 200
    assert "28 a second" in page.text
    assert "left" in page.text
    assert client.post("/projects/reviews/jobs/reviews-prelabel/cancel").status_code == 303
    assert client.post("/projects/reviews/jobs/reviews-push/resume").status_code == 303
    assert client.post("/projects/reviews/jobs/reviews-import/resume").status_code == 409
    with outside.db.read() as session:
        assert find_job(session, "reviews-prelabel").state == "cancelling"
        assert find_job(session, "reviews-push").state == "resuming"


def test_a_job_of_another_project_is_not_found(client: TestClient, outside: Outside) -> None:
    with outside.db.write() as session:
        make_project(session, "other")
    assert client.post("/projects/other/jobs/reviews-prelabel/cancel").status_code == 404
    assert client.get("/api/v1/projects/other/jobs/reviews-prelabel").status_code == 404
