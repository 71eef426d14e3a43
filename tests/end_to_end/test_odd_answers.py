"""Odd answers on a real Label Studio, read by the real job: each is kept, judged and counted as it should."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

import httpx
import pytest
from sqlalchemy import select

from tests.end_to_end import truth
from tests.end_to_end.installation import (
    Installation,
    Note,
    Person,
    give,
    installation,
    next_task,
    region,
    skip,
)
from tests.label_studio_server import PASSWORD, TestServer, sign_in
from workbench.decisions.jobs import JOB as DECIDE
from workbench.items.jobs import JOB as IMPORT
from workbench.items.tables import ImportRow, ItemMoveRow, ItemRow
from workbench.labeling.jobs import JOB as SYNC
from workbench.labeling.receiving import read_lane
from workbench.labeling.tables import AnnotationRevisionRow, AnnotationRow, LaneRow, VisitRow
from workbench.labels.jobs import JOB as RESOLVE
from workbench.labels.tables import LabelRow
from workbench.outside import system_now
from workbench.prelabeling.jobs import JOB as PRELABEL
from workbench.tallies.tables import LedgerRow

pytestmark = pytest.mark.label_studio

SINGLES = (
    *("skipped", "passed", "early", "late", "gone-early", "gone-late", "lost"),
    *("unknown", "several", "empty", "forged", "reopen"),
)
PAIRS = ("twice", "both-lost", "above", "untied")


class AheadClock:
    """The system's clock, put forward when a test does not want to wait."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return system_now() + self.ahead


@dataclass
class Desk:
    """The installation with everybody signed in."""

    made: Installation
    clock: AheadClock
    browsers: dict[str, httpx.Client] = field(default_factory=dict)

    def person(self, name: str) -> Person:
        return next(one for one in self.made.people if one.name == name)

    def __getitem__(self, name: str) -> httpx.Client:
        return self.browsers[name]

    def round(self) -> None:
        """What the worker does in a few seconds."""
        self.made.once(SYNC)
        self.made.once(RESOLVE)
        self.made.once(SYNC)

    def later_round(self) -> None:
        """The same after the pause between two comparisons."""
        self.clock.ahead += timedelta(seconds=40)
        self.round()

    def state(self, name: str) -> str:
        return self.item(name).state

    def item(self, name: str) -> ItemRow:
        with self.made.outside.db.read() as session:
            return session.scalars(select(ItemRow).where(ItemRow.external_id == name)).one()

    def visits(self, name: str) -> list[VisitRow]:
        with self.made.outside.db.read() as session:
            query = select(VisitRow).where(VisitRow.item_id == self.item(name).id).order_by(VisitRow.id)
            return list(session.scalars(query))

    def task(self, name: str) -> int:
        """The Label Studio task of the item's newest visit."""
        task_id = self.visits(name)[-1].ls_task_id
        assert task_id is not None
        return task_id

    def lane(self, name: str) -> int:
        """The Label Studio project of the item's newest visit."""
        with self.made.outside.db.read() as session:
            found = session.get_one(LaneRow, self.visits(name)[-1].lane_id).ls_project_id
        assert found is not None
        return found

    def annotations(self, name: str) -> list[AnnotationRow]:
        with self.made.outside.db.read() as session:
            query = select(AnnotationRow).where(AnnotationRow.item_id == self.item(name).id)
            return list(session.scalars(query.order_by(AnnotationRow.ls_annotation_id)))

    def labels(self, name: str) -> list[LabelRow]:
        with self.made.outside.db.read() as session:
            query = select(LabelRow).where(LabelRow.item_id == self.item(name).id)
            return list(session.scalars(query.order_by(LabelRow.revision)))

    def paid(self, name: str) -> list[Decimal]:
        """Amounts booked for people's answers on an item."""
        with self.made.outside.db.read() as session:
            query = select(LedgerRow).where(
                LedgerRow.item_id == self.item(name).id, LedgerRow.source_kind == "annotation"
            )
            return [row.amount for row in session.scalars(query.order_by(LedgerRow.id))]

    def offered(self, name: str, person: str) -> bool:
        """Whether Label Studio would show the item's task to a person; each is looked at once."""
        with self.made.server.client() as client:
            [task] = client.read_tasks(self.lane(name), [self.task(name)])
        ls_user_id = self.person(person).ls_user_id
        return not task.is_labeled and ls_user_id not in {one.completed_by for one in task.annotations}

    def drop_task(self, name: str) -> None:
        """The server's owner deletes the task."""
        with self.made.server.client() as client:
            client.delete_tasks(self.lane(name), [self.task(name)])


@pytest.fixture(scope="module")
def desk(tmp_path_factory, label_studio_server: TestServer) -> Iterator[Desk]:
    routing = {
        "routes": [{"when": 'meta.kind == "pair"', "overlap": 2, "show_suggestion": False}],
        "show_suggestion": True,
    }
    clock = AheadClock()
    with ExitStack() as stack:
        folder = tmp_path_factory.mktemp("odd")
        made = stack.enter_context(
            installation(folder, label_studio_server, clock=clock, routing=routing, lane_limit=100)
        )
        found = Desk(made, clock)
        for person in made.people:
            found.browsers[person.name] = stack.enter_context(
                sign_in(label_studio_server.url, person.email, PASSWORD)
            )
        made.bring_in(
            [Note(name, f"{name}: a warm day", "Positive", "single") for name in SINGLES]
            + [Note(name, f"{name}: a warm day", "Positive", "pair") for name in PAIRS]
        )
        with made.outside.db.read() as session:
            import_id = session.scalars(select(ImportRow.id)).one()
        made.once(IMPORT, {"import_id": import_id})
        made.once(PRELABEL)
        made.once(DECIDE, {"project_id": made.project_id, "without_model": False})
        found.round()
        assert made.states() == {"in_labeling": len(SINGLES) + len(PAIRS)}
        yield found


@pytest.fixture(autouse=True)
def the_books_are_right(desk: Desk) -> Iterator[None]:
    yield
    assert truth.wrong_rows(desk.made, settled=False) == {}
    assert truth.wrong_tallies(desk.made) == {}
    assert truth.wrong_tasks(desk.made) == {}


def test_what_one_person_skips_goes_to_others(desk: Desk):
    skip(desk["Ann"], desk.task("skipped"))
    desk.round()
    assert desk.state("skipped") == "in_labeling"
    assert not desk.offered("skipped", "Ann")
    assert desk.offered("skipped", "Ben")
    give(desk["Ben"], desk.task("skipped"), "Neutral")
    desk.round()
    assert desk.state("skipped") == "resolved"
    assert [(row.status, row.reason) for row in desk.annotations("skipped")] == [
        ("skipped", "skipped"),
        ("counted", ""),
    ]
    assert desk.paid("skipped") == [Decimal("0.08")]


def test_what_three_people_skip_is_decided_by_the_adjudicators(desk: Desk):
    first = desk.task("passed")
    for name in ("Ann", "Ben", "Cleo"):
        skip(desk[name], first)
        desk.round()
    assert [visit.state for visit in desk.visits("passed")] == ["withdrawn", "in_lane"]
    assert desk.visits("passed")[1].purpose == "adjudication"
    # Nobody is asked any more in the first lane; who had it open already is heard, and paid.
    task = desk["Dan"].get(f"/api/tasks/{first}/").json()
    assert task["is_labeled"] is True
    give(desk["Dan"], first, "Negative")
    offered = next_task(desk["Fay"], desk.lane("passed"))
    assert offered is not None
    give(desk["Fay"], offered["id"], "Neutral")
    desk.round()
    [label] = desk.labels("passed")
    assert (desk.state("passed"), label.label, label.method) == ("resolved", "Neutral", "adjudication")
    assert sorted(desk.paid("passed")) == [Decimal("0.08"), Decimal("0.5")]


def test_an_edit_before_the_item_is_resolved_is_what_counts(desk: Desk):
    made = give(desk["Ann"], desk.task("early"), "Positive")
    desk.made.once(SYNC)
    assert desk.state("early") == "annotated"
    assert desk["Ann"].patch(f"/api/annotations/{made}/", json={"result": [region("Negative")]}).is_success
    desk.round()
    assert [(row.label, row.revision) for row in desk.labels("early")] == [("Negative", 1)]
    assert desk.paid("early") == [Decimal("0.08")]


def test_an_edit_after_the_item_is_resolved_makes_a_new_revision(desk: Desk):
    made = give(desk["Ann"], desk.task("late"), "Positive")
    desk.round()
    assert [row.label for row in desk.labels("late")] == ["Positive"]
    assert desk["Ann"].patch(f"/api/annotations/{made}/", json={"result": [region("Negative")]}).is_success
    desk.round()
    old, new = desk.labels("late")
    assert (old.label, new.label) == ("Positive", "Negative")
    assert old.superseded_at is not None
    assert new.superseded_at is None
    assert desk.state("late") == "resolved"
    assert desk.paid("late") == [Decimal("0.08")]
    with desk.made.outside.db.read() as session:
        [row] = desk.annotations("late")
        kept = session.scalars(
            select(AnnotationRevisionRow).where(AnnotationRevisionRow.annotation_id == row.id)
        ).all()
        reasons = session.scalars(select(ItemMoveRow.reason).where(ItemMoveRow.item_id == row.item_id)).all()
    assert [(one.revision, one.label) for one in kept] == [(1, "Positive")]
    assert "an answer was changed" in reasons


@pytest.mark.parametrize(("name", "resolved_before"), [("gone-early", False), ("gone-late", True)])
def test_a_deleted_answer_leaves_a_stone_and_the_item_waits_again(desk: Desk, name, resolved_before):
    made = give(desk["Ann"], desk.task(name), "Positive")
    if resolved_before:
        desk.round()
        assert desk.state(name) == "resolved"
    else:
        desk.made.once(SYNC)
    assert desk["Ann"].delete(f"/api/annotations/{made}/").is_success
    desk.round()
    [stone] = desk.annotations(name)
    assert stone.deleted_at is not None
    assert stone.reason == "deleted in Label Studio"
    assert desk.paid(name) == [Decimal("0.08"), Decimal("-0.08")]
    assert desk.state(name) == "in_labeling"
    assert desk.offered(name, "Ben")
    give(desk["Ben"], desk.task(name), "Negative")
    desk.round()
    assert desk.state(name) == "resolved"
    assert desk.labels(name)[-1].label == "Negative"
    assert sum(desk.paid(name)) == Decimal("0.08")


def test_a_deleted_task_is_sent_again_as_the_same_visit(desk: Desk):
    [before] = desk.visits("lost")
    desk.drop_task("lost")
    desk.later_round()
    [after] = desk.visits("lost")
    assert after.public_id == before.public_id
    assert after.ls_task_id not in {before.ls_task_id, None}
    give(desk["Ann"], desk.task("lost"), "Positive")
    desk.round()
    assert desk.state("lost") == "resolved"


def test_a_second_answer_of_the_same_person_does_not_count(desk: Desk):
    give(desk["Ann"], desk.task("twice"), "Positive")
    give(desk["Ann"], desk.task("twice"), "Negative")
    desk.round()
    assert [(row.status, row.reason) for row in desk.annotations("twice")] == [
        ("counted", ""),
        ("not_counted", "a second answer by the same person"),
    ]
    assert desk.state("twice") == "in_labeling"
    assert desk.offered("twice", "Ben")
    give(desk["Ben"], desk.task("twice"), "Positive")
    desk.round()
    [label] = desk.labels("twice")
    assert (label.label, label.annotations) == ("Positive", 2)
    assert desk.paid("twice") == [Decimal("0.08")] * 2


@pytest.mark.parametrize(
    ("name", "result", "reason"),
    [
        ("unknown", [region("Wonderful")], "label 'Wonderful' is not one of the project's"),
        ("empty", [], "no label was chosen"),
        (
            "several",
            [region("Positive") | {"value": {"choices": ["Positive", "Negative"]}}],
            "2 labels were chosen where one is wanted",
        ),
    ],
)
def test_an_answer_that_cannot_be_used_is_kept_and_another_is_asked(desk: Desk, name, result, reason):
    give(desk["Ann"], desk.task(name), "", result=result)
    desk.round()
    [row] = desk.annotations(name)
    assert (row.status, row.reason) == ("not_counted", reason)
    assert desk.paid(name) == []
    assert desk.state(name) == "in_labeling"
    assert desk.offered(name, "Ben")
    give(desk["Ben"], desk.task(name), "Neutral")
    desk.round()
    assert (desk.state(name), desk.labels(name)[-1].label) == ("resolved", "Neutral")
    assert desk.paid(name) == [Decimal("0.08")]


def test_an_answer_in_another_name_is_kept_not_counted_and_not_paid(desk: Desk):
    ann, ben = desk.person("Ann").ls_user_id, desk.person("Ben").ls_user_id
    give(desk["Ben"], desk.task("forged"), "Positive", completed_by=ann)
    desk.round()
    [row] = desk.annotations("forged")
    assert row.status == "not_counted"
    assert row.reason == f"written by account {ben} in the name of account {ann}"
    assert desk.paid("forged") == []
    assert desk.offered("forged", "Cleo")
    give(desk["Cleo"], desk.task("forged"), "Neutral")
    desk.round()
    assert desk.labels("forged")[-1].label == "Neutral"


def test_more_answers_than_wanted_are_paid_and_not_needed(desk: Desk):
    task = desk.task("above")
    for name, label in (("Ann", "Positive"), ("Ben", "Positive"), ("Cleo", "Negative")):
        give(desk[name], task, label)
    desk.round()
    assert [row.status for row in desk.annotations("above")] == ["counted", "counted", "above_overlap"]
    [label] = desk.labels("above")
    assert (label.label, label.annotations) == ("Positive", 2)
    assert desk.paid("above") == [Decimal("0.08")] * 3


def test_a_task_that_goes_while_another_answer_is_wanted_is_sent_again(desk: Desk):
    give(desk["Ann"], desk.task("reopen"), "", result=[])
    read_lane(desk.made.outside, desk.visits("reopen")[-1].lane_id)
    assert desk.visits("reopen")[-1].state == "reopen"
    desk.drop_task("reopen")
    desk.later_round()
    assert desk.visits("reopen")[-1].state == "in_lane"
    give(desk["Ben"], desk.task("reopen"), "Positive")
    desk.round()
    assert desk.state("reopen") == "resolved"


def test_an_item_wanted_in_two_lanes_survives_the_loss_of_both_tasks(desk: Desk):
    name = "both-lost"
    first = give(desk["Ann"], desk.task(name), "Positive")
    give(desk["Ben"], desk.task(name), "Negative")
    desk.round()
    assert [visit.purpose for visit in desk.visits(name)] == ["ordinary", "adjudication"]
    assert desk["Ann"].delete(f"/api/annotations/{first}/").is_success
    desk.round()
    with desk.made.server.client() as client:
        for visit in desk.visits(name):
            with desk.made.outside.db.read() as session:
                lane = session.get_one(LaneRow, visit.lane_id)
            assert lane.ls_project_id is not None
            assert visit.ls_task_id is not None
            client.delete_tasks(lane.ls_project_id, [visit.ls_task_id])
    desk.later_round()
    assert {visit.state for visit in desk.visits(name)} == {"in_lane"}
    give(desk["Fay"], desk.task(name), "Neutral")
    desk.round()
    assert (desk.state(name), desk.labels(name)[-1].label) == ("resolved", "Neutral")


def test_a_changed_mind_while_adjudicators_have_the_item_changes_nothing_yet(desk: Desk):
    name = "untied"
    give(desk["Ann"], desk.task(name), "Positive")
    second = give(desk["Ben"], desk.task(name), "Negative")
    desk.round()
    assert desk["Ben"].patch(f"/api/annotations/{second}/", json={"result": [region("Positive")]}).is_success
    desk.round()
    assert desk.state(name) == "in_labeling"
    give(desk["Fay"], desk.task(name), "Positive")
    desk.round()
    [label] = desk.labels(name)
    assert (label.label, label.method) == ("Positive", "adjudication")
