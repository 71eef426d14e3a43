"""I8: what is booked is what was earned, once."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import Integer, String, cast, exists, func, literal, or_, select
from sqlalchemy.orm import Session, aliased

from workbench.invariants.domain import MOST_SHOWN, Collected, Found
from workbench.labeling.tables import AnnotationRow, LaneRow, VisitRow
from workbench.outside import Outside
from workbench.people.store import find_pool, rate_cards_of
from workbench.prelabeling.tables import PredictionRow
from workbench.projects.tables import ProjectRow
from workbench.tallies.domain import Fact, Rate, Status, amount_due, rates_at
from workbench.tallies.store import booked, rates_by_card
from workbench.tallies.tables import CostTallyRow, LedgerRow

_CHUNK = 2000
_REMEDY = "book the difference as a correction; the ledger is never edited"


def ledger(session: Session, outside: Outside) -> Found:  # noqa: ARG001
    """I8: each answer and prediction is booked once, for what it earns; corrections are further lines.

    No cost without its answer or prediction, no payable answer or prediction without its cost, and the sums
    are the sums of the lines.
    """
    seen = Collected(session.scalar(select(func.count()).select_from(LedgerRow)) or 0)
    _gaps(session, seen)
    _without_source(session, seen)
    _machine(session, seen)
    for project in session.scalars(select(ProjectRow)):
        _people(session, project, seen)
    _sums(session, seen)
    return seen.found()


def _gaps(session: Session, seen: Collected) -> None:
    """Lines of one source and card are numbered from 0 without a gap: none was taken away."""
    same = (LedgerRow.source_kind, LedgerRow.source_id, LedgerRow.rate_card_id)
    rows = session.execute(
        select(*same)
        .group_by(*same)
        .having(or_(func.count() != func.max(LedgerRow.sequence) + 1, func.min(LedgerRow.sequence) != 0))
        .limit(MOST_SHOWN)
    )
    for kind, source, _ in rows:
        seen.add(
            f"{kind}:{source}", "lines_lost", f"lines of {kind} {source} are missing in the ledger", _REMEDY
        )


def _without_source(session: Session, seen: Collected) -> None:
    answer = exists().where(AnnotationRow.id == cast(LedgerRow.source_id, Integer))
    rows = session.scalars(
        select(LedgerRow.source_id).where(LedgerRow.source_kind == "annotation", ~answer).limit(MOST_SHOWN)
    )
    for source in rows:
        sentence = f"annotation {source} is paid and not there"
        seen.add(f"annotation:{source}", "cost_without_answer", sentence, _REMEDY)
    predictions = select(func.count()).select_from(PredictionRow)
    lines = select(func.count()).where(LedgerRow.source_kind == "prediction", LedgerRow.sequence == 0)
    made, paid = session.scalar(predictions) or 0, session.scalar(lines) or 0
    if paid > made:
        sentence = f"{paid} predictions are booked and {made} are there"
        seen.add("ledger:prediction", "cost_without_prediction", sentence, _REMEDY)


def _machine(session: Session, seen: Collected) -> None:
    line = aliased(LedgerRow)
    source = cast(PredictionRow.model_version_id, String) + literal(":") + cast(PredictionRow.item_id, String)
    same = (line.source_kind == "prediction") & (line.source_id == source) & (line.sequence == 0)
    rows = session.execute(
        select(PredictionRow.item_id, PredictionRow.model_version_id, line.id)
        .outerjoin(line, same)
        .where(or_(line.id.is_(None), line.amount != PredictionRow.cost))
        .limit(MOST_SHOWN)
    )
    for item_id, version, number in rows:
        what = "is not booked" if number is None else "is booked with another amount"
        sentence = f"the prediction of item {item_id} by model version {version} {what}"
        seen.add(f"prediction:{version}:{item_id}", "machine_cost", sentence, _REMEDY)


def _people(session: Session, project: ProjectRow, seen: Collected) -> None:
    rates: dict[int, list[Rate]] = {}
    for rows in _answers(session, project.id):
        lines = booked(session, "annotation", [str(row.id) for row, _ in rows])
        by_answer: defaultdict[str, list[int]] = defaultdict(list)
        for source, card in lines:
            by_answer[source].append(card)
        cards = rates_by_card(session, {card for _, card in lines})
        for row, pool_id in rows:
            if pool_id not in rates:
                rates[pool_id] = [
                    Rate(card.id, card.unit, card.price, card.currency, rank, card.valid_from, card.valid_to)
                    for rank, card in rate_cards_of(session, project.id, find_pool(session, pool_id))
                ]
            fact = _fact(row)
            paid = by_answer.get(str(row.id), [])
            for card_id in paid:
                _amount(project, fact, cards.get(card_id), lines[str(row.id), card_id], seen)
            due = [rate for rate in rates_at(rates[pool_id], fact.at) if rate.price]
            units = {cards[card].unit for card in paid if card in cards}
            for rate in due:
                if rate.unit not in units and amount_due(fact, rate, project.lead_time_cap_s)[0]:
                    sentence = f"annotation {row.id} is worth {rate.price} {rate.currency} and not booked"
                    seen.add(f"annotation:{row.id}", "unpaid", sentence, _REMEDY)
        session.expunge_all()


def _amount(
    project: ProjectRow, fact: Fact, rate: Rate | None, lines: Sequence[LedgerRow], seen: Collected
) -> None:
    if rate is None:
        return
    _, amount = amount_due(fact, rate, project.lead_time_cap_s)
    kept = sum((line.amount for line in lines), Decimal(0))
    if kept != amount:
        sentence = f"annotation {fact.annotation_id} earns {amount} {rate.currency} and {kept} are booked"
        seen.add(f"annotation:{fact.annotation_id}", "wrong_amount", sentence, _REMEDY)


def _answers(session: Session, project_id: int) -> Iterator[Sequence[Any]]:
    after = 0
    while True:
        rows = session.execute(
            select(AnnotationRow, LaneRow.pool_id)
            .join(VisitRow, VisitRow.id == AnnotationRow.visit_id)
            .join(LaneRow, LaneRow.id == VisitRow.lane_id)
            .where(AnnotationRow.project_id == project_id, AnnotationRow.id > after)
            .order_by(AnnotationRow.id)
            .limit(_CHUNK)
        ).all()
        if not rows:
            return
        yield rows
        after = after if not rows else rows[-1][0].id


def _fact(row: AnnotationRow) -> Fact:
    return Fact(
        annotation_id=row.id,
        item_id=row.item_id,
        person_id=row.person_id or 0,
        status=Status.DELETED if row.deleted_at else Status(row.status),
        label=row.label,
        blind=row.blind,
        predicted=row.predicted,
        model_version_id=row.model_version_id,
        lead_time_s=row.lead_time_s,
        at=row.created_at,
    )


def _sums(session: Session, seen: Collected) -> None:
    kept: Counter[tuple[int, str, str]] = Counter()
    for row in session.scalars(select(CostTallyRow)):
        kept[row.project_id, row.kind, row.currency] += int(row.amount * 1_000_000)
    same = (LedgerRow.project_id, LedgerRow.kind, LedgerRow.currency)
    counted = {
        (project, kind, currency): int(amount * 1_000_000)
        for project, kind, currency, amount in session.execute(
            select(*same, func.sum(LedgerRow.amount)).group_by(*same)
        )
    }
    for key in {*kept, *counted}:
        if kept.get(key, 0) != counted.get(key, 0):
            project, kind, currency = key
            sentence = (
                f"the ledger of project {project} adds up to {counted.get(key, 0) / 1_000_000:.6f} "
                f"{currency} for {kind}, and the kept sum says {kept.get(key, 0) / 1_000_000:.6f}"
            )
            seen.add(f"project:{project}:{kind}", "sum_differs", sentence, "the ledger is right; see I15")
