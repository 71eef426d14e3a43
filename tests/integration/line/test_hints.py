"""Webhooks as hints, lanes kept as they should be, and a database of ours that is older than the server."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from integrations.label_studio.errors import LabelStudioRejected
from tests.integration.line.test_sending import ready
from workbench.inbox import store as inbox
from workbench.inbox.domain import digest_of
from workbench.inbox.service import rotate_secret, set_dead_letters_aside
from workbench.inbox.tables import DeliveryRow, ReceiverRow
from workbench.incidents.store import open_incidents
from workbench.incidents.tables import IncidentRow
from workbench.labeling.hints import drain
from workbench.labeling.keeping import lanes_want_new_secret
from workbench.labeling.recalling import Route, recall
from workbench.labeling.tables import AnnotationRow, LaneHintRow, LaneRow, VisitRow
from workbench.people.tables import ServerRow
from workbench.projects.tables import ProjectRow
from workbench.pump import Pump
from workbench.upkeep.domain import Chore
from workbench.upkeep.service import CHORES


def deliver(world, told, times=1):
    body = told if isinstance(told, bytes) else json.dumps(told).encode()
    for _ in range(times):
        row = {
            "server_id": 1,
            "action": "",
            "digest": digest_of(body),
            "body": body,
            "received_at": world.outside.now(),
            "tries": 0,
            "problem": "",
        }
        with world.outside.db.append() as session:
            inbox.add_deliveries(session, [row])


def told_of(world, action, task=None, annotation=None):
    said = {"action": action, "project": {"id": world.lane().ls_project_id}}
    if action == "ANNOTATIONS_DELETED":
        return said | {"annotations": [{"id": annotation}]}
    if action == "TASKS_DELETED":
        return said | {"tasks": [{"id": task}]}
    return said | {"task": {"id": task}, "annotation": {"id": annotation, "task": task}}


def hinted(world):
    from tests.integration.line.world import Run
    from workbench.labeling import jobs

    return jobs.run(Run(world.outside), {"project_id": world.project_id, "hinted": True})


def hints(world):
    return [(row.lane_id, row.ls_task_id) for row in world.rows(LaneHintRow)]


@pytest.fixture
def world(outside):
    made = ready(outside)
    made.sync()
    return made


def test_a_hint_reads_its_task_and_no_other(world, clock):
    world.sync()
    clock.forward(seconds=3)
    world.say([(0, 1, "Positive"), (1, 2, "Negative")])
    task = min(world.server.tasks)
    deliver(world, told_of(world, "ANNOTATION_CREATED", task, 999), times=3)
    assert drain(world.outside) == 1, "one row, however often it came"
    assert hints(world) == [(1, task)]
    world.server.calls.clear()
    assert hinted(world)["read"] == 1
    assert [row.label for row in world.annotations()] == ["Positive"]
    assert "changed_tasks" not in world.server.calls
    assert hints(world) == []
    (row,) = world.rows(DeliveryRow)
    assert (row.handled_at, row.body) == (world.outside.now(), b"")
    assert drain(world.outside) == 0


def test_what_a_hook_says_is_not_believed(world):
    world.say([(0, 1, "Positive")])
    world.sync()
    task = min(world.server.tasks)
    annotation = world.annotations()[0].ls_annotation_id
    deliver(world, told_of(world, "ANNOTATIONS_DELETED", annotation=annotation))
    deliver(world, told_of(world, "TASKS_DELETED", task=task))
    forged = {"id": 7_777, "task": task, "result": [], "completed_by": 3}
    deliver(world, told_of(world, "ANNOTATION_CREATED", task, 7_777) | {"annotation": forged})
    assert drain(world.outside) == 3
    world.sync()
    assert [(row.label, row.deleted_at) for row in world.annotations()] == [("Positive", None)]
    assert len(world.server.tasks) == 4


def test_a_deletion_that_is_true_is_found_at_once(world, clock):
    world.say([(0, 1, "Positive")])
    world.sync()
    clock.forward(seconds=3)
    annotation = world.annotations()[0].ls_annotation_id
    world.server.delete_annotation(annotation)
    gone = max(world.server.tasks)
    del world.server.tasks[gone]
    deliver(world, told_of(world, "ANNOTATIONS_DELETED", annotation=annotation))
    deliver(world, told_of(world, "TASKS_DELETED", task=gone))
    drain(world.outside)
    hinted(world)
    assert world.annotations()[0].deleted_at is not None
    assert len(world.server.tasks) == 4, "sent again"


def test_the_pump_asks_at_once_when_something_was_told(world, clock):
    pump = Pump(world.outside)
    pump.beat()
    from workbench.jobs.tables import JobRow

    job = world.rows(JobRow, JobRow.kind == "sync")[0]
    world.change(JobRow, job.id, state="done")
    pump.beat()
    clock.forward(seconds=0.1)
    assert world.rows(JobRow, JobRow.kind == "sync")[0].state == "done"
    deliver(world, told_of(world, "ANNOTATION_CREATED", min(world.server.tasks), 1))
    pump.beat()
    job = world.rows(JobRow, JobRow.kind == "sync")[0]
    assert (job.state, job.arguments) == ("queued", {"project_id": 1, "hinted": True})


@pytest.mark.parametrize(
    "body", [b"not json", b"[]", b'{"action": "PARTY"}', b'{"action": "ANNOTATION_CREATED"}', b"[" * 99_999]
)
def test_what_cannot_be_read_ends_as_a_dead_letter_that_is_told(world, clock, body):
    deliver(world, body)
    for _ in range(5):
        assert drain(world.outside) == 1
        clock.forward(seconds=100)
    assert drain(world.outside) == 0
    (row,) = world.rows(DeliveryRow)
    assert (row.tries, row.handled_at, row.dead_at is None) == (5, None, False)
    with world.outside.db.read() as session:
        assert [i.kind for i in open_incidents(session)] == ["dead_letter"]
    with world.outside.db.write() as session:
        assert set_dead_letters_aside(world.outside, session, 1, by="ada@example.org") == 1
    with world.outside.db.read() as session:
        assert open_incidents(session) == []


def test_a_delivery_for_no_lane_of_ours_is_tried_again_first(world, clock):
    deliver(world, told_of(world, "ANNOTATION_CREATED", 1, 1) | {"project": {"id": 4_711}})
    drain(world.outside)
    assert drain(world.outside) == 0, "not before some seconds have passed"
    (row,) = world.rows(DeliveryRow)
    assert (row.tries, row.problem) == (1, "no lane of this server has the project it names")


def hooks(world):
    return [hook for _, hook in world.server.webhooks.values()]


def incidents(world, kind):
    return [
        (row.sentence, row.healed_at is not None) for row in world.rows(IncidentRow, IncidentRow.kind == kind)
    ]


def test_a_lane_gets_its_webhook_and_it_is_kept(world, clock):
    (hook,) = hooks(world)
    assert hook.url.startswith("http://127.0.0.1:8000/hooks/label-studio/")
    assert not incidents(world, "lane_repaired")
    for damage in (
        world.server.webhooks.clear,
        lambda: world.server.webhooks.update(
            {h.hook_id: (n, replace(h, is_active=False)) for n, h in list(world.server.webhooks.values())}
        ),
        lambda: world.server.webhooks.update(
            {
                h.hook_id: (n, replace(h, url="http://evil.example"))
                for n, h in list(world.server.webhooks.values())
            }
        ),
    ):
        damage()
        clock.forward(seconds=60)
        world.sync()
        assert (hook.url, hook.headers) in [(h.url, h.headers) for h in hooks(world) if h.is_active]
    ((sentence, healed),) = set(incidents(world, "lane_repaired"))
    assert healed
    assert "webhook" in sentence


def test_stale_webhooks_are_removed_and_a_rotated_secret_arrives(world, clock):
    (hook,) = hooks(world)
    world.server.set_hook(
        world.lane().ls_project_id,
        None,
        url="http://old.example/hooks/label-studio/f00",
        headers={},
        actions=(),
    )
    clock.forward(seconds=60)
    world.sync()
    assert len(hooks(world)) == 1
    with world.outside.db.write() as session:
        rotate_secret(world.outside, session, 1, by="ada@example.org")
        lanes_want_new_secret(session, 1)
    world.sync()
    assert hooks(world)[0].headers != hook.headers
    assert not incidents(world, "lane_repaired"), "we changed it ourselves"


def test_a_server_that_refuses_our_address_is_polled_and_told_once(outside, clock):
    world = ready(outside)
    world.server.refuses_hooks = True
    for _ in range(4):
        world.sync()
        clock.forward(seconds=60)
    assert world.server.calls.count("set_hook") == 1, "asked again rarely"
    (receiver,) = world.rows(ReceiverRow)
    assert (receiver.state, "private" in receiver.reason) == ("polled", True)
    assert len(incidents(world, "webhook_refused")) == 1
    assert world.rows(ServerRow)[0].state == "ready"
    world.say([(0, 1, "Positive")])
    assert world.sync()["read"] == 1
    world.server.refuses_hooks = False
    clock.forward(seconds=3700)
    world.sync()
    assert world.rows(ReceiverRow)[0].state == "ready"
    assert incidents(world, "webhook_refused")[0][1], "healed"


def test_what_members_changed_about_a_lane_is_put_back(world, clock):
    number = world.lane().ls_project_id
    right = world.server.lanes[number]
    world.server.lanes[number] = replace(right, title="Mine", label_config="<View/>")
    clock.forward(seconds=60)
    world.sync()
    assert world.server.lanes[number] == right
    ((sentence, healed),) = incidents(world, "lane_repaired")
    assert ("title" in sentence, "screen" in sentence, healed) == (True, True, True)


def test_a_screen_that_cannot_be_put_back_is_told_and_stays_open(world, clock):
    world.server.keeps_config = True
    number = world.lane().ls_project_id
    right = world.server.lanes[number]
    world.server.lanes[number] = replace(right, label_config="<View/>")
    clock.forward(seconds=60)
    world.sync()
    assert incidents(world, "lane_repaired")[0][1] is False
    world.server.lanes[number] = right
    clock.forward(seconds=60)
    world.sync()
    assert incidents(world, "lane_repaired")[0][1] is True


def test_an_item_alone_in_its_lane_is_not_refused_forever(outside, clock):
    world = ready(outside, items=1)
    for _ in range(12):
        world.server.fail("push", LabelStudioRejected("Label Studio does not take this (400)"))
        world.sync()
        clock.forward(seconds=60)
    (visit,) = world.visits()
    assert (visit.state, visit.refusals) == ("refused", 5)
    ((sentence, _),) = incidents(world, "item_refused")
    assert "does not take item" in sentence


def test_a_refused_item_that_goes_elsewhere_is_no_incident_any_more(outside, clock):
    world = ready(outside, items=1)
    for _ in range(12):
        world.server.fail("push", LabelStudioRejected("Label Studio does not take this (400)"))
        world.sync()
        clock.forward(seconds=60)
    (item,) = world.items()
    with world.outside.db.write() as session:
        route = Route(to_decision=True)
        recall(world.outside, session, 1, [item.public_id], route=route, by="ada@example.org")
    assert incidents(world, "item_refused")[0][1], "healed"


def test_old_handled_deliveries_are_forgotten_at_night(world, clock):
    deliver(world, told_of(world, "ANNOTATION_CREATED", min(world.server.tasks), 1))
    drain(world.outside)
    deliver(world, b"not json")
    clock.forward(days=world.outside.settings.inbox_days, hours=1)
    assert CHORES[Chore.RETENTION](world.outside)["deliveries"] == 1
    (row,) = world.rows(DeliveryRow)
    assert row.handled_at is None, "what nobody could read stays"


def forget_push(world):
    """Our database as it was before the push."""
    from workbench.items.tables import ItemRow

    for visit in world.visits():
        world.change(VisitRow, visit.id, state="queued", ls_task_id=None, ls_updated_at=None, pushed_at=None)
    for item in world.items():
        world.change(ItemRow, item.id, state="queued")
    world.change(LaneRow, 1, compared_at=None, read_up_to=None)


def test_our_own_database_restored_adopts_what_is_there(world):
    world.say([(0, 1, "Positive")])
    forget_push(world)
    world.sync()
    world.sync()
    assert len(world.server.tasks) == 4
    assert [row.label for row in world.annotations()] == ["Positive"]
    assert world.states() == ["annotated", "in_labeling", "in_labeling", "in_labeling"]


def test_visits_made_anew_take_over_the_keys_of_what_was_sent(world):
    world.say([(1, 1, "Positive")])
    forget_push(world)
    for visit in world.visits():
        world.change(VisitRow, visit.id, public_id=f"new-{visit.id}")
    world.sync()
    world.sync()
    assert len(world.server.tasks) == 4
    assert {v.public_id for v in world.visits()} == {t.new.visit_key for t in world.server.tasks.values()}
    assert [row.label for row in world.annotations()] == ["Positive"]


def test_tasks_of_items_nobody_knows_are_cleared_away_unless_answered(world, clock):
    forget_push(world)
    for number, task in enumerate(world.server.tasks.values()):
        task.new = replace(task.new, visit_key=f"lost-{number}", item_key=f"lost-{number}")
    world.say([(2, 1, "Positive")])
    world.sync()
    ((sentence, _),) = incidents(world, "unknown_tasks")
    assert "1 answered" in sentence
    assert world.server.calls.count("close_task") == 3
    clock.forward(seconds=60)
    world.sync()
    assert len(world.server.tasks) == 5, "the answered one, and the four sent anew"
    assert world.rows(AnnotationRow) == []
    assert world.rows(ProjectRow)[0].state == "active"
    assert not incidents(world, "unknown_tasks")[0][1], "still there"
    del world.server.tasks[next(n for n, task in world.server.tasks.items() if task.annotations)]
    clock.forward(seconds=60)
    world.sync()
    assert incidents(world, "unknown_tasks")[0][1], "healed: somebody deleted it"
