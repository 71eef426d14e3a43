"""Queries on the ledger and the tallies."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from workbench.db.bulk import insert_many
from workbench.db.upsert import add_counts
from workbench.people.tables import PersonRow, RateCardRow
from workbench.tallies.domain import HOUR_SUMS, Rate
from workbench.tallies.tables import (
    CostTallyRow,
    HourTallyRow,
    LedgerRow,
    ModelTallyRow,
    PairTallyRow,
    PatternTallyRow,
)


def booked(
    session: Session, source_kind: str, source_ids: Sequence[str]
) -> dict[tuple[str, int], list[LedgerRow]]:
    """Ledger rows of these sources by (source, rate card), in sequence."""
    found: defaultdict[tuple[str, int], list[LedgerRow]] = defaultdict(list)
    for start in range(0, len(source_ids), 500):
        rows = session.scalars(
            select(LedgerRow)
            .where(
                LedgerRow.source_kind == source_kind,
                LedgerRow.source_id.in_(source_ids[start : start + 500]),
            )
            .order_by(LedgerRow.sequence)
        )
        for row in rows:
            found[row.source_id, row.rate_card_id].append(row)
    return found


def rates_by_card(session: Session, card_ids: Collection[int]) -> dict[int, Rate]:
    """The rates of cards, those that no longer apply too."""
    rows = session.scalars(select(RateCardRow).where(RateCardRow.id.in_(card_ids)))
    return {row.id: Rate(row.id, row.unit, row.price, row.currency) for row in rows}


def book(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Add ledger rows and their sums."""
    if not rows:
        return
    suppliers = _suppliers(session, rows)
    insert_many(
        session,
        LedgerRow,
        [row | {"supplier_id": suppliers(row["person_id"], row["rate_card_id"])} for row in rows],
    )
    sums: defaultdict[tuple[int, str, str], list[Decimal]] = defaultdict(list)
    for row in rows:
        sums[row["project_id"], row["kind"], row["currency"]].append(row["amount"])
    add_counts(
        session,
        CostTallyRow,
        [
            {
                "project_id": project_id,
                "kind": kind,
                "currency": currency,
                "amount": sum(amounts, Decimal(0)),
                "entries": len(amounts),
            }
            for (project_id, kind, currency), amounts in sorted(sums.items())
        ],
        keys=("project_id", "kind", "currency"),
        sums=("amount", "entries"),
    )


def _suppliers(session: Session, rows: Sequence[dict[str, Any]]) -> Callable[[int | None, int], int | None]:
    """Whose an amount is: the person's supplier's; where they have none, that of the price."""
    persons = {row["person_id"] for row in rows} - {None}
    cards = {row["rate_card_id"] for row in rows} - {0}
    of_person: dict[int, int | None] = {}
    of_card: dict[int, int | None] = {}
    for found, key, table in ((of_person, persons, PersonRow), (of_card, cards, RateCardRow)):
        if key:
            found.update(session.execute(select(table.id, table.supplier_id).where(table.id.in_(key))).all())
    return lambda person, card: of_person.get(person or 0) or of_card.get(card)


def add_hours(
    session: Session, project_id: int, changes: Mapping[tuple[datetime, int], Mapping[str, int]]
) -> None:
    """Add to the hours of persons (0: the machine)."""
    add_counts(
        session,
        HourTallyRow,
        [
            {"project_id": project_id, "hour": hour, "person_id": person_id}
            | {name: values.get(name, 0) for name in (*HOUR_SUMS, "resolved")}
            for (hour, person_id), values in sorted(changes.items())
        ],
        keys=("project_id", "hour", "person_id"),
        sums=(*HOUR_SUMS, "resolved"),
    )


def add_patterns(session: Session, project_id: int, changes: Mapping[str, int]) -> None:
    """Add to the number of items by pattern."""
    rows = [{"project_id": project_id, "pattern": p, "items": n} for p, n in sorted(changes.items())]
    add_counts(session, PatternTallyRow, rows, keys=("project_id", "pattern"), sums=("items",))


def add_pairs(session: Session, project_id: int, changes: Mapping[tuple[int, int, str, str], int]) -> None:
    """Add to the counts of pairs of persons."""
    names = ("person_a", "person_b", "label_a", "label_b")
    rows = [
        {"project_id": project_id, "items": n} | dict(zip(names, key, strict=True))
        for key, n in sorted(changes.items())
    ]
    add_counts(session, PairTallyRow, rows, keys=("project_id", *names), sums=("items",))


def add_model_answers(
    session: Session, project_id: int, changes: Mapping[tuple[int, bool, str, str], int]
) -> None:
    """Add to the counts of model against people."""
    names = ("model_version_id", "blind", "predicted", "given")
    rows = [
        {"project_id": project_id, "answers": n} | dict(zip(names, key, strict=True))
        for key, n in sorted(changes.items())
    ]
    add_counts(session, ModelTallyRow, rows, keys=("project_id", *names), sums=("answers",))


def item_costs(session: Session, item_ids: Sequence[int]) -> dict[int, Decimal]:
    """What has been booked on each item."""
    found: dict[int, Decimal] = dict.fromkeys(item_ids, Decimal(0))
    for start in range(0, len(item_ids), 500):
        rows = session.execute(
            select(LedgerRow.item_id, LedgerRow.amount).where(
                LedgerRow.item_id.in_(item_ids[start : start + 500])
            )
        )
        for item_id, amount in rows:
            if item_id is not None:
                found[item_id] += amount
    return found
