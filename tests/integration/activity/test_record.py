"""The record in a real database with its guards."""

import json

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from tests.factories import NOW, make_items, make_project
from workbench.activity.anchors import FILE, read_anchors
from workbench.activity.domain import Anchor, Unrecordable
from workbench.activity.moves import seal_moves
from workbench.activity.service import anchor_now, verify, verify_and_anchor, verify_installation
from workbench.activity.store import EventFilter, events, known_verbs, last_check, record
from workbench.activity.tables import EventRow
from workbench.errors import InvalidInput
from workbench.items.domain import ItemState
from workbench.items.store import move_items
from workbench.items.tables import ItemMoveRow


def some_events(outside, n=5):
    for i in range(n):
        with outside.db.write() as session:
            record(
                session,
                at=NOW,
                actor="ada@example.org",
                verb="project.changed" if i % 2 else "policy.activated",
                about=f"project:{i}",
                project_id=i,
                before={"z": 1e20, "a": -0.0, "title": "Größe \U0001f600"},
                after={"deep": [{"x": 0.1 + i, "none": None}], "yes": True},
            )


def past_the_guards(connection):
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        return
    for name in ("update", "delete", "replace"):
        connection.execute(text(f"DROP TRIGGER IF EXISTS activity_no_{name}"))


def plainly(outside, statement):
    with outside.db.writer.begin() as connection:
        connection.execute(text(statement))


def tamper(outside, *statements):
    """As somebody would who owns the database and takes its guards away first."""
    with outside.db.writer.begin() as connection:
        past_the_guards(connection)
        for statement in statements:
            connection.execute(text(statement))


def checked(outside, *anchors, deep=False):
    with outside.db.read() as session:
        return verify(session, anchors, deep=deep)


def test_events_chain_and_hold(outside):
    some_events(outside)
    found = checked(outside)
    assert (found.events, found.broken) == (5, None)
    assert found.last.seq == 5
    with outside.db.read() as session:
        rows = events(session, EventFilter(), limit=10)
        assert [row.seq for row in rows] == [5, 4, 3, 2, 1]
        assert rows[0].before == {"z": 10**20, "a": 0, "title": "Größe \U0001f600"}
        assert [row.seq for row in events(session, EventFilter(verb="policy"), limit=10)] == [5, 3, 1]
        assert [row.seq for row in events(session, EventFilter(about="project:2"), limit=10)] == [3]
        assert [row.seq for row in events(session, EventFilter(), before=3, limit=1)] == [2]
        assert events(session, EventFilter(actor="%"), limit=9) == []
        assert events(session, EventFilter(project_id=2, projects=frozenset({1})), limit=9) == []
        assert known_verbs(session) == ["policy.activated", "project.changed"]


def test_several_events_of_one_transaction_follow_each_other(outside):
    with outside.db.write() as session:
        first = record(session, at=NOW, actor="a", verb="x.y", about="x:1")
        second = record(session, at=NOW, actor="a", verb="x.y", about="x:2")
    assert (first.seq, second.seq) == (1, 2)
    assert second.previous == first.hash
    assert checked(outside).broken is None


def test_what_is_rolled_back_leaves_no_event(outside):
    with pytest.raises(RuntimeError), outside.db.write() as session:  # noqa: PT012
        record(session, at=NOW, actor="a", verb="x.y", about="x:1")
        raise RuntimeError
    with outside.db.write() as session:
        record(session, at=NOW, actor="a", verb="x.y", about="x:2")
        session.rollback()
    with outside.db.write() as session:
        record(session, at=NOW, actor="a", verb="kept.outside", about="x:3")
        with pytest.raises(RuntimeError), session.begin_nested():  # noqa: PT012
            record(session, at=NOW, actor="a", verb="undone.inside", about="x:4")
            raise RuntimeError
        with session.begin_nested():
            record(session, at=NOW, actor="a", verb="kept.inside", about="x:5")
    with outside.db.read() as session:
        assert known_verbs(session) == ["kept.inside", "kept.outside"]
    assert checked(outside).broken is None


def test_what_cannot_be_recorded_stops_the_change(outside):
    with outside.db.write() as session:
        for after in ({"n": float("nan")}, {"t": "\0"}):
            with pytest.raises(Unrecordable, match="after"):
                record(session, at=NOW, actor="a", verb="x.y", about="x:1", after=after)
        with pytest.raises(Unrecordable, match="about is longer than 200"):
            record(session, at=NOW, actor="a", verb="x.y", about="x" * 201)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE activity SET actor = 'eve' WHERE seq = 2",
        "DELETE FROM activity WHERE seq = 2",
        "DELETE FROM activity",
    ],
)
def test_the_database_refuses_to_change_events(migrated, statement):
    some_events(migrated)
    with pytest.raises(DBAPIError, match="append-only"):
        plainly(migrated, statement)
    assert checked(migrated).events == 5


def test_replacing_and_emptying_are_refused(migrated):
    some_events(migrated)
    postgresql = migrated.db.writer.dialect.name == "postgresql"
    how = (
        "TRUNCATE activity"
        if postgresql
        else "INSERT OR REPLACE INTO activity SELECT seq, at, 'eve', verb, about, project_id, supplier_id, "
        'before, "after", previous, hash FROM activity WHERE seq = 2'
    )
    with pytest.raises(DBAPIError, match="append-only"):
        plainly(migrated, how)


ALTERED = "UPDATE activity SET actor = 'eve' WHERE seq = 3"
REMOVED = "DELETE FROM activity WHERE seq = 3"
SWAPPED = (
    "UPDATE activity SET seq = 99 WHERE seq = 2",
    "UPDATE activity SET seq = 2 WHERE seq = 3",
    "UPDATE activity SET seq = 3 WHERE seq = 99",
)


@pytest.mark.parametrize(
    ("statements", "seq", "kind"),
    [((ALTERED,), 3, "altered"), ((REMOVED,), 3, "removed"), (SWAPPED, 2, "altered")],
)
def test_who_goes_past_the_guards_is_found(outside, statements, seq, kind):
    some_events(outside)
    tamper(outside, *statements)
    broken = checked(outside).broken
    assert (broken.seq, broken.kind) == (seq, kind)
    assert "backup" in broken.remedy


def test_an_inserted_event_with_its_own_hash_is_found(outside):
    some_events(outside, 3)
    with outside.db.write() as session:
        last = session.scalars(select(EventRow).order_by(EventRow.seq.desc())).first()
    tamper(outside, "DELETE FROM activity WHERE seq = 3")
    with outside.db.write() as session:
        record(session, at=NOW, actor="eve", verb="user.created", about="user:9")
    tamper(outside, "UPDATE activity SET seq = 99 WHERE seq = 3")
    with outside.db.writer.begin() as connection:
        past_the_guards(connection)
        connection.execute(
            EventRow.__table__.insert().values(
                {column.name: getattr(last, column.name) for column in EventRow.__table__.columns}
            )
        )
        connection.execute(text("UPDATE activity SET seq = 4 WHERE seq = 99"))
    broken = checked(outside).broken
    assert (broken.seq, broken.kind) == (4, "altered")


def test_a_cut_tail_and_a_new_record_are_found_by_anchors(outside):
    some_events(outside)
    anchor = anchor_now(outside, "test")
    assert read_anchors(outside.settings.data_dir) == [anchor]
    tamper(outside, "DELETE FROM activity WHERE seq > 3")
    assert checked(outside).broken is None, "a cut alone does not show inside the chain"
    broken = verify_installation(outside).broken
    assert (broken.seq, broken.kind) == (4, "cut")
    some_events(outside, 4)
    assert verify_installation(outside).broken.kind == "rewritten"
    with outside.db.read() as session:
        check = last_check(session)
        assert check.broken_seq == 5
        assert "backup" in check.problem


def test_checks_are_kept_and_anchored_only_when_the_record_holds(outside):
    assert verify_and_anchor(outside, "nightly").last is None
    assert read_anchors(outside.settings.data_dir) == []
    some_events(outside)
    found = verify_and_anchor(outside, "nightly", deep=True)
    assert read_anchors(outside.settings.data_dir) == [found.last]
    assert "5 events hold" in found.sentence()
    tamper(outside, ALTERED)
    verify_and_anchor(outside, "nightly")
    assert len(read_anchors(outside.settings.data_dir)) == 1
    assert checked(outside, Anchor(1, "00" * 32)).broken.kind == "rewritten"


def test_a_torn_last_line_of_the_anchor_file_is_left_out(outside):
    some_events(outside)
    anchor_now(outside, "one")
    path = outside.settings.data_dir / FILE
    whole = path.read_text()
    path.write_text(whole + '{"anchor": "7:ab')
    assert len(read_anchors(outside.settings.data_dir)) == 1
    path.write_text(json.dumps({"anchor": "nonsense"}) + "\n" + whole)
    with pytest.raises(InvalidInput, match=r"line 1 of .*is no anchor"):
        read_anchors(outside.settings.data_dir)


def moved(outside, n=7):
    with outside.db.write() as session:
        ids = [row.id for row in make_items(session, make_project(session), n)]
    with outside.db.write() as session:
        move_items(session, ids, ItemState.PREDICTED, at=NOW, actor="prelabel", reason="predicted")
    with outside.db.write() as session:
        for item_id in ids:
            move_items(
                session, [item_id], ItemState.QUEUED, at=NOW, actor="decide",
                reason="below 0.9", because={item_id: {"policy_id": 1, "confidence": 1.0}},
            )  # fmt: skip


def test_moves_are_one_event_a_transaction_and_hold(outside):
    moved(outside)
    with outside.db.read() as session:
        rows = events(session, EventFilter(), limit=10)
        assert [(row.verb, row.actor, row.after["items"]) for row in rows] == [
            ("items.moved", "decide", 7),
            ("items.moved", "prelabel", 7),
        ]
        assert rows[0].after["moves"] == [{"from": "predicted", "to": "queued", "items": 7}]
        assert events(session, EventFilter(people=True), limit=10) == []
    assert checked(outside, deep=True).broken is None


@pytest.mark.parametrize(
    ("statement", "seq"),
    [
        ("UPDATE item_moves SET reason = 'because I say so' WHERE id = 9", 2),
        ("UPDATE item_moves SET actor = 'eve' WHERE id = 3", 1),
        ("DELETE FROM item_moves WHERE id = 9", 2),
        ("DELETE FROM item_moves", 1),
        ("UPDATE item_moves SET chunk = NULL WHERE id = 9", 0),
        ("UPDATE item_moves SET chunk = 5 WHERE id = 9", 0),
    ],
)
def test_altered_moves_are_found_by_looking_deep(outside, statement, seq):
    moved(outside)
    tamper(outside, statement)
    assert checked(outside).broken is None
    broken = checked(outside, deep=True).broken
    assert (broken.kind, broken.seq) == ("moves", seq)


def test_moves_from_before_there_were_chunks_are_left_out(outside):
    with outside.db.write() as session:
        item = make_items(session, make_project(session), 1)[0]
        session.add(
            ItemMoveRow(
                project_id=item.project_id, item_id=item.id, from_state="", to_state="imported", at=NOW,
                actor="a", reason="", because={},
            )
        )  # fmt: skip
        item_id = item.id
    with outside.db.write() as session:
        move_items(session, [item_id], ItemState.QUEUED, at=NOW, actor="decide", reason="x")
    assert checked(outside, deep=True).broken is None


def test_a_savepoint_taken_back_is_in_no_chunk(outside):
    with outside.db.write() as session:
        one, two = make_items(session, make_project(session), 2)
        move_items(session, [one.id], ItemState.QUEUED, at=NOW, actor="decide", reason="x")
        with pytest.raises(RuntimeError), session.begin_nested():  # noqa: PT012
            move_items(session, [two.id], ItemState.QUEUED, at=NOW, actor="decide", reason="x")
            raise RuntimeError
    assert checked(outside, deep=True).broken is None


def test_nothing_moved_is_no_event(outside):
    with outside.db.write() as session:
        seal_moves(session, [])
    assert checked(outside).last is None
