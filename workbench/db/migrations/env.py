"""How Alembic reaches this installation's database."""

from typing import Any

from alembic import context
from sqlalchemy import Connection

from workbench.db.tables import all_tables

# The job engine keeps tables of its own; they are none of ours.
FOREIGN = ("datasource_outputs", "dbos_datasource_migrations")


def include(_object: Any, name: str | None, kind: str, _reflected: bool, _compare_to: Any) -> bool:
    return not (kind == "table" and name in FOREIGN)


def run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=all_tables(),
        # SQLite cannot change a table in place.
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
        compare_server_default=True,
        include_object=include,
        user_module_prefix="workbench.db.types.",
    )
    with context.begin_transaction():
        context.run_migrations()


run(context.config.attributes["connection"])
