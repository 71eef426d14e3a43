import threading

import pytest
from sqlalchemy import create_engine, event, text
from sqlalchemy.exc import OperationalError

from tests.factories import make_project
from workbench.db.database import job_engine_database
from workbench.projects.tables import ProjectRow


def _pragma(connection, name):
    return connection.exec_driver_sql(f"PRAGMA {name}").scalar()


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
    with outside.db.read() as session, pytest.raises(OperationalError, match="readonly"):
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


def test_a_writer_has_the_lock_before_it_reads(outside):
    """Else what it read could be overtaken, and its write be refused at once instead of waiting."""
    other = create_engine(outside.db.url, connect_args={"timeout": 0})
    with outside.db.write() as session:
        assert session.query(ProjectRow).count() == 0
        with other.connect() as connection, pytest.raises(OperationalError, match="locked"):
            connection.exec_driver_sql("BEGIN IMMEDIATE")
    other.dispose()
