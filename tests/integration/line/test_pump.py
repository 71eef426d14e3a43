"""What the pump asks for, seen in the rows of jobs; nothing runs here unless a test says so."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from tests.factories import make_items, make_project
from tests.integration.line.world import build
from workbench.decisions.tables import RoutingPolicyRow
from workbench.items.domain import ItemState
from workbench.jobs.definition import JobState
from workbench.jobs.store import cancel_job, find_job, finish
from workbench.jobs.tables import JobRow
from workbench.model_versions.tables import ModelVersionRow
from workbench.projects.tables import ProjectRow
from workbench.pump import LONGEST_PAUSE_S, RETRY_AFTER, Pump


@pytest.fixture
def world(outside):
    return build(outside)


def asked(world):
    return Counter(row.kind for row in world.rows(JobRow))


def end(world, kind, state="done", result=None, problem=""):
    with world.outside.db.write() as session:
        row = next(r for r in session.query(JobRow).order_by(JobRow.created_at.desc()) if r.kind == kind)
        finish(
            session, row.id, JobState(state), now=world.outside.now(), result=result, problem=problem
        )  # fmt: skip


def turns(world, kind="sync"):
    """How often a recurring job was asked for."""
    rows = world.rows(JobRow, JobRow.kind == kind)
    if not rows:
        return 0
    _, _, turn = rows[0].engine_id.partition("~")
    return int(turn or 0) + 1


def test_new_items_are_predicted_once(world):
    pump = Pump(world.outside)
    for _ in range(3):
        pump.beat()
    assert asked(world) == {"prelabel": 1}
    row = world.rows(JobRow)[0]
    assert (row.arguments, row.project_id, row.created_by) == ({"project_id": 1}, 1, "machine")


def test_the_whole_line_is_asked_for_step_by_step(world):
    pump = Pump(world.outside)
    seen = []
    for _ in range(8):
        pump.beat()
        for row in world.rows(JobRow, JobRow.state == "queued"):
            seen.append(row.kind)
            run = {
                "prelabel": world.predict,
                "decide": world.decide,
                "sync": world.sync,
                "resolve": world.resolve,
            }
            end(world, row.kind, result=run[row.kind]())
        if world.server.tasks and not world.annotations():
            world.say([(n, 1, "Positive") for n in range(4)])
        world.outside.now.forward(seconds=3)
    assert seen[:3] == ["prelabel", "decide", "sync"]
    assert set(world.states()) == {"resolved"}
    assert asked(world) == {"prelabel": 1, "decide": 1, "sync": 1, "resolve": 1}


def test_without_a_live_model_nothing_is_predicted_and_people_get_everything(outside):
    world = build(outside, model=False)
    Pump(outside).beat()
    assert asked(world) == {"decide": 1}
    assert world.rows(JobRow)[0].arguments == {"project_id": 1, "without_model": True}


def test_a_project_that_waits_for_its_model_waits(outside):
    world = build(outside, model=False, without_model="wait")
    Pump(outside).beat()
    assert asked(world) == {}
    world.change(ProjectRow, 1, without_model="people")
    world.change(RoutingPolicyRow, 1, state="replaced")
    Pump(outside).beat()
    assert asked(world) == {}, "nothing is decided without a policy"


def test_a_retired_model_predicts_nothing(world):
    world.change(ModelVersionRow, 1, stage="retired")
    Pump(world.outside).beat()
    assert asked(world)["prelabel"] == 0


def test_a_paused_project_rests(world):
    world.change(ProjectRow, 1, state="paused")
    Pump(world.outside).beat()
    assert asked(world) == {}
    world.change(ProjectRow, 1, state="active")
    Pump(world.outside).beat()
    assert asked(world) == {"prelabel": 1}


def test_after_a_failure_it_waits_then_tries_again(world, clock):
    pump = Pump(world.outside)
    pump.beat()
    end(world, "prelabel", "failed", problem="the model's file is damaged")
    clock.forward(seconds=RETRY_AFTER.total_seconds() - 1)
    pump.beat()
    assert asked(world) == {"prelabel": 1}
    clock.forward(seconds=2)
    pump.beat()
    assert asked(world) == {"prelabel": 2}


def test_resolving_that_fails_is_not_tried_at_every_beat(outside, clock):
    world = build(outside, policy={"rules": [{"name": "all", "when": "true", "accept": True}]})
    world.predict()
    world.decide()
    pump = Pump(world.outside)
    pump.beat()
    end(world, "resolve", "failed", problem="broken")
    for _ in range(5):
        clock.forward(seconds=1)
        pump.beat()
    assert turns(world, "resolve") == 1
    clock.forward(seconds=RETRY_AFTER.total_seconds())
    pump.beat()
    assert turns(world, "resolve") == 2


def test_what_a_person_cancelled_stays_so(world, clock):
    pump = Pump(world.outside)
    pump.beat()
    with world.outside.db.write() as session:
        cancel_job(session, world.rows(JobRow)[0].id)
    end(world, "prelabel", "cancelled")
    clock.forward(hours=1)
    pump.beat()
    assert asked(world) == {"prelabel": 1}


def _in_lanes(world):
    world.predict()
    world.decide()
    world.sync()


def test_a_busy_lane_is_looked_at_often_and_a_quiet_one_seldom(world, clock):
    _in_lanes(world)
    pump, moments = Pump(world.outside), []
    for _ in range(400):
        before = turns(world)
        pump.beat()
        if turns(world) > before:
            moments.append(clock.at)
            end(world, "sync", result={"read": 0, "pushed": 0, "visits": 0})
        clock.forward(seconds=0.5)
    pauses = [(b - a).total_seconds() for a, b in pairwise(moments)]
    settings = world.outside.settings
    assert pauses[0] == pytest.approx(settings.poll_seconds, abs=1.1)
    assert pauses[-1] == pytest.approx(settings.idle_poll_seconds, abs=1.1)
    end(world, "sync", result={"read": 5, "pushed": 0, "visits": 0})
    clock.forward(seconds=settings.idle_poll_seconds)
    for _ in range(2):
        pump.beat()
        end(world, "sync", result={"read": 5, "pushed": 0, "visits": 0})
        before = turns(world)
        clock.forward(seconds=settings.poll_seconds + 0.5)
        pump.beat()
        clock.forward(seconds=settings.poll_seconds + 0.5)
        pump.beat()
        assert turns(world) > before


def test_a_server_that_is_down_is_asked_less_and_less_and_recovers_by_itself(world, clock):
    _in_lanes(world)
    pump, moments = Pump(world.outside), []
    for _ in range(400):
        before = turns(world)
        pump.beat()
        if turns(world) > before:
            moments.append(clock.at)
            end(world, "sync", "failed", problem="Label Studio at http://x does not answer")
        clock.forward(seconds=0.5)
    pauses = [(b - a).total_seconds() for a, b in pairwise(moments)]
    assert pauses == sorted(pauses)
    assert pauses[-1] == pytest.approx(LONGEST_PAUSE_S, abs=1.1)
    clock.forward(seconds=LONGEST_PAUSE_S)
    pump.beat()
    end(world, "sync", result={"read": 0, "pushed": 0, "visits": 0})
    pump.beat()
    before = turns(world)
    clock.forward(seconds=world.outside.settings.poll_seconds + 0.1)
    pump.beat()
    assert turns(world) == before + 1


def test_a_project_without_a_server_has_no_lanes_to_look_at(outside):
    world = build(outside, server_id=None)
    world.predict()
    world.decide()
    Pump(outside).beat()
    assert asked(world)["sync"] == 0


def test_projects_do_not_wait_for_each_other(world):
    with world.outside.db.write() as session:
        other = make_project(session, "second", without_model="wait")
        make_items(session, other, 2, ItemState.IMPORTED)
        third = make_project(session, "third")
        make_items(session, third, 2, ItemState.ACCEPTED)
    Pump(world.outside).beat()
    assert {(row.kind, row.project_id) for row in world.rows(JobRow)} == {("prelabel", 1), ("resolve", 3)}


def test_ended_turns_are_given_back_to_be_forgotten(world, clock):
    _in_lanes(world)
    pump, forgotten = Pump(world.outside), []
    while turns(world) < 45:
        forgotten += pump.beat()
        end(world, "sync", result={"read": 1, "pushed": 0, "visits": 0})
        clock.forward(seconds=world.outside.settings.poll_seconds + 0.1)
    assert forgotten[:2] == ["sync-1", "sync-1~1"]
    assert len(forgotten) == len(set(forgotten)) == 20
    with world.outside.db.read() as session:
        assert find_job(session, "sync-1").engine_id not in forgotten
