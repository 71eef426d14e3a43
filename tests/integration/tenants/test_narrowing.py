"""A supplier's session sees its rows and refuses what it cannot narrow, in whatever shape a query comes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import exists, func, literal_column, select, text, union_all, update
from sqlalchemy.orm import Session, aliased

from tests.factories import make_pool, make_project
from workbench.auth.tables import UserRow
from workbench.db.tenancy import OutsideTenant, marked
from workbench.items.tables import ItemPartRow, ItemRow
from workbench.labeling.tables import LaneRow
from workbench.outside import Outside
from workbench.people.tables import PersonRow, PoolRow, ServerRow, SupplierRow
from workbench.projects.tables import ProjectRow


@pytest.fixture
def two(outside: Outside) -> tuple[Outside, int, int]:
    with outside.db.write() as session:
        make_project(session)
        ids = []
        for key in ("acme", "bolt"):
            row = SupplierRow(key=key, name=key.title(), time_zone="UTC")
            session.add(row)
            session.flush()
            ids.append(row.id)
            make_pool(session, f"{key}-pool", supplier_id=row.id)
            for n in range(3):
                session.add(
                    PersonRow(
                        public_id=f"{key}{n}", name=f"{key} {n}", email=f"{n}@{key}.example",
                        supplier_id=row.id, active=True, created_at=outside.now(),
                    )
                )  # fmt: skip
    return outside, ids[0], ids[1]


Q = Callable[[Session], Any]
other = aliased(PersonRow)
inner = select(PersonRow.id).subquery()
cte = select(PersonRow.id, PersonRow.name).cte()

SHAPES: dict[str, Q] = {
    "entities": lambda s: len(s.scalars(select(PersonRow)).all()),
    "columns": lambda s: len(s.execute(select(PersonRow.id, PersonRow.name)).all()),
    "count": lambda s: s.scalar(select(func.count(PersonRow.id))),
    "select_from": lambda s: s.scalar(select(func.count()).select_from(PersonRow)),
    "alias": lambda s: len(s.scalars(select(other)).all()),
    "subquery": lambda s: s.scalar(select(func.count()).where(PersonRow.id.in_(select(PersonRow.id)))),
    "from subquery": lambda s: s.scalar(select(func.count(inner.c.id)).select_from(inner)),
    "from cte": lambda s: len(s.execute(select(cte.c.id, PoolRow.id).join(PoolRow, PoolRow.id > 0)).all()),
    "scalar subquery": lambda s: s.scalar(
        select(select(func.count(PersonRow.id)).scalar_subquery()).select_from(PoolRow)
    ),
    "join": lambda s: len(
        s.execute(select(PersonRow, PoolRow).join(PoolRow, PoolRow.id > 0)).all()
    ),
    "outer join": lambda s: s.scalar(
        select(func.count(PersonRow.id)).select_from(PoolRow).outerjoin(PersonRow, PersonRow.id > 0)
    ),
    "query": lambda s: s.query(PersonRow).count(),
    "group by": lambda s: sum(n for _, n in s.execute(select(PersonRow.supplier_id, func.count()).group_by(PersonRow.supplier_id))),
    "or true": lambda s: len(s.scalars(select(PersonRow).where((PersonRow.id > 0) | (PersonRow.supplier_id > 0))).all()),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_query_sees_own_rows_alone(two: tuple[Outside, int, int], shape: str) -> None:
    outside, acme, _ = two
    with outside.db.read(tenant=acme) as session:
        try:
            assert SHAPES[shape](session) == 3
        except OutsideTenant:
            assert shape == "from subquery", shape  # refused is as good as narrowed


def test_existence_is_not_told(two: tuple[Outside, int, int]) -> None:
    outside, acme, bolt = two
    with outside.db.read() as session:
        theirs = session.scalar(select(PersonRow.id).where(PersonRow.supplier_id == bolt).limit(1))
    with outside.db.read(tenant=acme) as session:
        assert session.get(PersonRow, theirs) is None
        there = select(PoolRow.id).where(exists().where(PersonRow.id == theirs))
        with suppress(OutsideTenant):
            assert session.scalars(there).all() == []
        there = select(PoolRow.id).where(exists(select(PersonRow.id).where(PersonRow.id == theirs)))
        assert session.scalars(there).all() == []


REFUSED: dict[str, Q] = {
    "text": lambda s: s.execute(text("SELECT * FROM persons")),
    "core table": lambda s: s.execute(select(PersonRow.__table__)),
    "core column": lambda s: s.execute(select(PersonRow.__table__.c.name)),
    "core beside orm": lambda s: s.execute(
        select(PoolRow.id, PersonRow.__table__.c.name).where(PersonRow.__table__.c.id > 0)
    ),
    "core in exists": lambda s: s.execute(select(PoolRow.id).where(exists(select(PersonRow.__table__.c.id)))),
    "unmarked": lambda s: s.scalars(select(UserRow)).all(),
    "unmarked column": lambda s: s.execute(select(UserRow.email)).all(),
    "unmarked in subquery": lambda s: s.execute(select(PoolRow.id).where(PoolRow.id.in_(select(UserRow.id)))),
    "unmarked alias": lambda s: s.execute(select(aliased(UserRow).email)).all(),
    "unmarked get": lambda s: s.get(UserRow, 1),
    "unmarked parts": lambda s: s.execute(select(ItemPartRow.text)).all(),
    "whole project": lambda s: s.scalars(select(ProjectRow)).all(),
    "whole project alias": lambda s: s.scalars(select(aliased(ProjectRow))).all(),
    "project's key": lambda s: s.execute(select(ProjectRow.key)).all(),
    "sort by a hidden column": lambda s: s.execute(select(ProjectRow.id).order_by(ProjectRow.key)).all(),
    "filter by a hidden column": lambda s: s.execute(
        select(ItemRow.id).where(ItemRow.external_id == "x")
    ).all(),
    "server token": lambda s: s.execute(select(ServerRow.token)).all(),
    "union": lambda s: s.execute(union_all(select(PersonRow.id), select(UserRow.id))).all(),
    "union of own": lambda s: s.execute(union_all(select(PersonRow.id), select(LaneRow.id))).all(),
    "text in where": lambda s: s.execute(select(PersonRow.id).where(text("1=1"))).all(),
    "literal sql": lambda s: s.execute(
        select(literal_column("(SELECT count(*) FROM persons)")).select_from(PoolRow)
    ).all(),
    "update": lambda s: s.execute(update(PersonRow).values(name="x")),
    "connection": lambda s: s.connection().execute(text("SELECT * FROM persons")),
}


@pytest.mark.parametrize("shape", REFUSED)
def test_what_cannot_be_narrowed_is_refused(two: tuple[Outside, int, int], shape: str) -> None:
    outside, acme, _ = two
    with outside.db.read(tenant=acme) as session, pytest.raises(OutsideTenant):
        REFUSED[shape](session)


def test_nothing_is_written(two: tuple[Outside, int, int]) -> None:
    outside, acme, _ = two
    with outside.db.read(tenant=acme) as session:
        person = session.scalars(select(PersonRow)).first()
        assert person
        person.name = "changed"
        with pytest.raises(OutsideTenant):
            session.flush()


def test_every_table_of_people_has_said_whose_its_rows_are() -> None:
    names = {one.__tablename__ for one in marked()}
    assert {"users", "sessions", "api_tokens", "predictions", "decisions", "labels", "reference_labels",
            "item_parts", "jobs", "tally_costs", "tally_patterns", "tally_models"}.isdisjoint(names)  # fmt: skip
