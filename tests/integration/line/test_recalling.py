"""Items taken back from people: kept answers, another pool, or another decision."""

from __future__ import annotations

import pytest

from tests.factories import make_pool
from tests.integration.line.test_sending import ready
from workbench.activity.tables import EventRow
from workbench.errors import InvalidInput, NotFound
from workbench.items.domain import Stage
from workbench.labeling.recalling import Recalled, Route, recall
from workbench.labeling.tables import LaneRow


@pytest.fixture
def world(outside):
    made = ready(outside)
    made.sync()
    return made


def back(world, which, **route):
    keys = [world.items()[n].public_id for n in which]
    with world.outside.db.write() as session:
        return recall(
            world.outside, session, world.project_id, keys, route=Route(**route), by="ada@example.org"
        )


def other_pool(world):
    with world.outside.db.write() as session:
        return make_pool(session, key="experts").key


def test_an_item_goes_to_another_pool(world, clock):
    pool = other_pool(world)
    assert back(world, [0], pool=pool) == Recalled(1, 0, 0)
    world.sync()
    lanes = world.rows(LaneRow)
    assert len(lanes) == 2
    here = [visit for visit in world.visits() if visit.item_id == 1]
    assert [(visit.lane_id, visit.state) for visit in here] == [(1, "recalled"), (2, "in_lane")]
    assert world.server.calls.count("close_task") >= 1
    clock.forward(minutes=11)
    world.sync()
    assert [visit.state for visit in world.visits() if visit.item_id == 1] == ["withdrawn", "in_lane"]
    assert len(world.server.tasks) == 4, "the old task is gone, the new one there"
    assert world.states() == ["in_labeling"] * 4
    (event,) = world.rows(EventRow, EventRow.verb == "item.rerouted")
    assert (event.actor, event.after["pool"]) == ("ada@example.org", pool)


@pytest.mark.parametrize("when", ["before it was read", "after it was closed"])
def test_an_answer_given_at_the_same_moment_is_kept(world, clock, when):
    if when == "before it was read":
        world.say([(0, 1, "Positive")])
    back(world, [0], to_decision=True)
    world.sync()
    if when == "after it was closed":
        clock.forward(minutes=1)
        world.say([(0, 1, "Positive")])
        world.sync()
    clock.forward(minutes=11)
    world.sync()
    (row,) = world.annotations()
    assert (row.label, row.status, row.deleted_at) == ("Positive", "counted", None)
    assert row.ls_task_id in world.server.tasks, "an answered task is never removed"


def test_an_item_goes_back_to_the_decision(world):
    assert back(world, [0, 1], to_decision=True) == Recalled(2, 0, 0)
    assert world.states() == ["predicted", "predicted", "in_labeling", "in_labeling"]
    world.decide()
    world.sync()
    assert world.states() == ["in_labeling"] * 4
    assert [item.round for item in world.items()] == [2, 2, 1, 1]


def test_nothing_to_take_back_is_said(world):
    world.say([(0, 1, "Positive")])
    world.sync()
    assert back(world, [0], to_decision=True) == Recalled(0, 0, 1)


def test_what_is_being_sent_is_left_for_a_minute(outside):
    world = ready(outside)
    world.server.lose_answer("push")
    with pytest.raises(Exception, match="did not answer"):
        world.sync()
    assert back(world, [0], to_decision=True) == Recalled(0, 1, 0)


def test_a_decision_by_the_experts_hides_the_suggestion(world):
    back(world, [0], pool="english", stage=Stage.ADJUDICATE)
    visit = world.visits()[-1]
    assert (visit.purpose, visit.show_suggestion) == ("adjudication", False)


def test_bad_input_changes_nothing(world):
    with world.outside.db.write() as session:
        for keys, route, problem in (
            ([], Route(to_decision=True), InvalidInput),
            (["x"], Route(to_decision=True), NotFound),
            ([world.items()[0].public_id], Route(), InvalidInput),
            ([world.items()[0].public_id], Route(pool="nobody"), NotFound),
        ):
            with pytest.raises(problem):
                recall(world.outside, session, world.project_id, keys, route=route, by="t")
    assert world.states() == ["in_labeling"] * 4
