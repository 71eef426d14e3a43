"""What is erased is gone everywhere the workbench reaches, and the books do not notice."""

from __future__ import annotations

from functools import partial

import pytest
from sqlalchemy import func, select

from integrations.label_studio.errors import LabelStudioUnavailable
from tests.integration.line.world import World, build
from tests.unit.workbench.items.running import Run, run_through_kills
from workbench.activity.tables import EventRow
from workbench.auth.service import create_user, open_session
from workbench.auth.tables import SessionRow, UserRow
from workbench.errors import InvalidInput, NotFound, WrongState
from workbench.invariants.service import compare_books
from workbench.items.domain import ItemState
from workbench.items.tables import ItemPartRow, ItemRow
from workbench.labeling.tables import AnnotationRow, VisitRow
from workbench.outside import Outside
from workbench.people.tables import AccountRow, PersonRow
from workbench.projects.tables import ProjectRow
from workbench.tallies.tables import HourTallyRow, LedgerRow
from workbench.upkeep.domain import Chore, ChoreState
from workbench.upkeep.erasure import erase_what_is_due, items_to_erase
from workbench.upkeep.jobs import ERASE_JOB
from workbench.upkeep.jobs import JOB as UPKEEP_JOB
from workbench.upkeep.persons import erase_person
from workbench.upkeep.service import CHORES
from workbench.upkeep.tables import ChoreRow, ErasureRow


@pytest.fixture
def world(outside: Outside) -> World:
    """Four items with people; the first two answered."""
    made = build(outside)
    made.predict()
    made.decide()
    made.sync()
    made.say([(0, 1, "Positive"), (1, 2, "Negative")])
    outside.now.forward(seconds=30)  # type: ignore[attr-defined]
    made.sync()
    made.resolve()
    return made


def arguments(world: World, *which: int) -> dict[str, object]:
    ids = [world.items()[one].id for one in which]
    return {"project_id": world.project_id, "items": ids, "reason": "asked by the author", "by": "pm@x.org"}


def books(world: World) -> object:
    with world.outside.db.read() as session:
        return (
            tuple(session.execute(select(func.count(LedgerRow.id), func.sum(LedgerRow.amount))).one()),
            [
                (row.hour, row.person_id, row.annotations, row.counted, row.resolved)
                for row in session.scalars(select(HourTallyRow).order_by(HourTallyRow.person_id))
            ],
        )


def texts(world: World, item_id: int) -> list[str]:
    with world.outside.db.read() as session:
        return list(session.scalars(select(ItemPartRow.text).where(ItemPartRow.item_id == item_id)))


def test_an_answered_and_an_open_item(world: World):
    before = books(world)
    tasks = set(world.server.tasks)
    done = ERASE_JOB.run(Run(world.outside, twice=True), arguments(world, 0, 2))
    first, _, third, _ = world.items()
    assert (first.state, third.state) == (ItemState.RESOLVED, ItemState.ERASED)
    assert set("".join(texts(world, first.id) + texts(world, third.id))) == set()
    assert first.external_id == f"erased-{first.public_id}"
    assert first.content_hash == bytes(32)
    assert len(tasks) - len(world.server.tasks) == 2
    assert world.labels()[0].label == "Positive"
    assert {row.status for row in world.annotations()} == {"counted"}
    assert done["left"]
    # Later rounds bring nothing back and take no pay away.
    world.outside.now.forward(minutes=5)  # type: ignore[attr-defined]
    world.sync()
    world.resolve()
    world.sync()
    assert books(world) == before
    assert len(tasks) - len(world.server.tasks) == 2
    assert all(texts(world, item.id)[0] for item in world.items()[1::2])
    assert len(world.rows(ErasureRow)) == 2
    assert "items.erased" in [row.verb for row in world.rows(EventRow)]


def test_it_goes_on_through_kills(world: World):
    before = books(world)
    run_through_kills(ERASE_JOB, world.outside, arguments(world, 0, 1, 2, 3), kills=3)
    assert world.server.tasks == {}
    assert len(world.rows(ErasureRow)) == 4
    assert books(world) == before


def test_nothing_is_erased_here_while_label_studio_still_has_it(world: World):
    world.server.before["find_tasks"].append(LabelStudioUnavailable("Label Studio does not answer"))
    with pytest.raises(LabelStudioUnavailable):
        ERASE_JOB.run(Run(world.outside), arguments(world, 2))
    assert texts(world, world.items()[2].id)[0]


def test_by_the_owners_id(world: World):
    items = world.items()
    with world.outside.db.read() as session:
        given = [items[1].external_id, items[0].external_id]
        assert set(items_to_erase(session, world.project_id, given)) == {items[0].id, items[1].id}
        with pytest.raises(NotFound, match="'nobody'; nothing was erased"):
            items_to_erase(session, world.project_id, [items[0].external_id, "nobody"])


def test_retention(world: World):
    world.change(ProjectRow, world.project_id, retention_days=30)
    world.change(ItemRow, world.items()[0].id, state=ItemState.DELIVERED, state_at=world.outside.now())
    assert erase_what_is_due(world.outside) == {"erased": 0}
    world.outside.now.forward(days=31)  # type: ignore[attr-defined]
    assert erase_what_is_due(world.outside) == {"erased": 1}
    assert erase_what_is_due(world.outside) == {"erased": 0}
    assert world.items()[0].erased_at is not None
    assert world.items()[1].erased_at is None


def test_a_person(world: World):
    with world.outside.db.write() as session:
        create_user(
            session, world.outside, email="boss@x.org", name="B", password="long-enough-1", role="admin"
        )
        other = create_user(
            session, world.outside, email="person1@example.org", name="A", password="long-enough-1", role="pm"
        )
        open_session(session, world.outside, other.id, browser="b")
        session.get(PersonRow, world.person_ids[0]).user_id = other.id
    before = books(world)
    named: list[str] = []
    world.server.set_names = lambda _, *, first_name, last_name: named.append(first_name)  # type: ignore[method-assign]
    done = erase_person(world.outside, "Person1@example.org", reason="left the company", by="boss@x.org")
    person = world.rows(PersonRow)[0]
    assert done["name"] == person.name
    assert person.name.startswith("Erased ")
    assert named == [person.name]
    assert not person.active
    everything = repr([vars(row) for table in (PersonRow, UserRow, AccountRow) for row in world.rows(table)])
    assert "person1@" not in everything
    assert "cannot be changed" in done["left"][0]
    assert all(row.revoked_at for row in world.rows(SessionRow))
    assert books(world) == before
    assert world.annotations()[0].person_id == person.id
    with pytest.raises(NotFound):
        erase_person(world.outside, "person1@example.org", reason="again", by="boss@x.org")
    with pytest.raises(WrongState, match="last admin"):
        erase_person(world.outside, "boss@x.org", reason="everyone", by="boss@x.org")
    with pytest.raises(InvalidInput, match="say why"):
        erase_person(world.outside, "boss@x.org", reason=" ", by="boss@x.org")


def test_visits_know_no_task_any_more(world: World):
    ERASE_JOB.run(Run(world.outside), arguments(world, 0, 1, 2, 3))
    assert {row.ls_task_id for row in world.rows(VisitRow)} == {None}
    assert {row.ls_task_id for row in world.rows(AnnotationRow)} == {None}


@pytest.mark.database("sqlite")
def test_all_of_a_night(world: World, monkeypatch: pytest.MonkeyPatch):
    """Each chore does its work and says what came of it."""
    monkeypatch.setitem(CHORES, Chore.COMPARE, partial(compare_books, settle_s=0))
    for chore in Chore:
        due = world.outside.now().isoformat()
        outcome = UPKEEP_JOB.run(Run(world.outside), {"chore": chore.value, "due_at": due})
        assert outcome
    assert {row.state for row in world.rows(ChoreRow)} == {ChoreState.DONE}
