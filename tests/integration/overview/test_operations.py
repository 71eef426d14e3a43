"""The pages of the record and of operations."""

import re
from datetime import timedelta

import pytest

from tests.factories import NOW, make_project
from tests.integration.web.clients import client_as
from workbench.activity.service import verify_installation
from workbench.activity.store import record
from workbench.incidents.store import heal_incident, open_incidents, report_incident
from workbench.incidents.tables import IncidentRow


@pytest.fixture
def projects(outside):
    with outside.db.write() as session:
        one, two = make_project(session), make_project(session, "another", title="Another")
        for i, project in enumerate([one, two, one]):
            record(
                session, at=NOW + timedelta(days=i), actor=f"ada{i}@example.org", verb="policy.activated",
                about=f"policy:{i}", project_id=project.id,
                before={"version": i, "rules": [{"at": 0.9}]}, after={"version": i + 1, "rules": [{"at": 0.8}]},
            )  # fmt: skip
        record(
            session, at=NOW, actor="<b>eve</b>", verb="odd.verb", about="thing:<i>",
            after={f"field_{i}": i for i in range(6)},
        )  # fmt: skip
    return one.id, two.id


def numbers(page):
    return [int(one) for one in re.findall(r'<td class="num" title="[0-9a-f]{64}">(\d+)</td>', page.text)]


def test_the_record_is_shown_with_its_difference(outside, projects):
    client = client_as(outside, "admin")
    page = client.get("/activity")
    assert page.status_code == 200
    assert numbers(page)[-4:] == [4, 3, 2, 1]
    assert "Put a routing policy in force" in page.text
    assert "<del>0.9</del> → <ins>0.8</ins>" in page.text
    assert "<b>eve</b>" not in page.text
    assert "<summary>6 fields</summary>" in page.text
    assert "not checked yet" in page.text
    verify_installation(outside)
    assert "events hold" in client.get("/activity").text
    assert numbers(client.get("/activity?actor=ada1")) == [2]
    assert numbers(client.get("/activity?verb=policy&since=2026-03-03&until=2026-03-03")) == [2]
    assert numbers(client.get("/activity?about=policy:2")) == [3]
    assert numbers(client.get("/activity?before=3")) == [2, 1]
    assert client.get("/activity?since=yesterday").status_code == 422
    assert client.get("/activity?before=-1").status_code == 422
    assert "Nothing fits" in client.get("/activity?actor=nobody").text


def test_a_project_shows_its_own_events_alone(outside, projects):
    one, _ = projects
    everywhere = client_as(outside, "pm")
    assert numbers(everywhere.get("/projects/sentiment/activity")) == [3, 1]
    here = client_as(outside, "pm", project_id=one)
    assert numbers(here.get("/projects/sentiment/activity")) == [3, 1]
    assert here.get("/projects/another/activity").status_code == 404
    assert here.get("/activity").status_code == 403
    for role in ("viewer", "ml_engineer", "qa_lead"):
        assert client_as(outside, role).get("/activity").status_code == 403


def test_the_record_as_json(outside, projects):
    client = client_as(outside, "admin")
    found = client.get("/api/v1/activity?verb=policy.activated").json()
    assert [one["seq"] for one in found["events"]] == [3, 2, 1]
    assert found["events"][0]["after"] == {"version": 3, "rules": [{"at": 0.8}]}
    assert client.get("/api/v1/projects/another/activity").json()["events"][0]["project"] == "another"
    assert client.get("/api/v1/activity?since=x").status_code == 422


def test_operations_say_what_is_wrong_and_what_healed(outside, projects, clock):
    one, _ = projects
    client = client_as(outside, "pm")
    quiet = client.get("/operations")
    assert "Whatever goes wrong appears here" in quiet.text
    assert "Something needs a person" not in quiet.text
    with outside.db.write() as session:
        for _ in range(3):
            report_incident(
                session, "server_restored", "server:1", "Label Studio “local” <b>went back</b> in time",
                now=clock(), severity="bad", remedy="Compare the lanes", project_id=one,
            )  # fmt: skip
        report_incident(session, "answer_lost", "lane:3", "An answer was lost", now=clock())
    clock.forward(seconds=42)
    with outside.db.write() as session:
        assert heal_incident(session, "answer_lost", "lane:3", "found it there", now=clock())
        assert not heal_incident(session, "answer_lost", "lane:3", "again", now=clock())
    page = client.get("/operations").text
    assert "&lt;b&gt;went back&lt;/b&gt;" in page
    assert "seen 3 times" in page
    assert "Compare the lanes" in page
    assert "found it there" in page
    assert "42 s" in page
    assert "Something needs a person" in client.get("/projects").text
    assert "went back" in client.get("/projects/sentiment").text
    assert client.get("/operations/parts").status_code == 200
    value = client.get("/api/v1/operations").json()
    assert [row["kind"] for row in value["open"]] == ["server_restored"]


def test_acknowledging_is_recorded_once(outside, projects, clock):
    with outside.db.write() as session:
        number = report_incident(session, "dead_letter", "inbox:1", "x", now=clock(), severity="bad").id
    client = client_as(outside, "qa_lead")
    for _ in range(2):
        clock.forward(seconds=1)
        assert client.post(f"/operations/incidents/{number}/acknowledge").status_code == 303
    assert "qa_lead-" in client.get("/operations").text
    admin = client_as(outside, "admin")
    assert len(admin.get("/api/v1/activity?verb=incident.acknowledged").json()["events"]) == 1
    assert client.post("/operations/incidents/99999/acknowledge").status_code == 404
    assert client_as(outside, "viewer").post(f"/operations/incidents/{number}/acknowledge").status_code == 403
    with outside.db.write() as session:
        heal_incident(session, "dead_letter", "inbox:1", "read again", now=clock())
    assert client.post(f"/operations/incidents/{number}/acknowledge").status_code == 409


def test_who_has_one_project_is_alarmed_by_that_alone(outside, projects, clock):
    one, two = projects
    here = client_as(outside, "pm", project_id=one)
    with outside.db.write() as session:
        report_incident(session, "a", "b", "c", now=clock(), severity="bad", project_id=two)
    assert "Something needs a person" not in here.get("/projects/sentiment").text
    assert here.get("/operations").status_code == 403
    with outside.db.read() as session:
        assert open_incidents(session, projects=[one]) == []
        assert [type(row) for row in open_incidents(session, projects=[two])] == [IncidentRow]


def test_looking_again_asks_for_a_job(outside, projects):
    client = client_as(outside, "pm")
    assert client.post("/operations/invariants").status_code == 303
    assert client_as(outside, "qa_lead").post("/operations/invariants").status_code == 403
