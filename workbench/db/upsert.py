"""Insert-or-add, in the one form that SQLite and PostgreSQL share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Insert
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from workbench.db.types import Base


def add_counts(
    session: Session,
    table: type[Base],
    rows: Sequence[dict[str, Any]],
    *,
    keys: Sequence[str],
    sums: Sequence[str],
) -> None:
    """Insert rows, or add their `sums` to the row that has the same `keys`.

    Rows should come sorted by key, so that two writers never wait for each other in a ring.
    """
    if not rows:
        return
    statement = _insert(session, table)
    statement = statement.on_conflict_do_update(
        index_elements=list(keys),
        set_={name: getattr(table, name) + statement.excluded[name] for name in sums},
    )
    session.execute(statement, list(rows))


def insert_new(
    session: Session, table: type[Base], rows: Sequence[dict[str, Any]], *, keys: Sequence[str]
) -> None:
    """Insert rows, leaving alone those whose `keys` are there already."""
    if rows:
        session.execute(_insert(session, table).on_conflict_do_nothing(index_elements=list(keys)), list(rows))


def replace_rows(
    session: Session,
    table: type[Base],
    rows: Sequence[dict[str, Any]],
    *,
    keys: Sequence[str],
    values: Sequence[str],
) -> None:
    """Insert rows, or set `values` of those whose `keys` are there already."""
    if rows:
        statement = _insert(session, table)
        statement = statement.on_conflict_do_update(
            index_elements=list(keys), set_={name: statement.excluded[name] for name in values}
        )
        session.execute(statement, list(rows))


def _insert(session: Session, table: type[Base]) -> Any:
    name = session.get_bind().dialect.name
    statement: Insert = postgresql.insert(table) if name == "postgresql" else sqlite.insert(table)
    return statement
