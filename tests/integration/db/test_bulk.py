"""One call for many rows on both databases."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from tests.factories import NOW, make_items, make_project
from workbench.db import bulk
from workbench.db.bulk import insert_many, upsert_many
from workbench.errors import InvalidInput
from workbench.items.tables import ItemCountRow, ItemMoveRow
from workbench.outside import Outside
from workbench.tallies.tables import LedgerRow

ODD = "tab\t, line\n, back\\slash \\N, quote \"', ümlaut, 😀, \\.\n"


@pytest.fixture
def facts(outside: Outside) -> tuple[int, int]:
    with outside.db.write() as session:
        project = make_project(session)
        [item] = make_items(session, project, 1)
        return project.id, item.id


def moves(facts: tuple[int, int], n: int) -> list[dict[str, Any]]:
    project_id, item_id = facts
    return [
        {
            "project_id": project_id, "item_id": item_id, "from_state": "", "to_state": "imported", "at": NOW,
            "actor": "t", "reason": f"{i} {ODD}", "because": {"n": i, "text": ODD, "none": None},
        }
        for i in range(n)
    ]  # fmt: skip


@pytest.mark.parametrize("n", [0, 1, bulk.FEW - 1, bulk.FEW, 1000])
def test_all_kinds_of_values_come_back_as_they_were(outside: Outside, facts: tuple[int, int], n: int) -> None:
    given = moves(facts, n)
    with outside.db.write(project=facts[0]) as session:
        assert insert_many(session, ItemMoveRow, iter(given)) == n
    with outside.db.read() as session:
        rows = session.scalars(select(ItemMoveRow).order_by(ItemMoveRow.id)).all()
        assert [(row.reason, row.because, row.at) for row in rows] == [
            (one["reason"], one["because"], NOW) for one in given
        ]


def test_money_and_what_is_empty(outside: Outside, facts: tuple[int, int]) -> None:
    rows = [
        {
            "project_id": facts[0], "item_id": None, "person_id": None, "source_kind": "t", "source_id": str(i),
            "rate_card_id": 0, "sequence": 0, "kind": "t", "quantity": Decimal(1), "unit": "item",
            "amount": Decimal("-0.000001") * i, "currency": "USD", "at": NOW, "note": "",
        }
        for i in range(200)
    ]  # fmt: skip
    with outside.db.write() as session:
        insert_many(session, LedgerRow, rows)
    with outside.db.read() as session:
        assert sorted(session.scalars(select(LedgerRow.amount))) == sorted(row["amount"] for row in rows)


@pytest.mark.parametrize("n", [10, 500])
def test_what_is_there_stays_or_is_brought_up_to_date(
    outside: Outside, facts: tuple[int, int], n: int
) -> None:
    first = [{"project_id": facts[0], "state": f"s{i}", "items": i} for i in range(n)]
    with outside.db.write() as session:
        upsert_many(session, ItemCountRow, first, keys=["project_id", "state"])
        again = [row | {"items": -1} for row in first[: n // 2]]
        more = [{"project_id": facts[0], "state": f"t{i}", "items": 7} for i in range(n)]
        upsert_many(session, ItemCountRow, again + more, keys=["project_id", "state"])
        changed = [row | {"items": 1000 + row["items"]} for row in first]
        upsert_many(session, ItemCountRow, changed, keys=["project_id", "state"], update=["items"])
    with outside.db.read() as session:
        found = dict(session.execute(select(ItemCountRow.state, ItemCountRow.items)).all())
    assert {state: found[state] for state in found if state.startswith("s")} == {
        f"s{i}": 1000 + i for i in range(n)
    }
    assert sum(items == 7 for items in found.values()) == n


@pytest.mark.parametrize("n", [2, 500])
def test_one_bad_row_and_none_is_there(outside: Outside, facts: tuple[int, int], n: int) -> None:
    rows = [{"project_id": facts[0], "state": f"s{i}", "items": i} for i in range(n)]

    def insert_twice() -> None:
        with outside.db.write() as session:
            insert_many(session, ItemCountRow, [*rows, rows[0]])

    with pytest.raises(IntegrityError):
        insert_twice()
    with outside.db.read() as session:
        assert session.scalars(select(ItemCountRow.state).where(ItemCountRow.state.like("s%"))).all() == []


@pytest.mark.parametrize("n", [1, 500])
@pytest.mark.parametrize("where", ["reason", "because"])
def test_a_nul_character_is_refused(outside: Outside, facts: tuple[int, int], n: int, where: str) -> None:
    rows = moves(facts, n)
    rows[-1][where] = "a\x00b" if where == "reason" else {"deep": ["a\x00b"]}

    def insert() -> None:
        with outside.db.write() as session:
            insert_many(session, ItemMoveRow, rows)

    with pytest.raises(InvalidInput, match="NUL"):
        insert()
    with outside.db.read() as session:
        assert session.scalars(select(ItemMoveRow.id)).all() == []
