import io

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from workbench.db import migrate
from workbench.db.database import Database
from workbench.db.tables import all_tables
from workbench.errors import InvalidInput
from workbench.settings import load_settings


@pytest.fixture
def settings(tmp_path):
    return load_settings(data_dir=tmp_path)


def _tables(settings):
    engine = create_engine(settings.database_url)
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
    engine = create_engine(settings.database_url)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE jobs DROP COLUMN message"))
    engine.dispose()
    assert "message" in migrate.differences(settings)


def test_a_database_of_a_newer_release_is_refused(settings):
    migrate.upgrade(settings)
    engine = create_engine(settings.database_url)
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


def _written_out(direction):
    """The SQL of all migrations for PostgreSQL, in the order they run."""
    written = io.StringIO()
    context = MigrationContext.configure(
        dialect_name="postgresql", opts={"as_sql": True, "output_buffer": written, "target_metadata": None}
    )
    revisions = list(ScriptDirectory(str(migrate.SCRIPTS)).walk_revisions())
    with Operations.context(context):
        for revision in revisions if direction == "downgrade" else reversed(revisions):
            getattr(revision.module, direction)()
    return written.getvalue()


def test_the_chain_makes_and_drops_every_table_on_postgresql():
    made, dropped = _written_out("upgrade"), _written_out("downgrade")
    for name in all_tables().tables:
        assert f"CREATE TABLE {name} (" in made, name
        assert f"DROP TABLE {name};" in dropped, name
    assert "JSONB" in made
    assert "TIMESTAMP WITH TIME ZONE" in made
    assert "TIMESTAMP WITHOUT" not in made
    assert "DATETIME" not in made
