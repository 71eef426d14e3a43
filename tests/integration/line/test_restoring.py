"""A server whose database was replaced by an older copy: frozen, then a new epoch with nothing doubled."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import func, select

from integrations.label_studio.errors import LabelStudioRejected
from integrations.label_studio.interface import Member
from tests.factories import make_rate_card
from tests.integration.line.test_sending import ready
from workbench.errors import WrongState
from workbench.incidents.store import open_incidents
from workbench.labeling.restoring import resolve_restore
from workbench.labeling.tables import LaneRow, ServerLifeRow
from workbench.people.tables import AccountRow, PoolRow, ServerRow
from workbench.projects.tables import ProjectRow
from workbench.tallies.tables import LedgerRow


def incidents(world):
    with world.outside.db.read() as session:
        return {row.kind: row for row in open_incidents(session)}


def paid(world):
    with world.outside.db.read() as session:
        rows = select(LedgerRow.source_id, func.sum(LedgerRow.amount)).where(
            LedgerRow.source_kind == "annotation"
        )
        return sorted(tuple(row) for row in session.execute(rows.group_by(LedgerRow.source_id)))


def is_frozen(world):
    return world.rows(ServerRow)[0].state == "frozen" and {lane.state for lane in world.rows(LaneRow)} == {
        "frozen"
    }


def answered(outside, clock, **more):
    """A world where the first task of four is answered; then a back-up is made, then the second is answered."""
    world = ready(outside, **more)
    with outside.db.write() as session:
        make_rate_card(session, session.get_one(PoolRow, world.pool_id))
    world.sync()
    world.say([(0, 1, "Positive")])
    world.sync()
    kept = world.server.backup()
    world.say([(1, 2, "Negative")])
    clock.forward(seconds=60)
    world.sync()
    assert [row.label for row in world.annotations()] == ["Positive", "Negative"]
    return world, kept


def test_a_restored_server_is_frozen_and_nothing_is_read_as_deleted(outside, clock):
    world, kept = answered(outside, clock)
    before = (world.states(), [(a.id, a.deleted_at, a.status) for a in world.annotations()])
    world.server.restore(kept)
    clock.forward(seconds=60)
    world.sync()
    assert is_frozen(world)
    assert incidents(world)["server_restored"].severity == "bad"
    calls = len(world.server.calls)
    clock.forward(seconds=3600)
    assert world.sync() == {"read": 0, "pushed": 0, "visits": 0, "problem": ""}
    assert len(world.server.calls) == calls, "a frozen server is left alone"
    assert (world.states(), [(a.id, a.deleted_at, a.status) for a in world.annotations()]) == before


def test_an_answer_given_after_the_restore_freezes_too(outside, clock):
    world, kept = answered(outside, clock)
    world.server.restore(kept)
    # The same number is given out again, to somebody else's answer.
    world.say([(1, 3, "Positive")])
    world.sync()
    assert is_frozen(world)
    assert [row.label for row in world.annotations()] == ["Positive", "Negative"]


def test_tasks_sent_after_the_backup_are_missed(outside, clock):
    world = ready(outside, items=5, lane_limit=2)
    world.sync()
    assert len(world.server.tasks) == 2
    kept = world.server.backup()
    world.change(ProjectRow, world.project_id, lane_limit=20)
    world.sync()
    assert len(world.server.tasks) == 5
    world.server.restore(kept)
    clock.forward(seconds=60)
    world.sync()
    assert is_frozen(world)
    sums = resolve_restore(world.outside, 1, by="ada@example.org")
    assert sums == {"adopted": 2, "sent_again": 3}
    world.sync()
    keys = [task.new.visit_key for task in world.server.tasks.values()]
    assert (len(keys), len(set(keys))) == (5, 5)
    assert not incidents(world)


def test_a_lane_younger_than_the_backup_is_missed(outside, clock):
    world = ready(outside)
    kept = world.server.backup()
    world.sync()
    world.server.restore(kept)
    fails_as_gone(world)
    clock.forward(seconds=60)
    world.sync()
    assert is_frozen(world)
    resolve_restore(world.outside, 1, by="ada@example.org")
    world.sync()
    assert len(world.server.tasks) == 4
    assert world.states() == ["in_labeling"] * 4


def fails_as_gone(world):
    world.server.fail("changed_tasks", LabelStudioRejected("Label Studio has no such project", status=404))


def test_a_new_epoch_keeps_every_answer_and_pays_nothing_twice(outside, clock):
    world, kept = answered(outside, clock)
    before = paid(world)
    assert len(before) == 2
    world.server.restore(kept)
    clock.forward(seconds=60)
    world.sync()
    assert resolve_restore(world.outside, 1, by="ada@example.org") == {"adopted": 4, "sent_again": 0}
    for _ in range(3):
        clock.forward(seconds=60)
        world.sync()
    rows = world.annotations()
    assert [(row.label, row.epoch, row.deleted_at) for row in rows] == [
        ("Positive", 2, None),
        ("Negative", 1, None),
    ]
    assert paid(world) == before
    assert world.states() == ["annotated", "annotated", "in_labeling", "in_labeling"]
    assert world.server.calls.count("close_task") >= 1, "the second task need not be asked again"
    assert not incidents(world)
    # The same number in the new epoch is another answer.
    world.say([(2, 3, "Neutral")])
    world.sync()
    assert [row.label for row in world.annotations()] == ["Positive", "Negative", "Neutral"]
    assert [life.epoch for life in world.rows(ServerLifeRow)] == [1, 2]


def test_an_answer_edited_after_the_backup_stays_as_it_was_last_said(outside, clock):
    world, kept = answered(outside, clock)
    world.server.edit(world.annotations()[0].ls_annotation_id, "Neutral")
    world.sync()
    world.server.restore(kept)
    clock.forward(seconds=60)
    world.sync()
    resolve_restore(world.outside, 1, by="ada@example.org")
    clock.forward(seconds=60)
    world.sync()
    told = [(row.label, row.epoch, row.status) for row in world.annotations()]
    assert told[:2] == [("Neutral", 1, "counted"), ("Negative", 1, "counted")]
    assert [(label, status) for label, _, status in told[2:]] == [("Positive", "not_counted")]


def test_an_account_that_got_another_number_is_known_by_its_address(outside, clock):
    world, kept = answered(outside, clock)
    world.server.restore(kept)
    clock.forward(seconds=60)
    world.sync()

    known = {row.person_id: row.email for row in world.rows(AccountRow)}
    world.server.people = [Member(90 + person, email, "", "") for person, email in known.items()]
    resolve_restore(world.outside, 1, by="ada@example.org")
    assert {row.email: row.ls_user_id for row in world.rows(AccountRow)} == {
        email: 90 + person for person, email in known.items()
    }


def test_deletions_on_a_living_server_are_still_deletions(outside, clock):
    world, _ = answered(outside, clock)
    world.server.delete_annotation(world.annotations()[1].ls_annotation_id)
    world.sync()
    gone = world.annotations()[1]
    assert gone.deleted_at is not None
    assert sum(amount for source, amount in paid(world) if source == str(gone.id)) == 0
    last = max(world.server.tasks)
    del world.server.tasks[last]
    clock.forward(seconds=60)
    world.sync()
    assert len(world.server.tasks) == 4, "sent again"
    assert not is_frozen(world)


def test_a_lane_deleted_on_a_living_server_is_made_again(outside, clock):
    world, _ = answered(outside, clock)
    world.server.lanes.clear()
    world.server.tasks.clear()
    fails_as_gone(world)
    world.sync()
    world.sync()
    assert not is_frozen(world)
    assert len(world.server.tasks) == 2


def test_only_a_frozen_server_gets_a_new_epoch(outside, clock):
    world, _ = answered(outside, clock)
    with pytest.raises(WrongState, match="ready"):
        resolve_restore(world.outside, 1, by="ada@example.org")


def test_nothing_changes_where_the_server_does_not_answer(outside, clock):
    world, kept = answered(outside, clock)
    world.server.restore(kept)
    clock.forward(seconds=60)
    world.sync()
    broken = replace(world.outside, label_studio=lambda url, token: _Down())
    with pytest.raises(ConnectionError):
        resolve_restore(broken, 1, by="ada@example.org")
    assert is_frozen(world)
    assert world.rows(ServerRow)[0].epoch == 1


class _Down:
    def find_lane(self, key):
        raise ConnectionError
