from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from tests.factories import make_items, make_project
from workbench.db import migrate
from workbench.db.database import Database
from workbench.db.tables import all_tables
from workbench.db.urls import database_address
from workbench.errors import InvalidInput
from workbench.items.tables import ItemPartRow, ItemRow
from workbench.projects.tables import ProjectRow
from workbench.settings import load_settings


@pytest.fixture
def settings(tmp_path, database_kind, request):
    url = request.getfixturevalue("empty_postgresql") if database_kind == "postgresql" else ""
    return load_settings(data_dir=tmp_path, database_url=url)


def _tables(settings):
    engine = create_engine(database_address(settings.database_url))
    try:
        return set(inspect(engine).get_table_names()) - {"alembic_version"}
    finally:
        engine.dispose()


def test_up_no_differences_down_and_up_again(settings):
    assert migrate.check(settings) == ""
    assert migrate.upgrade(settings) is True
    assert migrate.differences(settings) == ""
    assert _tables(settings) == set(all_tables().tables)
    assert migrate.check(settings) == migrate.head()
    assert migrate.upgrade(settings) is False
    migrate.downgrade(settings, "base")
    assert _tables(settings) == set()
    assert migrate.upgrade(settings) is True
    assert migrate.differences(settings) == ""


def test_a_missing_column_is_seen(settings):
    migrate.upgrade(settings)
    engine = create_engine(database_address(settings.database_url))
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE jobs DROP COLUMN message"))
    engine.dispose()
    assert "message" in migrate.differences(settings)


def test_a_database_of_a_newer_release_is_refused(settings):
    migrate.upgrade(settings)
    engine = create_engine(database_address(settings.database_url))
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    for look in (migrate.check, migrate.upgrade):
        with pytest.raises(InvalidInput, match=r"newer release \(schema 9999.*Install the newer release"):
            look(settings)
    database = Database(settings.database_url)
    assert not migrate.fits(database)
    database.close()


def test_a_fitting_database_is_told_apart_from_an_empty_one(settings):
    database = Database(settings.database_url)
    assert not migrate.fits(database)
    migrate.upgrade(settings)
    assert migrate.fits(database)
    database.close()


def test_every_table_can_be_made_on_postgresql():
    dialect = postgresql.dialect()
    for table in all_tables().sorted_tables:
        made = str(CreateTable(table).compile(dialect=dialect))
        for index in table.indexes:
            made += str(CreateIndex(index).compile(dialect=dialect))
        assert "DATETIME" not in made, table.name
        assert " JSON " not in made, table.name


def test_rows_live_through_every_step_down_and_up(settings):
    """Step by step back to the first release and up again; what the first release knew is still there."""
    migrate.upgrade(settings)
    database = Database(settings.database_url)
    with database.write() as session:
        project = make_project(session)
        make_items(session, project, 3)
    database.close()
    first, *later = reversed([one.revision for one in ScriptDirectory(str(migrate.SCRIPTS)).walk_revisions()])
    for revision in [*reversed(later[:-1]), first]:
        migrate.downgrade(settings, revision)
    assert migrate.check(settings) == first
    assert migrate.upgrade(settings) is True
    assert migrate.differences(settings) == ""
    database = Database(settings.database_url)
    with database.read() as session:
        assert session.query(ProjectRow).one().title == "Sentiment"
        assert session.query(ItemRow).count() == 3
        assert session.query(ItemPartRow).count() == 3
    database.close()


@pytest.mark.database("postgresql")
def test_several_processes_upgrade_at_once(settings):
    with ThreadPoolExecutor(4) as pool:
        did = list(pool.map(lambda _: migrate.upgrade(settings), range(4)))
    assert sorted(did) == [False, False, False, True]
