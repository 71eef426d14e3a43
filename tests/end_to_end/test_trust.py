"""The books under fire: an answer lost after its effect is seen, healed, shown, and leaves no trace in the books."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest
from sqlalchemy import select

from tests.contracts.label_studio.fault_proxy import Faults, fault_proxy
from tests.end_to_end import truth
from tests.end_to_end.installation import (
    Installation,
    Note,
    at_work,
    installation,
    notes,
    wait_until,
    worker,
)
from tests.end_to_end.test_label_studio_faults import fast_clock
from tests.label_studio_server import TestServer
from workbench.incidents.tables import IncidentRow
from workbench.invariants.service import check, compare_books, last_results
from workbench.items.tables import ItemRow
from workbench.labeling.tables import AnnotationRow, LaneRow, VisitRow

pytestmark = pytest.mark.label_studio

ITEMS = 12


@pytest.fixture(scope="module")
def site(tmp_path_factory, label_studio_server: TestServer) -> Iterator[tuple[Installation, Faults]]:
    routing = {"routes": [{"when": 'meta.kind == "mixed"', "overlap": 2, "show_suggestion": False}]}
    with (
        fault_proxy(label_studio_server.url) as (address, faults),
        installation(
            tmp_path_factory.mktemp("trust"),
            label_studio_server,
            address=address,
            readers=("Ann", "Ben", "Cleo"),
            routing=routing,
            clock=fast_clock(),
        ) as made,
    ):
        made.patience_s = 2.0
        yield made, faults


def incidents(made: Installation, kind: str) -> list[IncidentRow]:
    with made.outside.db.read() as session:
        return list(session.scalars(select(IncidentRow).where(IncidentRow.kind == kind)))


def broken(made: Installation, **more) -> dict[str, list[str]]:
    """What each invariant finds, asked through the server's own address."""
    results = check(made.outside, **{"settle_s": 20, **more})
    return {one.key: [v.sentence for v in one.violations] for one in results if one.violations}


def doctor(made: Installation, *arguments: str) -> tuple[int, dict]:
    command = [sys.executable, "-m", "workbench.cli.main", "--data-dir", str(made.settings.data_dir)]
    told = subprocess.run(
        [*command, "doctor", "--invariants", "--json", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.stdout, told.stderr
    return told.returncode, json.loads(told.stdout)


def test_an_answer_lost_after_its_effect_is_seen_healed_and_shown(site):
    made, faults = site
    faults.only, faults.path, faults.lose_answer = "POST", "/import", True
    batch = [one for one in notes(ITEMS * 3) if one.kind in {"hint", "mixed"}][:ITEMS]
    with worker(made), at_work(made):
        made.bring_in([Note(one.external_id, one.text, one.label, one.kind) for one in batch])
        [seen] = wait_until(lambda: incidents(made, "answer_lost"), seconds=40, what="the incident")
        assert seen.healed_at is None
        assert seen.sentence
        faults.lose_answer = False
        wait_until(lambda: made.states() == {"resolved": ITEMS}, seconds=90, what=made.states)
        wait_until(
            lambda: all(one.healed_at for one in incidents(made, "answer_lost")), seconds=30, what="it heals"
        )
        assert broken(made) == {}
    [healed] = incidents(made, "answer_lost")
    assert healed.how
    assert truth.wrong_rows(made) == {}
    assert truth.wrong_tallies(made) == {}
    assert truth.wrong_tasks(made) == {}


def test_doctor_finds_the_books_in_order_and_keeps_the_run(site):
    made, _ = site
    code, told = doctor(made, "--settle", "0")
    assert (code, told["ok"]) == (0, True)
    assert [one["key"] for one in told["invariants"]][:5] == ["I1", "I2", "I3", "I4", "I5"]
    checked = {one["key"]: one["checked"] for one in told["invariants"]}
    assert checked["I1"] == checked["I10"] == ITEMS
    assert checked["I4"] >= ITEMS
    assert checked["I5"] >= ITEMS
    with made.outside.db.read() as session:
        assert {row["key"]: row["violations"] for row in last_results(session)} == dict.fromkeys(checked, 0)


def test_a_change_behind_our_back_is_found_reported_and_healed(site):
    """Somebody edits an answer, deletes another's task and makes a count lie, while no worker runs."""
    made, _ = site
    with made.outside.db.write() as session:
        item = session.scalars(select(ItemRow)).first()
        item.state = "queued"
        annotation = session.scalars(select(AnnotationRow)).first()
        lane = session.scalars(select(LaneRow).where(LaneRow.ls_project_id.is_not(None))).first()
        visit = session.scalars(select(VisitRow).where(VisitRow.lane_id == lane.id)).first()
    with made.server.client() as client, made.server.sign_in(made.people[0].email) as browser:
        changed = {"result": [], "was_cancelled": True}
        answer = browser.patch(f"/api/annotations/{annotation.ls_annotation_id}/", json=changed)
        assert answer.status_code == httpx.codes.OK
        there = client.task_ids(lane.ls_project_id)
        body = [
            {"data": {"text": "once more: a hint warm day", "wb_visit": visit.public_id, "wb_item_id": "x"}}
        ]
        headers = {"Authorization": f"Token {made.server.token}"}
        url = f"{made.server.url}/api/projects/{lane.ls_project_id}/import"
        httpx.post(url, json=body, headers=headers, trust_env=False).raise_for_status()
        [copy] = client.task_ids(lane.ls_project_id) - there
    found = broken(made, settle_s=0)
    assert {"I2", "I4", "I5", "I15"} <= set(found)
    assert any(f"task {copy} " in sentence and "once more" in sentence for sentence in found["I4"])
    assert any(f"annotation {annotation.ls_annotation_id} " in sentence for sentence in found["I5"])
    outcome = compare_books(made.outside, settle_s=0)
    assert set(outcome["violations"]) == set(found)
    assert doctor(made, "--settle", "0")[0] == 3
    assert {one.about for one in incidents(made, "books_differ") if not one.healed_at} >= {
        "installation:I2",
        "installation:I4",
    }
    with made.outside.db.write() as session:
        session.get_one(ItemRow, item.id).state = "resolved"
    with worker(made), at_work(made):
        wait_until(lambda: not broken(made, settle_s=0), seconds=60, what=lambda: broken(made, settle_s=0))
    compare_books(made.outside, settle_s=0)
    assert all(one.healed_at and one.how for one in incidents(made, "books_differ"))
