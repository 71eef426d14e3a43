"""The main job once, all the way, on real parts."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import select

from tests.end_to_end import truth
from tests.end_to_end.installation import KEY, Installation, at_work, installation, notes, wait_until, worker
from tests.label_studio_server import TestServer
from workbench.decisions.tables import DecisionRow
from workbench.deliveries.service import start_delivery
from workbench.deliveries.tables import DeliveryRow
from workbench.labeling.tables import AnnotationRow, LaneRow, VisitRow
from workbench.labels.tables import LabelRow
from workbench.overview.figures import project_figures
from workbench.prelabeling.tables import PredictionRow

pytestmark = pytest.mark.label_studio


def test_fifty_items_go_all_the_way(tmp_path, label_studio_server: TestServer, database_url: str):
    with installation(
        tmp_path, label_studio_server, lane_limit=30, settings={"database_url": database_url}
    ) as made:
        brought = notes(50)
        with worker(made):
            made.bring_in(brought)
            # Nobody works yet: what lies in the lanes is what was sent first.
            wait_until(lambda: made.states().get("in_labeling", 0) >= 20, seconds=60, what=made.states)
            seen = what_people_are_shown(made)
            with at_work(made) as given:
                wait_until(lambda: made.states() == {"resolved": 50}, seconds=90, what=made.states)
            job_id = export(made)
            wait_until(lambda: exported(made, job_id), seconds=30, what="the export")

        assert truth.wrong_rows(made) == {}
        assert truth.wrong_tallies(made) == {}
        assert truth.wrong_tasks(made) == {}
        audits_and_blind_visits_look_like_any_other(made, seen)
        urgent_items_come_first(made, given)
        labels_are_right(made, brought)
        figures_are_counts(made, len(given.annotations))
        files_hold_the_labels(made, brought, exported(made, job_id))


def what_people_are_shown(made: Installation) -> dict[str, list]:
    """The predictions that lie in Label Studio, by visit."""
    shown = {}
    with made.server.client() as client:
        for lane in made.lanes():
            answer = client._transport.call(
                "GET", "/api/tasks/", params=[("project", str(lane)), ("fields", "all"), ("page_size", "500")]
            )
            for task in answer["tasks"]:
                shown[task["data"]["wb_visit"]] = [one["result"] for one in task["predictions"]]
    return shown


def audits_and_blind_visits_look_like_any_other(made: Installation, seen: dict[str, list]) -> None:
    with made.outside.db.read() as session:
        visits = session.scalars(select(VisitRow).where(VisitRow.public_id.in_(list(seen)))).all()
        predictions = {row.item_id: row.label for row in session.scalars(select(PredictionRow))}
    assert len(visits) == len(seen) > 0
    hidden = {"audit", "blind"}
    for visit in visits:
        suggestions = seen[visit.public_id]
        assert len(suggestions) == 1, "each task has a prediction, if an empty one: it carries the queue key"
        if visit.purpose in hidden or not visit.show_suggestion:
            assert suggestions == [[]]
        else:
            assert suggestions[0][0]["value"]["choices"] == [predictions[visit.item_id]]
    assert {visit.purpose for visit in visits} >= {"ordinary"}
    assert any(not visit.show_suggestion for visit in visits)


def urgent_items_come_first(made: Installation, given) -> None:
    """In each lane, what is urgent among the first tasks is answered before what is not."""
    with made.outside.db.read() as session:
        first = session.execute(
            select(VisitRow.lane_id, VisitRow.priority, VisitRow.pushed_at, AnnotationRow.created_at)
            .join(AnnotationRow, AnnotationRow.visit_id == VisitRow.id)
            .where(VisitRow.overlap == 1, VisitRow.purpose != "adjudication")
            .order_by(AnnotationRow.created_at)
        ).all()
    start = min(row.pushed_at for row in first)
    ordered = [row.priority for row in first if row.pushed_at == start]
    urgent = [place for place, priority in enumerate(ordered) if priority == 90]
    assert urgent
    # Five people ask at the same time, so neighbours may change places.
    assert max(urgent) < len(urgent) + 5, ordered


def labels_are_right(made: Installation, brought) -> None:
    expected = {one.text: one.label for one in brought if one.kind != "mixed"}
    with made.outside.db.read() as session:
        rows = truth.current_labels(session, made.project_id)
    found = {text: label for text, label, _ in rows if text in expected}
    assert found == expected
    assert {source for text, _, source in rows if "splendid" in text} <= {"machine", "people"}


def figures_are_counts(made: Installation, given: int) -> None:
    with made.outside.db.read() as session:
        figures = project_figures(session, made.project(), made.outside.now())
        visits = session.scalars(select(VisitRow)).all()
        annotations = session.scalars(select(AnnotationRow)).all()
        labels = session.scalars(select(LabelRow).where(LabelRow.superseded_at.is_(None))).all()
        decided = session.scalars(select(DecisionRow)).all()
    counted = Counter(row.status for row in annotations)
    assert figures.items == figures.resolved == figures.predicted == 50
    assert figures.accepted == sum(row.source == "machine" for row in labels)
    assert figures.accepted == sum(row.outcome == "accept" and row.purpose == "ordinary" for row in decided)
    assert figures.sent_to_people == len({row.item_id for row in visits})
    assert figures.audited == len({row.item_id for row in visits if row.purpose == "audit"})
    assert figures.annotations_received == len(annotations) == given
    assert figures.above_overlap == counted["above_overlap"]
    assert figures.annotators == len({row.person_id for row in annotations})
    assert figures.cost_total == truth.cost_by_hand(made)
    assert figures.untouched.hits == 50 - figures.sent_to_people
    assert figures.agreement.n_items == truth.items_with_two_blind_answers(made)


def export(made: Installation) -> str:
    with made.outside.db.write() as session:
        return start_delivery(made.outside, session, made.project_id, "jsonl", "pm@example.com")


def exported(made: Installation, job_id: str) -> DeliveryRow | None:
    with made.outside.db.read() as session:
        row = session.scalar(select(DeliveryRow).where(DeliveryRow.job_id == job_id))
    return row if row is not None and row.state == "done" else None


def files_hold_the_labels(made: Installation, brought, delivery: DeliveryRow | None) -> None:
    assert delivery is not None
    with Path(delivery.path).open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    assert [row["external_id"] for row in rows] == sorted(one.external_id for one in brought)
    with made.outside.db.read() as session:
        assert Counter(row["label"] for row in rows) == Counter(
            label for _, label, _ in truth.current_labels(session, made.project_id)
        )
        lanes = session.scalars(select(LaneRow)).all()
    by_people = [row for row in rows if row["source"] == "people"]
    assert all(row["answers"] for row in by_people)
    assert {lane.overlap for lane in lanes} == {1, 2}
    assert delivery.manifest["project"]["key"] == KEY
