"""What goes wrong in one lane stays in it, and nobody waits for an answer that can't come."""

from __future__ import annotations

import pytest

from integrations.label_studio.errors import LabelStudioRefused, LabelStudioRejected, LabelStudioUnavailable
from tests.integration.line.world import StubPredictor, build
from workbench.errors import Unavailable
from workbench.labeling.tables import LaneRow, VisitRow
from workbench.people.tables import ServerRow
from workbench.projects.tables import ProjectRow

TWO_LANES = {
    "rules": [
        {"name": "two", "when": "label == 'Negative'", "overlap": 2},
        {"name": "rest", "when": "true"},
    ]
}
ODD = StubPredictor(
    lambda text: (0.1, 0.1, 0.8) if text.startswith(("text 1 ", "text 3 ")) else (0.8, 0.1, 0.1)
)


def waiting(outside, **more):
    world = build(outside, **more)
    world.predict()
    world.decide()
    return world


def lane_with(world, overlap):
    return next(lane for lane in world.rows(LaneRow) if lane.overlap == overlap)


def test_a_lane_deleted_in_label_studio_is_made_again_and_the_others_go_on(outside):
    world = waiting(outside, policy=TWO_LANES, predictor=ODD)
    world.sync()
    gone = lane_with(world, 2).ls_project_id
    world.server.lanes.pop(gone)
    for task in [t for t in world.server.tasks.values() if t.lane == gone]:
        del world.server.tasks[task.task_id]
    for method in ("changed_tasks",):
        world.server.fail(method, LabelStudioRejected("Not found.", status=404))
    # The first lane read is the one with a fault planted; make sure it is the deleted one.
    first = world.rows(LaneRow)[0]
    if first.ls_project_id != gone:
        world.server.fail("changed_tasks", LabelStudioRejected("Not found.", status=404))
    world.sync()
    world.sync()
    assert lane_with(world, 2).ls_project_id not in {None, gone}
    assert lane_with(world, 2).state == "ready"
    assert set(world.states()) == {"in_labeling"}
    assert sorted(t.new.visit_key for t in world.server.tasks.values()) == sorted(
        v.public_id for v in world.visits()
    )


def test_one_item_that_label_studio_refuses_does_not_hold_up_the_rest(outside):
    world = waiting(outside, items=6)
    poison = "text 2 of sentiment"
    real = world.server.push

    def picky(ls_project_id, tasks):
        if any(task.data["text"] == poison for task in tasks):
            raise LabelStudioRejected("one of the tasks is not acceptable", status=400)
        return real(ls_project_id, tasks)

    world.server.push = picky
    world.sync()
    assert world.lane().state == "broken"
    assert "not acceptable" in world.lane().problem
    for _ in range(3):
        world.sync()
    assert sorted(v.state for v in world.visits()) == ["in_lane"] * 5 + ["refused"]
    assert (world.lane().state, world.lane().problem) == ("ready", "")


def test_a_lane_that_takes_nothing_says_so_and_loses_nothing(outside):
    world = waiting(outside, items=3)
    world.server.push = lambda project, tasks: (_ for _ in ()).throw(LabelStudioRejected("no", status=400))
    for _ in range(3):
        world.sync()
    assert {v.state for v in world.visits()} == {"queued"}
    assert (world.lane().state, world.lane().problem) == ("broken", "no")


def test_a_server_that_is_down_is_asked_once_a_round(outside):
    world = waiting(outside, policy=TWO_LANES, predictor=ODD)
    world.sync()
    asked = []
    world.server.changed_tasks = lambda project, since: (
        asked.append(project),
        (_ for _ in ()).throw(LabelStudioUnavailable("it does not answer")),
    )[0]
    real = type(world.server).changed_tasks
    with pytest.raises(Unavailable, match="does not answer"):
        world.sync()
    assert len(asked) == 1
    server = world.rows(ServerRow)[0]
    assert (server.state, server.problem) == ("unreachable", "it does not answer")
    world.server.changed_tasks = lambda project, since: real(world.server, project, since)
    world.sync()
    server = world.rows(ServerRow)[0]
    assert (server.state, server.problem) == ("ready", "")


def test_a_token_that_is_refused_is_told_apart(outside):
    world = waiting(outside)
    world.sync()
    world.server.fail("changed_tasks", LabelStudioRefused("give a new token"))
    with pytest.raises(Unavailable, match="new token"):
        world.sync()
    assert world.rows(ServerRow)[0].state == "refused"


def test_a_pool_smaller_than_the_overlap_gives_what_it_has(outside):
    policy = {"rules": [{"name": "all", "when": "true", "overlap": 5}]}
    world = waiting(outside, policy=policy, items=1)
    world.sync()
    world.say([(0, 1, "Positive"), (0, 2, "Positive"), (0, 3, "Neutral")])
    world.sync()
    world.resolve()
    assert world.states() == ["resolved"]
    assert [(label.label, label.annotations) for label in world.labels()] == [("Positive", 3)]


def test_when_everybody_answered_or_passed_somebody_decides(outside):
    policy = {"rules": [{"name": "all", "when": "true", "overlap": 2}]}
    world = waiting(outside, policy=policy, items=1)
    world.sync()
    world.say([(0, 1, "Positive"), (0, 2, None), (0, 3, None)])
    world.sync()
    world.sync()
    assert [(v.purpose, v.state) for v in world.visits()] == [
        ("ordinary", "withdrawn"),
        ("adjudication", "in_lane"),
    ]
    task = world.server.task_of(world.visits()[1].public_id)
    world.server.answer(task, 3, "Neutral")
    world.sync()
    world.resolve()
    assert world.labels()[-1].label == "Neutral"


def test_a_decision_is_only_taken_by_the_people_of_its_lane(outside):
    policy = {"rules": [{"name": "all", "when": "true", "overlap": 2}]}
    world = waiting(outside, policy=policy, items=1)
    world.sync()
    world.say([(0, 1, "Positive"), (0, 2, "Negative")])
    world.sync()
    world.resolve()
    world.sync()
    task = world.server.task_of(world.visits()[1].public_id)
    world.server.answer(task, 99, "Negative")
    world.sync()
    assert [a.status for a in world.annotations()] == ["counted", "counted", "not_counted"]
    assert "decide" in world.annotations()[-1].reason
    assert world.visits()[1].state in {"reopen", "in_lane"}


def test_a_task_that_became_another_items_is_not_believed(outside):
    world = waiting(outside, items=2)
    world.sync()
    one, other = world.visits()
    world.change(VisitRow, one.id, ls_task_id=-1)
    world.change(VisitRow, other.id, ls_task_id=one.ls_task_id)
    world.server.answer(world.server.task_of(one.public_id), 1, "Positive")
    world.sync()
    assert world.annotations() == []
    assert "restored" in world.rows(LaneRow)[0].problem


def test_a_paused_project_reads_answers_and_sends_nothing(outside):
    world = waiting(outside, items=6, lane_limit=3)
    world.sync()
    world.change(ProjectRow, world.project_id, state="paused")
    world.say([(0, 1, "Positive"), (1, 2, "Positive"), (2, 3, "Positive")])
    told = world.sync()
    assert (told["read"], told["pushed"]) == (3, 0)
