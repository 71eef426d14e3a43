"""Answers come back: counted, corrected, withdrawn, late and odd ones."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import pytest

from integrations.label_studio.errors import LabelStudioUnavailable
from integrations.label_studio.interface import Member
from tests.factories import make_rate_card
from tests.integration.line.world import build
from workbench.errors import Unavailable
from workbench.items.tables import ItemMoveRow
from workbench.labeling.tables import AnnotationRevisionRow, AnswerRow, VisitRow
from workbench.people.tables import AccountRow, PersonRow, PoolRow
from workbench.tallies.tables import HourTallyRow, LedgerRow, ModelTallyRow, PatternTallyRow

TWICE = {"rules": [{"name": "twice", "when": "true", "overlap": 2, "show_suggestion": False}]}


def shown(outside, *, policy=None, items=1, **more):
    """A world whose items lie before people."""
    world = build(outside, policy=policy, items=items, **more)
    with outside.db.write() as session:
        make_rate_card(session, session.get_one(PoolRow, world.pool_id))
    world.predict()
    world.decide()
    world.sync()
    return world


def told(world):
    return [(a.status, a.reason) for a in world.annotations()]


def ledger(world):
    return [line.amount for line in world.rows(LedgerRow, LedgerRow.source_kind == "annotation")]


def only_task(world):
    return next(iter(world.server.tasks.values()))


def labels(world):
    return [
        (row.label, row.source, row.method, row.revision, row.superseded_at is None) for row in world.labels()
    ]


def test_an_answer_becomes_a_label(outside):
    world = shown(outside)
    world.say([(0, 2, "Negative")])
    assert world.sync()["read"] == 1
    assert world.states() == ["annotated"]
    (annotation,) = world.annotations()
    assert (annotation.label, annotation.status, annotation.person_id) == (
        "Negative",
        "counted",
        world.person_ids[1],
    )
    assert (annotation.blind, annotation.predicted, annotation.lead_time_s) == (False, "Positive", 12.5)
    (answer,) = world.rows(AnswerRow)
    assert (answer.control, answer.kind, answer.value) == ("label", "choice", "Negative")
    assert world.resolve() == {"machine": 0, "people": 1, "ties": 0}
    assert labels(world) == [("Negative", "people", "one answer", 1, True)]
    assert world.states() == ["resolved"]


def test_reading_again_changes_nothing(outside, clock):
    world = shown(outside)
    world.say([(0, 2, "Negative")])
    world.sync()
    before = (told(world), ledger(world), len(world.rows(ItemMoveRow)))
    for _ in range(3):
        clock.forward(seconds=3)
        assert world.sync()["read"] == 0
    assert (told(world), ledger(world), len(world.rows(ItemMoveRow))) == before
    assert before[1] == [Decimal("0.08")]


def test_a_late_extra_answer_is_kept_paid_and_used_for_agreement_alone(outside):
    world = shown(outside, policy=TWICE)
    task = only_task(world)
    for user, label in ((1, "Positive"), (2, "Positive"), (3, "Negative")):
        world.server.answer(task, user, label)
    world.sync()
    world.resolve()
    assert [status for status, _ in told(world)] == ["counted", "counted", "above_overlap"]
    assert ledger(world) == [Decimal("0.08")] * 3
    assert [p.pattern for p in world.rows(PatternTallyRow) if p.items] == ["2,0,1"]
    (label,) = world.labels()
    assert (label.label, label.annotations, label.share) == ("Positive", 2, 1.0)
    assert label.cost == sum(line.amount for line in world.rows(LedgerRow))


def test_an_extra_answer_after_the_label_stood_moves_nothing(outside):
    world = shown(outside)
    world.say([(0, 1, "Positive")])
    world.sync()
    world.resolve()
    world.say([(0, 2, "Negative")])
    world.sync()
    assert world.states() == ["resolved"]
    assert [status for status, _ in told(world)] == ["counted", "above_overlap"]
    assert ledger(world) == [Decimal("0.08")] * 2


def test_an_edit_is_a_revision_and_the_label_follows(outside):
    world = shown(outside)
    answer = world.server.answer(only_task(world), 1, "Positive")
    world.sync()
    world.resolve()
    world.server.edit(answer, "Negative")
    world.sync()
    assert world.states() == ["annotated"]
    world.resolve()
    assert [(r.revision, r.label) for r in world.rows(AnnotationRevisionRow)] == [(1, "Positive")]
    assert [(a.label, a.revision) for a in world.annotations()] == [("Negative", 2)]
    assert [row.value for row in world.rows(AnswerRow)] == ["Negative"]
    assert labels(world) == [
        ("Positive", "people", "one answer", 1, False),
        ("Negative", "people", "one answer", 2, True),
    ]
    assert ledger(world) == [Decimal("0.08")], "edited work is not paid twice"
    assert sum(row.resolved for row in world.rows(HourTallyRow)) == 1, "resolved once"
    assert {(m.given, m.answers) for m in world.rows(ModelTallyRow) if m.answers} == {("Negative", 1)}


def test_an_edit_that_says_the_same_leaves_the_label(outside):
    world = shown(outside)
    answer = world.server.answer(only_task(world), 1, "Positive")
    world.sync()
    world.resolve()
    world.server.edit(answer, lead_time_s=30.0)
    world.sync()
    assert world.states() == ["resolved"]
    assert [a.lead_time_s for a in world.annotations()] == [30.0]


def test_a_deleted_answer_is_wanted_again_and_not_paid(outside):
    world = shown(outside)
    task = only_task(world)
    answer = world.server.answer(task, 1, "Positive")
    world.sync()
    world.resolve()
    world.server.delete_annotation(answer)
    world.sync()
    assert world.states() == ["in_labeling"]
    assert world.visits()[0].state == "in_lane"
    (gone,) = world.annotations()
    assert (gone.reason, gone.deleted_at is not None) == ("deleted in Label Studio", True)
    assert sum(ledger(world)) == 0
    world.server.answer(task, 2, "Neutral")
    world.sync()
    world.resolve()
    assert labels(world)[-1] == ("Neutral", "people", "one answer", 2, True)
    assert sum(ledger(world)) == Decimal("0.08")


def test_an_answer_that_was_deleted_and_comes_back_counts_again(outside):
    world = shown(outside)
    task = only_task(world)
    answer = world.server.answer(task, 1, "Positive")
    world.sync()
    raw = world.server.delete_annotation(answer)
    world.sync()
    task.annotations[answer] = raw
    task.updated_at = world.server._stamp()
    world.sync()
    assert [(a.status, a.deleted_at) for a in world.annotations()] == [("counted", None)]
    assert ledger(world) == [Decimal("0.08"), Decimal("-0.08"), Decimal("0.08")]
    assert world.states() == ["annotated"]


def test_the_first_answer_deleted_lets_the_next_in(outside):
    world = shown(outside)
    task = only_task(world)
    first = world.server.answer(task, 1, "Positive")
    world.server.answer(task, 2, "Negative")
    world.sync()
    world.resolve()
    world.server.delete_annotation(first)
    world.sync()
    assert world.states() == ["annotated"]
    world.resolve()
    assert labels(world)[-1][:2] == ("Negative", "people")
    assert [a.status for a in world.annotations()] == ["counted", "counted"]
    assert [a.deleted_at is None for a in world.annotations()] == [False, True]


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        ({"updated_by": 9}, "written by account 9 in the name of account 1"),
        ({"label": "Purple"}, "label 'Purple' is not one of the project's"),
        ({"label": ("Positive", "Negative")}, "2 labels were chosen where one is wanted"),
        ({"result": []}, "no label was chosen"),
        ({"result": "nonsense"}, "the result is not a list"),
        ({"completed_by": 0, "updated_by": None}, "the account that wrote it is gone from Label Studio"),
    ],
)
def test_what_cannot_be_used_is_kept_unpaid_and_asked_again(outside, odd, reason):
    world = shown(outside)
    odd = {"label": "Positive", **odd}
    world.server.answer(only_task(world), 1, odd.pop("label"), **odd)
    world.sync()
    assert told(world) == [("not_counted", reason)]
    assert ledger(world) == []
    assert world.states() == ["in_labeling"]
    assert world.visits()[0].state == "in_lane"
    assert "reopen_task" in world.server.calls
    assert only_task(world).overlap == 2, "the server must ask one more than it has"
    world.server.answer(only_task(world), 2, "Neutral")
    world.sync()
    world.resolve()
    assert labels(world) == [("Neutral", "people", "one answer", 1, True)]


def test_a_second_answer_by_the_same_person_does_not_count(outside):
    world = shown(outside, policy=TWICE)
    for label in ("Positive", "Negative"):
        world.server.answer(only_task(world), 1, label)
    world.sync()
    assert [status for status, _ in told(world)] == ["counted", "not_counted"]
    assert world.states() == ["in_labeling"]
    assert [p for p in world.rows(PatternTallyRow) if p.items] == []
    assert only_task(world).overlap == 3


def test_a_stranger_becomes_a_person(outside):
    world = shown(outside)
    world.server.people = [Member(77, "new@example.org", "New", "Comer")]
    world.server.answer(only_task(world), 77, "Neutral")
    world.sync()
    person = world.rows(PersonRow)[-1]
    assert (person.name, person.email) == ("New Comer", "new@example.org")
    assert world.annotations()[0].person_id == person.id
    assert world.rows(LedgerRow)[-1].person_id == person.id


def test_an_account_that_the_server_does_not_list_is_paid_without_a_name(outside):
    world = shown(outside)
    world.server.answer(only_task(world), 78, "Neutral")
    world.sync()
    assert [(a.status, a.person_id) for a in world.annotations()] == [("counted", None)]
    assert ledger(world) == [Decimal("0.08")]
    assert {h.person_id for h in world.rows(HourTallyRow)} == {-2}, "the machine did not do it"
    world.resolve()
    assert world.states() == ["resolved"]


def test_an_account_that_is_removed_later_keeps_its_answers(outside):
    world = shown(outside, policy=TWICE)
    task = only_task(world)
    answers = [world.server.answer(task, user, "Positive") for user in (1, 2)]
    world.sync()
    for answer in answers:
        world.server.edit(answer, completed_by=0, updated_by=None)
    world.sync()
    assert [(a.status, a.ls_user_id) for a in world.annotations()] == [("counted", 1), ("counted", 2)]


def test_skips_cost_time_and_three_send_it_to_adjudication(outside):
    world = shown(outside, people=5)
    task = only_task(world)
    for user in (1, 2):
        world.server.answer(task, user, None)
    world.sync()
    assert world.states() == ["in_labeling"]
    assert {status for status, _ in told(world)} == {"skipped"}
    world.server.answer(task, 3, None)
    world.sync()
    purposes = [(v.purpose, v.state) for v in world.visits()]
    assert purposes[0] == ("ordinary", "withdrawn")
    assert [purpose for purpose, _ in purposes] == ["ordinary", "adjudication"]
    assert ledger(world) == []
    world.sync()
    decided = world.server.task_of(world.visits()[1].public_id)
    assert decided.new.result == []
    # One who answers the withdrawn task after all is heard and paid, and decides nothing.
    world.server.answer(task, 4, "Negative")
    world.sync()
    assert world.annotations()[-1].status == "counted"
    assert ledger(world) == [Decimal("0.08")]
    assert world.visits()[0].state == "withdrawn"
    world.server.answer(decided, 5, "Neutral")
    world.sync()
    world.resolve()
    assert labels(world) == [("Neutral", "people", "adjudication", 1, True)]


def test_a_tie_is_sent_on_and_decided(outside):
    world = shown(outside, policy=TWICE)
    task = only_task(world)
    answers = [world.server.answer(task, 1, "Positive"), world.server.answer(task, 2, "Negative")]
    world.sync()
    assert world.resolve() == {"machine": 0, "people": 0, "ties": 1}
    assert world.states() == ["queued"]
    move = world.rows(ItemMoveRow)[-1]
    assert move.reason == "people disagree (1 × Negative, 1 × Positive): sent to adjudication"  # noqa: RUF001
    first, second = world.visits()
    assert (second.purpose, second.overlap, second.show_suggestion) == ("adjudication", 1, False)
    assert second.priority == first.priority + 10
    world.sync()
    world.sync()
    last = world.server.task_of(second.public_id)
    world.server.answer(last, 3, "Negative")
    world.sync()
    world.resolve()
    (label,) = world.labels()
    assert (label.label, label.method, label.annotations) == ("Negative", "adjudication", 3)
    assert label.share == pytest.approx(2 / 3)
    assert [p.pattern for p in world.rows(PatternTallyRow) if p.items] == ["1,0,1"], "adjudicators stay out"
    assert {a.blind for a in world.annotations()} == {True, False}

    # An answer that changes on an adjudicated item: what was decided stays decided.
    world.server.edit(answers[1], "Neutral")
    world.sync()
    assert world.states() == ["annotated"]
    world.resolve()
    assert [row[:2] for row in labels(world)] == [("Negative", "people")] * 2
    assert [p.pattern for p in world.rows(PatternTallyRow) if p.items] == ["1,1,0"]
    # And one that is withdrawn wants an answer again without losing what was decided.
    world.server.delete_annotation(answers[0])
    world.sync()
    world.server.answer(task, 3, "Neutral")
    world.sync()
    world.resolve()
    assert world.states() == ["resolved"]
    assert labels(world)[-1][0] == "Negative"


def test_a_late_answer_while_adjudicators_are_at_it_disturbs_nothing(outside):
    world = shown(outside, policy=TWICE)
    task = only_task(world)
    world.server.answer(task, 1, "Positive")
    world.server.answer(task, 2, "Negative")
    world.sync()
    world.resolve()
    world.server.answer(task, 3, "Negative")
    world.sync()
    assert world.annotations()[-1].status == "above_overlap"
    assert world.states() == ["in_labeling"]
    world.sync()
    world.server.answer(world.server.task_of(world.visits()[1].public_id), 3, "Positive")
    world.sync()
    world.resolve()
    assert labels(world) == [("Positive", "people", "adjudication", 1, True)]


def test_a_task_deleted_in_label_studio_is_sent_again(outside, clock):
    world = shown(outside, policy=TWICE)
    task = only_task(world)
    world.server.answer(task, 1, "Positive")
    world.sync()
    assert ledger(world) == [Decimal("0.08")]
    del world.server.tasks[task.task_id]
    clock.forward(seconds=31)
    world.sync()
    again = only_task(world)
    assert (again.task_id != task.task_id, again.new.visit_key) == (True, task.new.visit_key)
    assert sum(ledger(world)) == Decimal("0.08"), "the answer that was given is kept and paid"
    assert world.states() == ["in_labeling"]
    world.server.answer(again, 1, "Negative")
    world.sync()
    assert [a.status for a in world.annotations()] == ["counted", "not_counted"], "the same person again"
    world.server.answer(again, 2, "Positive")
    world.sync()
    world.resolve()
    assert labels(world) == [("Positive", "people", "majority", 1, True)]
    assert sum(ledger(world)) == Decimal("0.16")


def test_a_deleted_task_that_should_be_reopened_stops_nobody(outside, clock):
    world = shown(outside, items=2)
    first, second = world.server.tasks.values()
    world.server.answer(first, 1, "Purple")
    world.server.fail("reopen_task", LabelStudioUnavailable("down for a moment"))
    with pytest.raises(Unavailable):
        world.sync()
    del world.server.tasks[first.task_id]
    world.server.answer(second, 1, "Neutral")
    clock.forward(seconds=31)
    world.sync()
    world.sync()
    assert Counter(world.states()) == {"annotated": 1, "in_labeling": 1}
    assert len(world.server.tasks) == 2


def test_a_server_that_fails_midway_loses_nothing(outside, clock):
    world = shown(outside, items=3)
    world.say([(0, 1, "Positive"), (1, 2, "Negative"), (2, 3, "Neutral")])
    for method in ("changed_tasks", "read_tasks"):
        world.server.fail(method, LabelStudioUnavailable("500"))
        with pytest.raises(Unavailable):
            world.sync()
        assert world.annotations() == []
    world.sync()
    assert sorted(a.label for a in world.annotations()) == ["Negative", "Neutral", "Positive"]


def test_many_changes_are_read_in_chunks_oldest_first(outside, monkeypatch):
    from workbench.labeling import receiving

    monkeypatch.setattr(receiving, "TASKS_A_STEP", 2)
    world = shown(outside, items=5)
    world.say([(n, 1 + n % 3, "Positive") for n in range(5)])
    assert world.sync()["read"] == 5
    assert set(world.states()) == {"annotated"}


def test_a_change_between_listing_and_reading_is_read_again(outside):
    world = shown(outside)
    task = only_task(world)
    answer = world.server.answer(task, 1, "Positive")
    real = world.server.read_tasks

    def read_then_changed(project, ids):
        found = real(project, ids)
        world.server.edit(answer, "Negative")
        return found

    world.server.read_tasks = read_then_changed
    world.sync()
    world.server.read_tasks = real
    world.sync()
    assert [a.label for a in world.annotations()] == ["Negative"]


def test_a_blind_audit_of_an_accepted_item_corrects_the_machine(outside):
    policy = {"rules": [{"name": "sure", "when": "confidence >= 0.5", "accept": True}], "audit_rate": 1.0}
    world = shown(outside, policy=policy)
    (visit,) = world.visits()
    assert (visit.purpose, visit.show_suggestion) == ("audit", False)
    assert only_task(world).new.result == []
    world.server.answer(only_task(world), 1, "Negative")
    world.sync()
    world.resolve()
    assert labels(world) == [("Negative", "people", "one answer", 1, True)]
    assert {(m.blind, m.predicted, m.given) for m in world.rows(ModelTallyRow)} == {
        (True, "Positive", "Negative")
    }


def test_accepted_items_get_the_machines_label_once(outside):
    policy = {"rules": [{"name": "sure", "when": "confidence >= 0.5", "accept": True}]}
    world = build(outside, policy=policy)
    world.predict()
    world.decide()
    assert world.resolve() == {"machine": 4, "people": 0, "ties": 0}
    assert world.resolve() == {"machine": 0, "people": 0, "ties": 0}
    rows = world.labels()
    assert [(r.label, r.source, r.method, r.annotations, r.revision) for r in rows] == [
        ("Positive", "machine", "accepted", 0, 1)
    ] * 4
    assert all(r.confidence == pytest.approx(0.9) and r.reason.startswith("rule 'sure'") for r in rows)
    assert all((r.decision_id, r.policy_id, r.model_version_id) == (n, 1, 1) for n, r in enumerate(rows, 1))
    assert sum(r.cost for r in rows) == sum(line.amount for line in world.rows(LedgerRow)) > 0
    assert [(h.person_id, h.resolved) for h in world.rows(HourTallyRow)] == [(0, 4)]


def test_a_majority_of_three_decides(outside):
    policy = {"rules": [{"name": "thrice", "when": "true", "overlap": 3}]}
    world = shown(outside, policy=policy)
    world.say([(0, 1, "Positive"), (0, 2, "Negative"), (0, 3, "Negative")])
    world.sync()
    world.resolve()
    (label,) = world.labels()
    assert (label.label, label.method, label.annotations) == ("Negative", "majority", 3)
    assert label.share == pytest.approx(2 / 3)
    assert label.reason == "people answered 2 × Negative, 1 × Positive"  # noqa: RUF001
    assert label.cost == sum(line.amount for line in world.rows(LedgerRow))


def test_one_person_with_two_accounts_is_one_in_agreement(outside):
    world = shown(outside, policy=TWICE)
    with outside.db.write() as session:
        session.get_one(AccountRow, 2).person_id = world.person_ids[0]
    world.say([(0, 1, "Positive"), (0, 2, "Negative")])
    world.sync()
    assert [p for p in world.rows(PatternTallyRow) if p.items] == []


def test_who_answered_everything_is_led_elsewhere(outside):
    from workbench.labeling.service import next_lane_for

    world = shown(outside, policy=TWICE, items=2)

    def door(person):
        with outside.db.read() as session:
            return next_lane_for(session, world.person_ids[person])

    assert door(0).waiting == 2
    world.say([(0, 1, "Positive")])
    world.sync()
    assert (door(0).waiting, door(1).waiting) == (1, 2)
    world.say([(1, 1, "Positive")])
    world.sync()
    assert door(0) is None
    assert door(1).waiting == 2


def test_who_lost_an_answer_may_give_it_again(outside):
    from workbench.labeling.service import next_lane_for

    world = shown(outside, people=1)
    answer = world.server.answer(only_task(world), 1, "Positive")
    world.sync()
    world.server.delete_annotation(answer)
    world.sync()
    with outside.db.read() as session:
        door = next_lane_for(session, world.person_ids[0])
    assert door is not None
    assert door.waiting == 1


def test_disagreements_come_first_then_the_most_urgent_then_the_longest(outside):
    from workbench.labeling.service import next_lane_for

    policy = {
        "rules": [
            {"name": "twice", "when": "language == 'de'", "overlap": 2, "priority": 50},
            {"name": "thrice", "when": "language == 'fr'", "overlap": 3, "priority": 50},
            {"name": "rest", "when": "true", "priority": 40},
        ]
    }
    world = build(outside, policy=policy, items=6)
    for item, language in zip(world.items(), ["de", "fr", "fr", "en", "en", "en"], strict=True):
        world.change(type(item), item.id, language=language)
    world.predict()
    world.decide()
    world.sync()

    def title():
        with outside.db.read() as session:
            return next_lane_for(session, world.person_ids[2]).title

    assert title().endswith("3 opinions"), "as urgent as the two opinions, and longer"
    world.change(VisitRow, 1, priority=60)
    assert title().endswith("2 opinions"), "more urgent"
    german = world.server.task_of(world.visits()[0].public_id)
    world.server.answer(german, 1, "Positive")
    world.server.answer(german, 2, "Negative")
    world.sync()
    world.resolve()
    world.sync()
    assert title().endswith("decide")


def test_nobody_is_led_to_a_lane_of_another_pool(outside):
    from tests.factories import make_person, make_pool
    from workbench.labeling.service import next_lane_for
    from workbench.people.tables import ServerRow

    shown(outside)
    with outside.db.write() as session:
        other = make_person(session, session.get_one(ServerRow, 1), make_pool(session, "german"), 50)
    with outside.db.read() as session:
        assert next_lane_for(session, other.id) is None
