"""Visits, lanes, and the way to Label Studio with answers lost on the way."""

from __future__ import annotations

from datetime import timedelta

import pytest

from integrations.label_studio.errors import LabelStudioRejected, LabelStudioUnavailable
from tests.factories import make_items, make_person
from tests.integration.line.world import StubPredictor, build
from workbench.errors import Unavailable, WrongState
from workbench.items.domain import ItemState
from workbench.items.tables import ItemRow
from workbench.labeling.lanes import set_up_lane
from workbench.labeling.planning import look
from workbench.labeling.sending import settle_doubts, top_up
from workbench.labeling.tables import LaneRow, VisitRow
from workbench.labeling.visits import make_visits
from workbench.people.tables import PoolMemberRow, ServerRow
from workbench.projects.tables import ProjectRow

DOWN = LabelStudioUnavailable("Label Studio at http://127.0.0.1:9 does not answer")


def ready(outside, **more):
    """A world whose items wait for people."""
    world = build(outside, **more)
    world.predict()
    world.decide()
    return world


def with_lane(outside, **more):
    """The same, its visits made and its lane set up, nothing sent."""
    world = ready(outside, **more)
    make_visits(world.outside, world.project_id)
    set_up_lane(world.outside, world.lane().id)
    return world


def states(world):
    return sorted(visit.state for visit in world.visits())


def keys_there(world):
    return sorted(task.new.visit_key for task in world.server.tasks.values())


def test_one_round_brings_everything_to_people(outside):
    world = ready(outside)
    assert world.sync() == {"read": 0, "pushed": 4, "visits": 4, "problem": ""}
    assert set(world.states()) == {"in_labeling"}
    assert keys_there(world) == sorted(v.public_id for v in world.visits())
    lane = world.lane()
    assert (lane.state, lane.problem) == ("ready", "")
    assert world.server.lanes[lane.ls_project_id].description.startswith("For: Person 1, Person 2, Person 3")
    assert world.sync()["pushed"] == 0


def test_a_task_carries_the_suggestion_its_place_and_no_word_of_its_purpose(outside):
    world = with_lane(outside, predictor=StubPredictor(lambda text: (0.1, 0.1, 0.8)), items=2)
    blind = world.visits()[1]
    world.change(VisitRow, blind.id, purpose="blind", show_suggestion=False)
    top_up(world.outside, world.lane().id)
    shown, hidden = (world.server.task_of(v.public_id).new for v in world.visits())
    assert shown.result[0]["value"] == {"choices": ["Negative"]}
    assert shown.result[0]["score"] == pytest.approx(0.8)
    assert hidden.result == []
    assert set(vars(shown)) == set(vars(hidden))
    assert (shown.data, shown.model_version) == ({"text": "text 0 of sentiment"}, hidden.model_version)
    assert hidden.queue_score - shown.queue_score == 1
    assert "blind" not in repr(hidden)


def test_the_lane_is_never_fuller_than_its_limit_and_filled_in_handfuls(outside):
    world = ready(outside, items=20, lane_limit=8)
    assert world.sync()["pushed"] == 8
    assert world.sync()["pushed"] == 0
    world.say([(0, 1, "Positive")])
    assert world.sync()["pushed"] == 0, "not for one"
    world.say([(1, 1, "Positive")])
    assert world.sync()["pushed"] == 2, "a quarter of the limit is a handful"
    assert sum(v.state in {"pushing", "in_lane", "reopen"} for v in world.visits()) == 8


def test_the_last_few_are_sent_without_waiting_for_a_handful(outside):
    world = ready(outside, items=9, lane_limit=8)
    world.sync()
    world.say([(0, 1, "Positive")])
    assert world.sync()["pushed"] == 1


def test_the_most_urgent_go_first(outside):
    world = with_lane(outside, items=4, lane_limit=2)
    third = world.visits()[2]
    world.change(VisitRow, third.id, priority=99)
    top_up(world.outside, world.lane().id)
    sent = [v.id for v in world.visits() if v.state == "in_lane"]
    assert sent == [world.visits()[0].id, third.id]
    scores = {v.id: world.server.task_of(v.public_id).new.queue_score for v in world.visits() if v.ls_task_id}
    assert scores[third.id] < scores[sent[0]]


def test_a_push_whose_answer_was_lost_is_found_and_never_repeated(outside, clock):
    world = with_lane(outside)
    lane = world.lane().id
    world.server.lose_answer("push")
    with pytest.raises(LabelStudioUnavailable):
        top_up(world.outside, lane)
    assert states(world) == ["pushing"] * 4
    assert set(world.states()) == {"queued"}
    assert top_up(world.outside, lane) == {"pushed": 0}
    assert states(world) == ["in_lane"] * 4
    assert set(world.states()) == {"in_labeling"}
    assert len(world.server.tasks) == 4


def test_a_push_that_never_arrived_is_repeated_only_after_a_while(outside, clock):
    world = with_lane(outside)
    lane = world.lane().id
    world.server.fail("push", DOWN)
    with pytest.raises(LabelStudioUnavailable):
        top_up(world.outside, lane)
    clock.forward(seconds=15)
    assert top_up(world.outside, lane) == {"pushed": 0}
    assert states(world) == ["pushing"] * 4
    clock.forward(seconds=6)
    assert top_up(world.outside, lane) == {"pushed": 4}
    assert keys_there(world) == sorted(v.public_id for v in world.visits())


def test_the_while_begins_when_the_wait_was_given_up(outside, clock):
    """A server that is slow for longer than our patience may still be at work."""
    world = with_lane(outside)
    lane = world.lane().id
    real = world.server.push

    def slow(project, tasks):
        clock.forward(seconds=60)
        raise DOWN

    world.server.push = slow
    with pytest.raises(LabelStudioUnavailable):
        top_up(world.outside, lane)
    clock.forward(seconds=10)
    assert top_up(world.outside, lane) == {"pushed": 0}
    assert states(world) == ["pushing"] * 4
    world.server.push = real
    clock.forward(seconds=11)
    assert top_up(world.outside, lane) == {"pushed": 4}


def test_a_push_that_arrived_in_part_is_completed(outside, clock):
    world = with_lane(outside)
    lane = world.lane().id
    world.server.part_of_push = 3
    world.server.lose_answer("push")
    with pytest.raises(LabelStudioUnavailable):
        top_up(world.outside, lane)
    settle_doubts(world.outside, lane)
    assert states(world) == ["in_lane"] * 3 + ["pushing"]
    clock.forward(seconds=21)
    assert top_up(world.outside, lane) == {"pushed": 1}
    assert len(world.server.tasks) == 4
    assert keys_there(world) == sorted(v.public_id for v in world.visits())


def test_a_process_that_died_while_pushing_leaves_nothing_doubled(outside, clock):
    world = with_lane(outside)
    lane = world.lane().id

    class Died(BaseException):
        pass

    world.server.after["push"].append(Died())  # type: ignore[arg-type]
    with pytest.raises(Died):
        top_up(world.outside, lane)
    clock.forward(hours=1)
    assert top_up(world.outside, lane) == {"pushed": 0}
    assert len(world.server.tasks) == 4
    assert states(world) == ["in_lane"] * 4


def test_a_doubled_task_is_removed(outside):
    world = with_lane(outside, items=1)
    lane = world.lane()
    world.server.lose_answer("push")
    with pytest.raises(LabelStudioUnavailable):
        top_up(world.outside, lane.id)
    world.server.push(lane.ls_project_id, [next(iter(world.server.tasks.values())).new])
    assert len(world.server.tasks) == 2
    settle_doubts(world.outside, lane.id)
    assert list(world.server.tasks) == [world.visits()[0].ls_task_id]


def test_answers_given_before_a_lost_push_was_found_are_read(outside, clock):
    world = ready(outside, items=2, lane_limit=1)
    world.sync()
    world.say([(0, 1, "Positive")])
    world.sync()
    world.change(VisitRow, world.visits()[1].id, state="queued", ls_task_id=None)
    world.change(ItemRow, world.items()[1].id, state="queued")
    world.server.tasks.pop(max(world.server.tasks))
    world.server.lose_answer("push")
    with pytest.raises(Unavailable):
        world.sync()
    lost = max(world.server.tasks)
    world.server.answer(lost, 2, "Negative")
    clock.forward(minutes=1)
    world.server.answer(min(world.server.tasks), 3, "Neutral")
    world.sync()
    world.sync()
    assert sorted(a.label for a in world.annotations()) == ["Negative", "Neutral", "Positive"]


def test_a_refused_push_leaves_everything_waiting_and_says_why(outside):
    world = with_lane(outside)
    lane = world.lane().id
    world.server.fail("push", LabelStudioRejected("Label Studio did not take the tasks: data is not valid"))
    with pytest.raises(LabelStudioRejected):
        top_up(world.outside, lane)
    assert states(world) == ["queued"] * 4
    assert set(world.states()) == {"queued"}
    assert (world.lane().state, "data is not valid" in world.lane().problem) == ("broken", True)
    assert top_up(world.outside, lane) == {"pushed": 4}
    assert (world.lane().state, world.lane().problem) == ("ready", "")


def test_a_push_refused_after_its_first_part_is_not_sent_twice(outside):
    world = with_lane(outside)
    lane = world.lane().id
    world.server.part_of_push = 2
    world.server.after["push"].append(LabelStudioRejected("the second part was refused"))
    with pytest.raises(LabelStudioRejected):
        top_up(world.outside, lane)
    assert states(world) == ["in_lane", "in_lane", "queued", "queued"]
    assert top_up(world.outside, lane) == {"pushed": 2}
    assert len(world.server.tasks) == 4
    assert keys_there(world) == sorted(v.public_id for v in world.visits())


def test_a_lane_whose_making_was_not_heard_of_is_found_again(outside):
    world = ready(outside)
    world.server.lose_answer("create_lane")
    with pytest.raises(Unavailable):
        world.sync()
    assert world.lane().ls_project_id is None
    world.sync()
    assert list(world.server.lanes) == [world.lane().ls_project_id]


def test_a_new_member_is_named_on_the_card(outside):
    world = ready(outside)
    world.sync()
    with outside.db.write() as session:
        server = session.get_one(ServerRow, 1)
        person = make_person(session, server, type("P", (), {"id": world.pool_id})(), 40, name="Zoe")
        assert person.id
    world.sync()
    assert "Zoe" in world.server.lanes[world.lane().ls_project_id].description
    with outside.db.write() as session:
        for member in session.query(PoolMemberRow):
            member.left_at = outside.now()
    world.sync()
    assert world.server.lanes[world.lane().ls_project_id].description.startswith("For: nobody yet")


def test_items_of_another_pool_and_overlap_get_lanes_of_their_own(outside):
    policy = {
        "rules": [
            {"name": "two", "when": "label == 'Negative'", "overlap": 2, "pool": "english"},
            {"name": "rest", "when": "true"},
        ]
    }
    third = StubPredictor(lambda text: (0.1, 0.1, 0.8) if text.startswith("text 2 ") else (0.8, 0.1, 0.1))
    world = ready(outside, policy=policy, predictor=third)
    world.sync()
    assert sorted(spec.overlap for spec in world.server.lanes.values()) == [1, 2]
    lanes = {lane.id: lane.overlap for lane in world.rows(LaneRow)}
    assert [lanes[visit.lane_id] for visit in world.visits()] == [1, 1, 2, 1]


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        ({"server_id": None}, "no Label Studio server; connect one"),
        ({"pool_id": None}, "no pool of annotators"),
    ],
)
def test_without_server_or_pool_it_says_what_to_do(outside, missing, sentence):
    world = ready(outside)
    world.change(ProjectRow, world.project_id, **missing)
    from sqlalchemy import update

    from workbench.decisions.tables import DecisionRow

    with outside.db.write() as session:
        session.execute(update(DecisionRow).values(pool_id=missing.get("pool_id", world.pool_id)))
    if "server_id" in missing:
        with pytest.raises(WrongState, match=sentence):
            make_visits(world.outside, world.project_id)
    else:
        assert sentence in make_visits(world.outside, world.project_id)["problem"]
    assert world.visits() == []


def test_making_visits_twice_makes_them_once(outside):
    world = ready(outside)
    assert make_visits(world.outside, world.project_id) == {"visits": 4, "problem": ""}
    assert make_visits(world.outside, world.project_id) == {"visits": 0, "problem": ""}
    with outside.db.write() as session:
        project = session.get_one(ProjectRow, world.project_id)
        make_items(session, project, 1, ItemState.IMPORTED)
    world.predict()
    world.decide()
    assert make_visits(world.outside, world.project_id) == {"visits": 1, "problem": ""}
    assert len({visit.public_id for visit in world.visits()}) == 5


def test_a_quiet_lane_wants_only_to_be_read(outside, clock):
    world = ready(outside)
    world.sync()
    world.sync()
    assert look(world.outside, world.project_id) == {
        "lanes": [{"id": world.lane().id, "server_id": 1, "is_broken": False, "wants": ["read"]}],
        "new_visits": False,
    }
    clock.at += timedelta(seconds=31)
    assert look(world.outside, world.project_id)["lanes"][0]["wants"] == ["read", "compare"]
