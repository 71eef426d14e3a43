"""The pages of projects: list, new project, settings; each error stands beside its field."""

from __future__ import annotations

import html
from typing import Any

import pytest
from starlette.testclient import TestClient

from integrations.label_studio.errors import LabelStudioRefused, LabelStudioUnavailable
from integrations.label_studio.interface import ServerInfo
from tests.factories import make_items, make_server
from tests.integration.web.clients import client_as
from workbench.items.domain import ItemState
from workbench.outside import Outside
from workbench.people.store import members_of
from workbench.projects.reading import read_document
from workbench.projects.service import specification_of
from workbench.projects.store import find_project, labels_of_project
from workbench.setup.service import set_up_project

FORM: dict[str, Any] = {
    "title": "Comment safety", "question": "Which rule?", "time_zone": "Europe/Berlin", "currency": "eur",
    "price": "0,08", "unit": "item", "overlap": "2", "accept": "machine", "accept_at": "90", "audit_percent": "5",
    "label_value": ["spam", "fine", ""], "label_hotkey": ["s", "", ""], "label_severity": ["low", "", ""],
    "label_sensitive": ["0"], "server": "",
}  # fmt: skip
CONFIG = (
    '<View><Text name="t" value="$body"/><Choices name="c" toName="t" choice="single">'
    '<Choice value="good"/><Choice value="bad"/></Choices></View>'
)


@pytest.fixture
def client(outside: Outside) -> TestClient:
    return client_as(outside, "pm")


class FakeStudio:
    """Answers a probe; the real one is met in the contract tests."""

    def __init__(self, problem: Exception | None = None) -> None:
        self.problem = problem

    def probe(self) -> ServerInfo:
        if self.problem:
            raise self.problem
        return ServerInfo("1.23.2", 1, 1, "a@b.c", legacy_tokens=True, latency_ms=1.0)


def make(outside: Outside, **values: Any) -> None:
    given = {
        "id": "spam", "title": "Spam or not", "labels": [{"value": "spam"}, {"value": "ham"}],
        "pools": [{"id": "readers", "price": 0.08}], **values,
    }  # fmt: skip
    set_up_project(outside, read_document(given), "x")


def test_empty_list_leads_to_a_new_project(client: TestClient) -> None:
    page = client.get("/projects")
    assert page.status_code == 200
    assert 'href="/projects/new"' in page.text
    assert "No projects yet" in page.text


def test_list_shows_progress(client: TestClient, outside: Outside) -> None:
    make(outside)
    with outside.db.write() as session:
        project = find_project(session, "spam")
        make_items(session, project, 3, ItemState.RESOLVED)
        make_items(session, project, 1, ItemState.QUEUED)
    text = client.get("/projects").text
    assert "Spam or not" in text
    assert "75%" in text


def test_a_viewer_of_one_project_sees_only_that_one(outside: Outside) -> None:
    make(outside)
    make(outside, id="other", title="Secret other")
    with outside.db.read() as session:
        project_id = find_project(session, "spam").id
    viewer = client_as(outside, "viewer", project_id=project_id)
    text = viewer.get("/projects").text
    assert "Spam or not" in text
    assert "Secret other" not in text
    assert viewer.get("/projects/new").status_code == 403
    assert [one["project"] for one in viewer.get("/api/v1/projects").json()["projects"]] == ["spam"]


@pytest.mark.parametrize("template", ["", "sentiment", "spam", "policy", "topic"])
def test_form_opens_from_each_template(client: TestClient, template: str) -> None:
    page = client.get(f"/projects/new?template={template}")
    assert page.status_code == 200
    assert "yaml" not in page.text.lower()
    assert "settled without people" in page.text


def test_a_project_from_the_form(client: TestClient, outside: Outside) -> None:
    answer = client.post("/projects/new", data=FORM)
    assert answer.status_code == 303, answer.text
    assert answer.headers["location"] == "/projects/comment-safety"
    with outside.db.read() as session:
        project = find_project(session, "comment-safety")
        assert (project.currency, project.time_zone) == ("EUR", "Europe/Berlin")
        labels = labels_of_project(session, project.id)
        assert [(one.value, one.hotkey, one.severity, one.sensitive) for one in labels] == [
            ("spam", "s", "low", True), ("fine", "1", "", False),
        ]  # fmt: skip
        routing = specification_of(project).routing
        assert (routing.accept_at, routing.audit_rate, routing.overlap) == (0.9, 0.05, 2)


def test_a_pasted_label_config_brings_its_labels_and_field(client: TestClient, outside: Outside) -> None:
    assert client.post("/projects/new", data=FORM | {"label_config": CONFIG}).status_code == 303
    with outside.db.read() as session:
        project = find_project(session, "comment-safety")
        assert (project.control, project.text_field) == ("c", "body")
        assert [one.value for one in labels_of_project(session, project.id)] == ["good", "bad"]


def test_invitations_are_shown_once_and_people_join_the_pool(client: TestClient, outside: Outside) -> None:
    answer = client.post(
        "/projects/new", data=FORM | {"people": "Ada L <ada@example.org>\n\nbob@example.org"}
    )
    assert answer.status_code == 200, answer.text
    assert answer.text.count("/invitations/") == 2
    with outside.db.read() as session:
        pool_id = find_project(session, "comment-safety").pool_id
        assert pool_id is not None
        assert [person.name for person in members_of(session, pool_id)] == ["Ada L", "bob"]


def test_an_uploaded_file_leads_to_its_columns(client: TestClient) -> None:
    answer = client.post(
        "/projects/new", data=FORM, files={"file": ("items.csv", b"id,text\n1,hello\n", "text/csv")}
    )
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/projects/comment-safety/import/files/")
    assert client.get(answer.headers["location"]).status_code == 200


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"title": ""}, "Give the project a title"),
        ({"title": "评论安全"}, "Write an address of letters a to z"),
        ({"key": "Not Good"}, "Uses lower-case letters, digits and single hyphens"),
        ({"label_value": ["one"], "label_hotkey": [""]}, "Give at least two labels"),
        ({"label_value": ["one", "one"]}, 'The label "one" stands here twice'),
        ({"label_hotkey": ["s", "s", ""]}, 'The key "s" stands here twice'),
        ({"label_config": "<View"}, "The label config is not well-formed XML"),
        (
            {"label_config": CONFIG.replace("single", "multiple")},
            "allows several choices; this release works with one",
        ),
        ({"time_zone": "Berlin"}, 'did you mean "Europe/Berlin"?'),
        ({"currency": "EURO"}, "Is a currency of three capital letters"),
        ({"price": "eight cents"}, "Write a number such as 0.08"),
        ({"price": "-1"}, "greater than or equal to 0"),
        ({"overlap": "0"}, "greater than or equal to 1"),
        ({"people": "Ada"}, "Line 1 has no e-mail address"),
        ({"server": "+"}, "Write its address, such as http://127.0.0.1:8080"),
        ({"server": "gone"}, 'there is no Label Studio server "gone"'),
    ],
)
def test_each_mistake_is_said_and_nothing_is_made(
    client: TestClient, outside: Outside, change: dict[str, Any], sentence: str
) -> None:
    answer = client.post("/projects/new", data=FORM | change)
    assert answer.status_code == 422
    assert sentence in html.unescape(answer.text)
    with outside.db.read() as session:
        assert labels_of_project(session, 1) == []


def test_a_taken_address_is_said_beside_it(client: TestClient, outside: Outside) -> None:
    make(outside)
    answer = client.post("/projects/new", data=FORM | {"key": "spam"})
    assert answer.status_code == 422
    assert "There is a project spam already; choose another address" in answer.text
    assert 'value="Comment safety"' in answer.text


def test_more_lines_keep_what_was_typed(client: TestClient) -> None:
    answer = client.post("/projects/new", data=FORM | {"step": "more"})
    assert answer.status_code == 200
    assert 'value="Comment safety"' in answer.text
    assert answer.text.count('name="label_value"') == 7


@pytest.mark.parametrize(
    ("problem", "status"),
    [
        (None, 303),
        (LabelStudioRefused("Label Studio does not take this token; copy it again"), 422),
        (LabelStudioUnavailable("Label Studio does not answer; start it"), 422),
    ],
)
def test_a_server_is_connected_from_the_form(
    client: TestClient, outside: Outside, problem: Exception | None, status: int
) -> None:
    object.__setattr__(outside, "label_studio", lambda url, token: FakeStudio(problem))
    fields = {
        "server": "+",
        "server_name": "studio",
        "server_url": "http://127.0.0.1:9",
        "server_token": "secret-token-1",
    }
    answer = client.post("/projects/new", data=FORM | fields)
    assert answer.status_code == status
    assert "secret-token-1" not in answer.text
    if problem:
        assert str(problem) in answer.text


def test_preview_shows_labels_with_their_keys(client: TestClient) -> None:
    assert "<kbd>s</kbd>" in client.post("/projects/new/preview", data=FORM).text
    assert "good" in client.post("/projects/new/preview", data={"label_config": CONFIG}).text
    assert "not well-formed" in client.post("/projects/new/preview", data={"label_config": "<View"}).text
    assert "at least 75% sure" in client.get("/projects/new/threshold?accept_at=75").text


def test_settings_are_saved_and_refused_in_words(client: TestClient, outside: Outside) -> None:
    make(outside)
    with outside.db.write() as session:
        make_server(session, name="studio")
    assert client.get("/projects/spam/settings").status_code == 200
    form = {
        "title": "Spam 2",
        "instruction": "Read.",
        "time_zone": "Asia/Tokyo",
        "price": "0.1",
        "baseline": "0.2",
        "server": "studio",
    }
    assert client.post("/projects/spam/settings", data=form).status_code == 303
    with outside.db.read() as session:
        project = find_project(session, "spam")
        assert (project.title, project.time_zone, str(project.baseline_price)) == (
            "Spam 2",
            "Asia/Tokyo",
            "0.2",
        )
        assert project.server_id is not None
    assert str(specification_of(project).pools[0].price) == "0.1"
    bad = client.post("/projects/spam/settings", data=form | {"time_zone": "Mars", "baseline": "x"})
    assert bad.status_code == 422
    assert "here is no time zone &#34;Mars&#34;" in bad.text
    assert "ust be a number" in bad.text


def test_pause_resume_and_download(client: TestClient, outside: Outside) -> None:
    make(outside)
    assert client.post("/projects/spam/state", data={"state": "paused"}).status_code == 303
    assert "Resume" in client.get("/projects/spam/settings").text
    client.post("/projects/spam/state", data={"state": "active"})
    document = client.get("/projects/spam/project.yaml")
    assert document.headers["content-disposition"] == 'attachment; filename="spam.yaml"'
    assert "id: spam" in document.text


def test_api(client: TestClient, outside: Outside) -> None:
    document = {"id": "spam", "title": "Spam", "labels": [{"value": "a"}, {"value": "b"}]}
    assert client.get("/api/v1/project-schema").json()["title"] == "Workbench project"
    made = client.post("/api/v1/projects", json=document)
    assert (made.status_code, made.json()["created"]) == (201, True)
    assert client.post("/api/v1/projects", json=document).status_code == 409
    assert client.put("/api/v1/projects/spam", json=document).json()["changed"] is False
    assert (
        client.put("/api/v1/projects/spam", json=document | {"title": "T"}).json()["changes"][0]["path"]
        == "title"
    )
    wrong = client.put("/api/v1/projects/spam", json=document | {"titel": "T"})
    assert wrong.status_code == 422
    assert "did you mean `title`?" in wrong.text
    assert client.get("/api/v1/projects/spam/specification").json()["specification"]["title"] == "T"
    assert client.put("/api/v1/projects/spam/state", json={"state": "paused"}).json()["state"] == "paused"
    assert client.get("/api/v1/projects").json()["projects"][0]["state"] == "paused"
