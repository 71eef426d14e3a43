"""Sessions that see one supplier's rows alone: the tenant key, added to every query by one mechanism.

A table says whose its rows are with `__tenant__`:

    class LaneRow(Base):
        __tenant__ = Own()                                  # its `supplier_id`
    class HourTallyRow(Base):
        __tenant__ = Through(("person_id",), "persons")     # its person's

`Database.read(tenant=7)` opens a session that adds the condition to every query, in subqueries and joins too,
and refuses what it cannot narrow: tables without such a mark, columns that are not for suppliers, plain SQL,
and every change. On PostgreSQL row-level security says the same once more, below this process
(`migrations/versions/0003_guards.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NoReturn

from sqlalchemy import ColumnElement, Engine, Table, and_, event, inspect, literal, select, text
from sqlalchemy.orm import ORMExecuteState, Session, with_loader_criteria
from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import ColumnClause, TextClause
from sqlalchemy.sql.selectable import Alias, Join, Select

from workbench.db.types import Base

ROLE = "workbench_supplier"
"""The role of PostgreSQL under which such sessions run, where the application may take it."""


@dataclass(frozen=True)
class Own:
    """Rows belong to the supplier named by a column."""

    column: str = "supplier_id"
    only: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Through:
    """Rows are a supplier's where each of `columns` is the `key` of one of its rows of `table`.

    Attributes:
        columns: Columns of this table.
        table: A table whose rows carry `supplier_id`.
        key: The column of that table.
        only: The columns a supplier's session may use; empty for all.
    """

    columns: tuple[str, ...]
    table: str
    key: str = "id"
    only: frozenset[str] = frozenset()


class OutsideTenant(Exception):
    """A query that cannot be narrowed to one supplier: a mistake in our code."""


class TenantSession(Session):
    """A session of one supplier: reads its rows, changes nothing."""

    tenant: int

    def get(self, entity: Any, ident: Any, **_: Any) -> Any:
        """The supplier's row of that key, or None; asked as a query, so that it is narrowed."""
        keys = inspect(entity).mapper.primary_key
        wanted = ident if isinstance(ident, tuple) else (ident,)
        columns = [getattr(entity, key.name) for key in keys]
        return self.scalar(
            select(entity).where(*(column == value for column, value in zip(columns, wanted, strict=True)))
        )

    def connection(self, *_: Any, **__: Any) -> NoReturn:
        """Not to be had: what runs on a bare connection is not narrowed."""
        raise OutsideTenant("a supplier's session hands out no connection; write the query with select()")

    def flush(self, objects: Any = None) -> None:
        """Nothing can be changed.

        Raises:
            OutsideTenant: Something was.
        """
        if self.new or self.deleted or self._dirty_states:
            raise OutsideTenant("a supplier's session changes nothing; write through Database.write()")
        super().flush(objects)


def tenant_session(engine: Engine, supplier_id: int) -> TenantSession:
    """A session that sees this supplier's rows; close it, or use it in a `with` block."""
    session = TenantSession(engine, expire_on_commit=False, autoflush=False)
    session.tenant = int(supplier_id)
    if engine.dialect.name == "postgresql":
        try:
            _step_down(session, engine)
        except BaseException:
            session.close()
            raise
    return session


def _step_down(session: TenantSession, engine: Engine) -> None:
    """Binds the transaction to the tenant; both settings end with it, so none is left on the connection."""
    connection = Session.connection(session)
    connection.execute(
        text("SELECT set_config('workbench.supplier', :id, true)"), {"id": str(session.tenant)}
    )
    if may_take_role(engine):
        connection.execute(text(f"SET LOCAL ROLE {ROLE}"))


@lru_cache(maxsize=32)
def may_take_role(engine: Engine) -> bool:
    """Whether the application's user can take the suppliers' role on this PostgreSQL."""
    with engine.connect() as connection:
        return bool(
            connection.scalar(
                text(
                    "SELECT coalesce((SELECT pg_has_role(current_user, oid, 'MEMBER') FROM pg_roles"
                    " WHERE rolname = :role), false)"
                ),
                {"role": ROLE},
            )
        )


@event.listens_for(TenantSession, "do_orm_execute")
def narrow(state: ORMExecuteState) -> None:
    """Adds the tenant's condition to a query of such a session, or refuses it."""
    session = state.session
    if not isinstance(session, TenantSession):
        return
    if not state.is_select or not isinstance(state.statement, Select):
        raise OutsideTenant("a supplier's session takes select() statements of mapped classes alone")
    check(state.statement)
    state.statement = state.statement.options(
        *(
            with_loader_criteria(mapped, condition(mapped, session.tenant), include_aliases=True)
            for mapped in marked()
        )
    )


def check(statement: Select[Any]) -> None:
    """Refuses a statement that touches what is not marked, in whatever part of it.

    Raises:
        OutsideTenant: It does.
    """
    if _plugin(statement) != "orm":
        raise OutsideTenant("a supplier's session takes selects of mapped classes alone")
    marks = _marks()
    for part in visitors.iterate(statement):
        if isinstance(part, TextClause):
            raise OutsideTenant("a supplier's session takes no SQL as text")
        if isinstance(part, Select):
            if _plugin(part) != "orm" and part.get_final_froms():
                raise OutsideTenant("a part of this query begins with no mapped class, so it is not narrowed")
            for table, mapped in _named(part):
                _check_name(marks, table, mapped=mapped)
        elif isinstance(part, ColumnClause):
            _check_column(marks, part)
    _check_entities(statement)


def _check_entities(statement: Select[Any]) -> None:
    for described in statement.column_descriptions:
        entity = described["entity"]
        if entity is not None and described["expr"] is entity:
            mark = inspect(entity).mapper.class_.__tenant__
            if mark.only:
                raise OutsideTenant(f"name the columns of {described['name']} that are wanted, not all of it")


def _plugin(statement: Select[Any]) -> object:
    # SQLAlchemy tells in no other place whether a select is of mapped classes.
    return statement._propagate_attrs.get("compile_state_plugin")  # noqa: SLF001


def _named(statement: Select[Any]) -> Iterator[tuple[Table, bool]]:
    """The tables that a select names as such (selects, selects from, joins), and whether by their class."""
    wanted: list[Any] = [*statement._raw_columns, *statement._from_obj]  # noqa: SLF001
    wanted += [target for target, *_ in statement._setup_joins]  # noqa: SLF001
    while wanted:
        one = wanted.pop()
        if isinstance(one, Join):
            wanted += [one.left, one.right]
        elif isinstance(one, Alias | Table):
            mapped = "parententity" in one._annotations  # noqa: SLF001
            table = _below(one)
            if isinstance(table, Table):
                yield table, mapped


def _below(table: Any) -> Any:
    while isinstance(table, Alias):
        table = table.element
    return table


def _check_name(marks: dict[str, Own | Through], table: Table, *, mapped: bool) -> Own | Through:
    mark = marks.get(table.name)
    if mark is None or not mapped:
        raise OutsideTenant(f"a supplier's session does not read the table {table.name} this way")
    return mark


def _check_column(marks: dict[str, Own | Through], column: ColumnClause[Any]) -> None:
    if column.is_literal and column.name != "*":
        raise OutsideTenant("a supplier's session takes no SQL as text")
    table = _below(column.table)
    if not isinstance(table, Table):
        return
    mark = _check_name(marks, table, mapped="parententity" in column._annotations)  # noqa: SLF001
    if mark.only and column.name not in mark.only:
        raise OutsideTenant(f"a supplier's session does not read {table.name}.{column.name}")


def condition(mapped: type[Base], tenant: int) -> ColumnElement[bool]:
    """What makes a row of this class the supplier's."""
    mark: Own | Through = mapped.__tenant__  # type: ignore[attr-defined]
    if isinstance(mark, Own):
        return getattr(mapped, mark.column) == literal(tenant)  # type: ignore[no-any-return]
    via = Base.metadata.tables[mark.table]
    own = select(via.c[mark.key]).where(via.c.supplier_id == literal(tenant))
    return and_(*(getattr(mapped, column).in_(own) for column in mark.columns))


def marked() -> list[type[Base]]:
    """Every mapped class with a tenant mark."""
    classes = [mapper.class_ for mapper in Base.registry.mappers]
    return sorted(
        (one for one in classes if getattr(one, "__tenant__", None) is not None),
        key=lambda one: str(one.__tablename__),
    )


def _marks() -> dict[str, Own | Through]:
    return {str(one.__tablename__): one.__tenant__ for one in marked()}  # type: ignore[attr-defined]
