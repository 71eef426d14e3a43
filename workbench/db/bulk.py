"""Many rows at once: COPY on PostgreSQL, one prepared statement on SQLite.

One call for both databases, inside the caller's transaction. Rows are dicts of column names, all with the
same columns; what they leave out is filled by the database's defaults.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from itertools import chain, islice
from typing import Any, cast

import psycopg
from sqlalchemy import Table, insert
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from workbench.db.engines import NUL
from workbench.db.types import Base
from workbench.errors import InvalidInput

Rows = Iterable[dict[str, Any]]

FEW = 100
"""Below this many rows a plain statement is as fast as COPY."""


def insert_many(session: Session, table: type[Base], rows: Rows) -> int:
    """How many rows were inserted: all, or none and an `IntegrityError`.

    Args:
        session: A writing session.
        table: Where to.
        rows: Dicts with the same columns each; read once, so that it may be a generator.
    """
    if not _is_postgresql(session):
        written = list(rows)
        if written:
            session.execute(insert(table), written)
        return len(written)
    first, rest = _peek(rows)
    if len(first) < FEW:
        if first:
            session.execute(insert(table), first)
        return len(first)
    name = _quoted(session, _table(table).name)
    return _copy(session, _table(table), name, chain(first, rest), list(first[0]))


def upsert_many(
    session: Session, table: type[Base], rows: Rows, *, keys: Sequence[str], update: Sequence[str] = ()
) -> None:
    """Insert rows; those whose `keys` are there already get the columns of `update`, or stay as they are.

    Args:
        session: A writing session.
        table: Where to.
        rows: Dicts with the same columns each; no two with the same keys where something is updated.
        keys: Columns of a primary key or unique constraint.
        update: Columns taken from the new row; none: what is there stays as it is.
    """
    if not _is_postgresql(session):
        _upsert(session, sqlite.insert(table), list(rows), keys, update)
        return
    first, rest = _peek(rows)
    if len(first) < FEW:
        _upsert(session, postgresql.insert(table), first, keys, update)
        return
    target, columns = _table(table), list(first[0])
    beside = _quoted(session, f"beside_{uuid.uuid4().hex[:12]}")
    names = ", ".join(_quoted(session, target.c[column].name) for column in columns)
    into = _quoted(session, target.name)
    connection = session.connection()
    connection.exec_driver_sql(
        f"CREATE TEMP TABLE {beside} ON COMMIT DROP AS SELECT {names} FROM {into} WITH NO DATA"  # noqa: S608 - our own names
    )
    _copy(session, target, beside, chain(first, rest), columns)
    conflict = ", ".join(_quoted(session, key) for key in keys)
    sets = ", ".join(f"{_quoted(session, name)} = excluded.{_quoted(session, name)}" for name in update)
    connection.exec_driver_sql(
        f"INSERT INTO {into} ({names}) SELECT {names} FROM {beside} "  # noqa: S608 - our own names
        f"ON CONFLICT ({conflict}) DO {f'UPDATE SET {sets}' if update else 'NOTHING'}"
    )
    connection.exec_driver_sql(f"DROP TABLE {beside}")


def _upsert(
    session: Session, statement: Any, rows: list[dict[str, Any]], keys: Sequence[str], update: Sequence[str]
) -> None:
    if not rows:
        return
    if update:
        values = {name: statement.excluded[name] for name in update}
        statement = statement.on_conflict_do_update(index_elements=list(keys), set_=values)
    else:
        statement = statement.on_conflict_do_nothing(index_elements=list(keys))
    session.execute(statement, rows)


def _copy(session: Session, table: Table, into: str, rows: Rows, columns: list[str]) -> int:
    session.flush()
    connection = session.connection()
    dialect = connection.dialect
    binds = [
        (column, table.c[column].type.dialect_impl(dialect).bind_processor(dialect)) for column in columns
    ]
    names = ", ".join(_quoted(session, table.c[column].name) for column in columns)
    driver = cast("psycopg.Connection[Any]", connection.connection.driver_connection)
    n = 0
    try:
        with driver.cursor() as cursor, cursor.copy(f"COPY {into} ({names}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row([bind(row[column]) if bind else row[column] for column, bind in binds])
                n += 1
    except psycopg.Error as problem:
        # As SQLAlchemy would have raised it, with its kinds of error and without the rows.
        raise _wrapped(dialect, problem) from None
    return n


def _wrapped(dialect: Any, problem: psycopg.Error) -> Exception:
    if isinstance(problem, psycopg.DataError) and "NUL" in str(problem):
        return InvalidInput(NUL)
    wrapped: Exception = DBAPIError.instance(
        "COPY", None, problem, psycopg.Error, hide_parameters=True, dialect=dialect
    )
    return wrapped


def _peek(rows: Rows) -> tuple[list[dict[str, Any]], Iterable[dict[str, Any]]]:
    iterator = iter(rows)
    return list(islice(iterator, FEW)), iterator


def _is_postgresql(session: Session) -> bool:
    return session.get_bind().dialect.name == "postgresql"


def _table(table: type[Base]) -> Table:
    return cast("Table", table.__table__)


def _quoted(session: Session, name: str) -> str:
    return session.get_bind().dialect.identifier_preparer.quote(name)
