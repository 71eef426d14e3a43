"""Plans: what applying would do, the digest that ties plan and apply, and two people at once."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.factories import make_items
from tests.integration.projects.test_set_up import document, snapshot, spec
from tests.integration.web.clients import client_as
from workbench.errors import Stale
from workbench.outside import Outside
from workbench.projects.reading import to_yaml
from workbench.projects.store import find_project
from workbench.setup.planning import plan_project
from workbench.setup.service import set_up_project


def test_a_plan_writes_nothing_and_says_what_apply_then_does(outside: Outside) -> None:
    before = snapshot(outside)
    fresh = plan_project(outside, spec())
    assert (fresh.creates, fresh.refused) == (True, "")
    assert snapshot(outside) == before
    set_up_project(outside, spec(), "a@example.org", plan=fresh.digest)
    assert plan_project(outside, spec()).unchanged
    changed = plan_project(outside, spec(title="Ham"))
    assert [change.sentence() for change in changed.changes] == ['title: "Spam" → "Ham"']
    assert "--plan " + changed.digest in changed.lines()[-1][1]
    done = set_up_project(outside, spec(title="Ham"), "a@example.org", plan=changed.digest)
    assert done.changes == changed.changes
    # Applying twice with the digest of the first time is no accident to pass over.
    with pytest.raises(Stale, match="new plan"):
        set_up_project(outside, spec(title="Ham"), "a@example.org", plan=changed.digest)
    assert set_up_project(outside, spec(title="Ham"), "a@example.org").unchanged


def test_the_second_of_two_operators_is_told(outside: Outside) -> None:
    set_up_project(outside, spec(), "a@example.org")
    mine, yours = plan_project(outside, spec(title="Mine")), plan_project(outside, spec(title="Yours"))
    set_up_project(outside, spec(title="Mine"), "a@example.org", plan=mine.digest)
    with pytest.raises(Stale):
        set_up_project(outside, spec(title="Yours"), "b@example.org", plan=yours.digest)
    # A document that was edited after its plan is another document.
    fresh = plan_project(outside, spec(title="Yours"))
    with pytest.raises(Stale):
        set_up_project(outside, spec(title="Edited"), "b@example.org", plan=fresh.digest)
    with outside.db.read() as session:
        assert find_project(session, "spam").title == "Mine"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"routing": {"accept_at": 0.5}}, "what was decided stays decided"),
        ({"pools": [{"id": "readers", "price": 0.5}]}, "what was paid stays"),
        ({"budget": {"currency": "EUR"}}, "stays in the currency"),
    ],
)
def test_what_cannot_be_taken_back_is_named(outside: Outside, values: dict[str, Any], words: str) -> None:
    set_up_project(outside, spec(), "a@example.org")
    with outside.db.write() as session:
        make_items(session, find_project(session, "spam"), 1)
    made = plan_project(outside, spec(**values))
    assert [one.sentence for one in made.consequences if one.is_final and words in one.sentence]


def test_what_apply_would_refuse_the_plan_refuses(outside: Outside) -> None:
    set_up_project(outside, spec(), "a@example.org")
    with outside.db.write() as session:
        make_items(session, find_project(session, "spam"), 1)
    assert "text_field" in plan_project(outside, spec(text_field="body")).refused
    assert "no Label Studio server" in plan_project(outside, spec(server="nowhere")).refused


def test_on_the_page(outside: Outside) -> None:
    client = client_as(outside)
    set_up_project(outside, spec(), "a@example.org")

    def shown(**values: Any) -> Any:
        text = to_yaml(spec(**values))
        return client.post("/projects/spam/settings/plan", files={"file": ("p.yaml", text, "text/yaml")})

    page = shown(title="<b>Ham</b>", note="x")
    assert page.status_code == 200
    assert "&lt;b&gt;Ham&lt;/b&gt;" in page.text
    assert "2 changes" in page.text
    digest = re.search(r'name="plan" value="([0-9a-f]+)"', page.text)
    assert digest
    sent = {"document": to_yaml(spec(title="<b>Ham</b>", note="x")), "plan": digest.group(1)}
    assert client.post("/projects/spam/settings/apply", data=sent).status_code == 303
    again = client.post("/projects/spam/settings/apply", data=sent)
    assert again.status_code == 422
    assert "changed since the plan was made" in again.text
    assert "Nothing would change" in shown(title="<b>Ham</b>", note="x").text
    assert client.post("/projects/spam/settings/apply", data={**sent, "plan": ""}).status_code == 422
    other = client.post(
        "/projects/spam/settings/plan", files={"file": ("p.yaml", to_yaml(spec(id="eggs")), "text/yaml")}
    )
    assert "is of project `eggs`" in other.text
    bad = client.post(
        "/projects/spam/settings/plan", files={"file": ("p.yaml", b"\xff\xfe\x00", "text/yaml")}
    )
    assert bad.status_code == 422


def test_by_json(outside: Outside) -> None:
    client = client_as(outside)
    set_up_project(outside, spec(), "a@example.org")
    made = client.post("/api/v1/projects/spam/plan", json=document(title="Ham")).json()
    assert (made["changed"], made["changes"][0]["path"]) == (True, "title")
    wrong = client.put("/api/v1/projects/spam?plan=0", json=document(title="Ham"))
    assert wrong.status_code == 409
    right = client.put(f"/api/v1/projects/spam?plan={made['digest']}", json=document(title="Ham"))
    assert right.json()["changed"]
