import threading

from sqlalchemy import select

from tests.factories import make_project
from workbench.db.upsert import add_counts, insert_new
from workbench.tallies.tables import PatternTallyRow

KEYS = ("project_id", "pattern")


def test_counts_of_many_threads_all_arrive(outside):
    with outside.db.write() as session:
        project_id = make_project(session).id

    def add():
        for _ in range(20):
            with outside.db.write() as session:
                rows = [{"project_id": project_id, "pattern": p, "items": 1} for p in ("0,2", "1,1")]
                add_counts(session, PatternTallyRow, rows, keys=KEYS, sums=("items",))

    threads = [threading.Thread(target=add) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with outside.db.read() as session:
        found = {row.pattern: row.items for row in session.scalars(select(PatternTallyRow))}
    assert found == {"0,2": 120, "1,1": 120}


def test_what_is_there_stays_as_it_is(outside):
    with outside.db.write() as session:
        project_id = make_project(session).id
        for items in (1, 5):
            rows = [{"project_id": project_id, "pattern": "0,2", "items": items}]
            insert_new(session, PatternTallyRow, rows, keys=KEYS)
        assert session.scalar(select(PatternTallyRow.items)) == 1


def test_nothing_to_add_is_fine(outside):
    with outside.db.write() as session:
        add_counts(session, PatternTallyRow, [], keys=KEYS, sums=("items",))
        insert_new(session, PatternTallyRow, [], keys=KEYS)
