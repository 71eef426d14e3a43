"""Cost, agreement and throughput, kept in the transaction of what causes them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy.orm import Session

from workbench.tallies import store
from workbench.tallies.domain import (
    Change,
    Fact,
    ItemAnswers,
    Rate,
    amount_due,
    hour_changes,
    hour_of,
    model_changes,
    pair_changes,
    pattern_changes,
    rates_at,
)

MACHINE = 0


def record_annotations(
    session: Session,
    project_id: int,
    changes: Sequence[Change],
    items: Sequence[ItemAnswers],
    *,
    labels: Sequence[str],
    rates: Sequence[Rate],
    lead_time_cap_s: int,
    now: datetime,
) -> None:
    """Bring all three trackers up to date with changed annotations.

    Args:
        session: The transaction that changes the annotations.
        project_id: Their project.
        changes: Each annotation before and after.
        items: The blind answers of each touched item, before and after.
        labels: The project's labels, in order.
        rates: The rate cards that apply.
        lead_time_cap_s: Longest time that one answer may count.
        now: When.
    """
    store.add_hours(session, project_id, hour_changes(changes, lead_time_cap_s))
    store.add_patterns(session, project_id, pattern_changes(items, labels))
    store.add_pairs(session, project_id, pair_changes(items))
    store.add_model_answers(session, project_id, model_changes(changes))
    _book(session, project_id, changes, rates, lead_time_cap_s, now)


def _book(
    session: Session,
    project_id: int,
    changes: Sequence[Change],
    rates: Sequence[Rate],
    lead_time_cap_s: int,
    now: datetime,
) -> None:
    """One line per (annotation, rate card); what changes later is a further line, never an edit."""
    facts: dict[str, tuple[Fact, Fact | None]] = {}
    for change in changes:
        known = change.after or change.before
        if known is not None:
            facts[str(known.annotation_id)] = (known, change.after)
    booked = store.booked(session, "annotation", list(facts))
    applied = {rate.card_id: rate for rate in rates}
    applied |= store.rates_by_card(session, {card for _, card in booked} - set(applied))
    rows: list[dict[str, Any]] = []
    for source_id, (known, after) in facts.items():
        earlier = [card for source, card in booked if source == source_id]
        paid = [applied[card] for card in earlier]
        units = {rate.unit for rate in paid}
        # What was booked under one card stays under it: a new price is for new answers, never a second pay.
        for rate in [*paid, *(rate for rate in rates_at(rates, known.at) if rate.unit not in units)]:
            lines = booked.get((source_id, rate.card_id), [])
            due, amount = amount_due(after, rate, lead_time_cap_s)
            quantity = due - sum((line.quantity for line in lines), Decimal(0))
            owed = amount - sum((line.amount for line in lines), Decimal(0))
            if owed or quantity:
                rows.append(
                    {
                        "project_id": project_id,
                        "item_id": known.item_id,
                        "person_id": known.person_id if known.person_id > 0 else None,
                        "source_kind": "annotation",
                        "source_id": source_id,
                        "rate_card_id": rate.card_id,
                        "sequence": len(lines),
                        "kind": f"human_{rate.unit}",
                        "quantity": quantity,
                        "unit": rate.unit,
                        "amount": owed,
                        "currency": rate.currency,
                        "at": known.at if not lines else now,
                        "note": "correction" if lines else "",
                    }
                )
    store.book(session, rows)


def machine_cost(
    session: Session,
    project_id: int,
    costs: Mapping[int, Decimal],
    *,
    source_id: str,
    currency: str,
    now: datetime,
    note: str,
) -> None:
    """Book what predictions cost, one line per item: `source_id` is the model version."""
    store.book(
        session,
        [
            {
                "project_id": project_id,
                "item_id": item_id,
                "person_id": None,
                "source_kind": "prediction",
                "source_id": f"{source_id}:{item_id}",
                "rate_card_id": 0,
                "sequence": 0,
                "kind": "machine",
                "quantity": Decimal(1),
                "unit": "item",
                "amount": cost,
                "currency": currency,
                "at": now,
                "note": note,
            }
            for item_id, cost in costs.items()
        ],
    )


def count_resolved(session: Session, project_id: int, *, machine: int, people: int, at: datetime) -> None:
    """Count items that got their final label: under the machine, or under people as a whole (-1)."""
    changes: defaultdict[tuple[datetime, int], dict[str, int]] = defaultdict(dict)
    if machine:
        changes[hour_of(at), MACHINE] = {"resolved": machine}
    if people:
        changes[hour_of(at), PEOPLE] = {"resolved": people}
    store.add_hours(session, project_id, changes)


PEOPLE = -1
