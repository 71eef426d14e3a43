"""The schema moves while work goes on: rows survive, and a process of the release before can go on writing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import (
    Boolean,
    Connection,
    DateTime,
    Engine,
    Float,
    LargeBinary,
    MetaData,
    Table,
    create_engine,
    insert,
    select,
)
from sqlalchemy import types as sql

from tests.factories import NOW
from workbench.db import migrate
from workbench.db.urls import database_address
from workbench.settings import load_settings

BEFORE = "0001"


@pytest.fixture
def engine(tmp_path, database_kind, request) -> Iterator[tuple[Any, Engine]]:
    url = request.getfixturevalue("empty_postgresql") if database_kind == "postgresql" else ""
    settings = load_settings(data_dir=tmp_path, database_url=url)
    migrate.upgrade(settings, BEFORE)
    made = create_engine(database_address(settings.database_url))
    yield settings, made
    made.dispose()


def tables_of(engine: Engine) -> list[Table]:
    """As they stand in the database, those that others point at first."""
    found = MetaData()
    found.reflect(engine)
    return [table for table in found.sorted_tables if table.name != "alembic_version"]


KINDS: list[tuple[type[Any], Any]] = [
    (Boolean, lambda column, number: True),
    (DateTime, lambda column, number: NOW if column.type.timezone else NOW.replace(tzinfo=None)),
    (LargeBinary, lambda column, number: bytes([number]) * 32),
    (Float, lambda column, number: 0.5),
    (sql.JSON, lambda column, number: {"row": number}),
    (sql.Integer, lambda column, number: number),
    (sql.String, lambda column, number: f"{column.name[:20]} {number}"[: column.type.length]),
]


def value_for(column: Any, number: int) -> Any:
    """Something that fits the column; `number` where it points at another table's row."""
    if column.foreign_keys:
        return number
    return next(make for kind, make in KINDS if isinstance(column.type, kind))(column, number)


def fill(connection: Connection, tables: list[Table], number: int) -> None:
    """One row in each table, as the release of those tables writes them."""
    for table in tables:
        row = {column.name: value_for(column, number) for column in table.columns}
        connection.execute(insert(table).values(row))


def rows(connection: Connection, tables: list[Table]) -> dict[str, list[tuple[Any, ...]]]:
    return {
        table.name: sorted((tuple(row) for row in connection.execute(select(*table.columns))), key=repr)
        for table in tables
    }


def test_rows_survive_and_the_release_before_goes_on(engine):
    settings, made = engine
    old = tables_of(made)
    assert len(old) > 40
    with made.begin() as connection:
        fill(connection, old, 1)
        before = rows(connection, old)
    assert migrate.upgrade(settings) is True
    made.dispose()
    with made.begin() as connection:
        assert rows(connection, old) == before
        # It knows only its own columns: each new one must do without being named.
        fill(connection, old, 2)
        both = rows(connection, old)
    assert all(len(one) == 2 for one in both.values())
    migrate.downgrade(settings, BEFORE)
    made.dispose()
    with made.begin() as connection:
        assert rows(connection, old) == both
