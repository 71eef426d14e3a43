import contextlib
import threading

import pytest
from sqlalchemy import create_engine, event, text
from sqlalchemy.exc import DBAPIError, OperationalError

from tests.factories import make_project
from workbench.db.database import job_engine_database
from workbench.db.fence import Fenced, fenced_by
from workbench.errors import InvalidInput, Unavailable
from workbench.projects.tables import ProjectRow

on_sqlite = pytest.mark.database("sqlite")
on_postgresql = pytest.mark.database("postgresql")


def _pragma(connection, name):
    return connection.exec_driver_sql(f"PRAGMA {name}").scalar()


@on_sqlite
def test_writers_are_durable_and_readers_only_read(outside):
    for engine, query_only in ((outside.db.writer, 0), (outside.db.reader, 1)):
        with engine.connect() as connection:
            assert _pragma(connection, "journal_mode") == "wal"
            assert _pragma(connection, "synchronous") == 2
            assert _pragma(connection, "foreign_keys") == 1
            assert _pragma(connection, "busy_timeout") == 30000
            assert _pragma(connection, "query_only") == query_only


def test_the_job_engines_file_is_as_durable(tmp_path):
    engine = job_engine_database(f"sqlite:///{tmp_path}/jobs.sqlite3")
    with engine.connect() as connection:
        assert (_pragma(connection, "journal_mode"), _pragma(connection, "synchronous")) == ("wal", 2)
    engine.dispose()


def test_a_reader_cannot_write(outside):
    with outside.db.read() as session, pytest.raises(DBAPIError, match=r"readonly|read-only"):
        session.execute(text("DELETE FROM projects"))


def test_a_failed_block_leaves_nothing(outside):
    def stumble():
        with outside.db.write() as session:
            make_project(session)
            raise RuntimeError("stumble")

    with pytest.raises(RuntimeError):
        stumble()
    with outside.db.read() as session:
        assert session.query(ProjectRow).count() == 0


def test_a_reader_sees_one_moment_while_others_write(outside):
    with outside.db.read() as session:
        assert session.query(ProjectRow).count() == 0
        with outside.db.write() as writing:
            make_project(writing)
        assert session.query(ProjectRow).count() == 0
    with outside.db.read() as session:
        assert session.query(ProjectRow).count() == 1


@on_sqlite
def test_a_writer_waits_for_another_process(outside):
    other = create_engine(outside.db.url)

    @event.listens_for(other, "connect")
    def _plain(connection, _record):
        connection.isolation_level = None

    done = []
    with other.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

        def write():
            with outside.db.write() as session:
                make_project(session)
            done.append(True)

        thread = threading.Thread(target=write)
        thread.start()
        thread.join(0.3)
        assert not done
        connection.exec_driver_sql("COMMIT")
        thread.join(10)
    other.dispose()
    assert done


@on_sqlite
def test_a_writer_has_the_lock_before_it_reads(outside):
    """Else what it read could be overtaken, and its write be refused at once instead of waiting."""
    other = create_engine(outside.db.url, connect_args={"timeout": 0})
    with outside.db.write() as session:
        assert session.query(ProjectRow).count() == 0
        with other.connect() as connection, pytest.raises(OperationalError, match="locked"):
            connection.exec_driver_sql("BEGIN IMMEDIATE")
    other.dispose()


def _counts(outside, **more):
    """Two writers that each read, wait and add one; the sum of both where nobody overtook the other."""
    begun, done = threading.Barrier(2, timeout=5), []

    def add(project):
        def wait():
            with contextlib.suppress(threading.BrokenBarrierError):
                begun.wait(timeout=1)

        with outside.db.write(project) as session:
            found = session.query(ProjectRow).count()
            wait()
            make_project(session, key=f"p{found}-{project}")
        done.append(found)

    threads = [threading.Thread(target=add, args=(project,)) for project in more["projects"]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return sorted(done)


@pytest.mark.parametrize("projects", [(None, None), (1, 1), (None, 1), (1, None)])
def test_writers_of_one_project_and_of_the_whole_take_turns(outside, projects):
    assert _counts(outside, projects=projects) == [0, 1]


@on_postgresql
def test_writers_of_two_projects_go_on_together(outside):
    assert _counts(outside, projects=(1, 2)) == [0, 0]


def test_what_is_fenced_writes_nothing(outside):
    with fenced_by(lambda session: session.query(ProjectRow).count() == 0):
        with outside.db.write() as session:
            make_project(session)
        for opened in (outside.db.write, outside.db.append, lambda: outside.db.write(1)):
            with pytest.raises(Fenced), opened() as session:
                make_project(session, key="late")
        with pytest.raises(Fenced):
            outside.db.check_lease()
    outside.db.check_lease()
    with outside.db.read() as session:
        assert session.query(ProjectRow).count() == 1


def test_a_nul_character_is_refused_before_the_database_sees_it(outside):
    for values in ({"title": "a\x00b"}, {"specification": {"deep": [{"a\x00": 1}]}}):
        with pytest.raises(InvalidInput, match="NUL"), outside.db.write() as session:
            make_project(session, **values)
    with outside.db.write() as session:
        make_project(session, specification={"harmless": "\\u0000"})


@on_postgresql
def test_who_waits_too_long_is_told_to_try_again(outside):
    def waits():
        with outside.db.write(1) as session:
            session.execute(text("SELECT 1"))

    with outside.db.write() as session:
        holder = session.connection()
        assert holder is not None
        with outside.db.writer.connect() as other:
            other.execute(text("SET lock_timeout = '100ms'"))
            other.commit()
        # The pool hands the same connection out again.
        with pytest.raises(Unavailable, match="busy"):
            waits()
