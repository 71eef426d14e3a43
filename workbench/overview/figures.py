"""Every figure of a project, counted once for page, API, command line and demo alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

from sqlalchemy.orm import Session

from workbench.items.domain import ItemState
from workbench.items.store import counts_by_state
from workbench.overview import store
from workbench.overview.agreement import agreement_of, confusion_of, models_of, pairs_of
from workbench.overview.domain import (
    MACHINE,
    Agreement,
    Confusion,
    CostOfKind,
    ErrorAgainstReference,
    ModelAgreement,
    PairAgreement,
    PersonFigures,
    QueueAge,
    Rate,
    Share,
)
from workbench.overview.throughput import BUCKETS, people_of, queue_age_of, rate_of


class ProjectOf(Protocol):
    """What the figures need to know of a project."""

    id: int
    key: str
    time_zone: str
    currency: str
    baseline_price: Decimal
    baseline_overlap: int
    lead_time_cap_s: int


@dataclass(frozen=True)
class Figures:
    """All figures of one project at one moment; `overview.definitions` says what each means."""

    project: str
    at: datetime
    items: int
    predicted: int
    accepted: int
    sent_to_people: int
    audited: int
    annotations_received: int
    above_overlap: int
    annotators: int
    resolved: int
    resolved_by_people: int
    agreement: Agreement
    pairs: tuple[PairAgreement, ...]
    models: tuple[ModelAgreement, ...]
    model_agreement: Share
    model_agreement_shown: Share
    confusion: Confusion
    cost_total: Decimal
    currency: str
    costs: tuple[CostOfKind, ...]
    other_currencies: Mapping[str, Decimal]
    baseline_price: Decimal
    baseline_overlap: int
    untouched: Share
    error: ErrorAgainstReference
    rate: Rate
    people: tuple[PersonFigures, ...]
    lead_time_mean_s: float | None
    queue: QueueAge
    states: Mapping[ItemState, int]

    @property
    def cost_per_label(self) -> Decimal | None:
        """Total cost by resolved items."""
        return self.cost_total / self.resolved if self.resolved else None

    @property
    def cost_baseline(self) -> Decimal:
        """What people alone would have cost for the same resolved items."""
        return self.baseline_price * self.baseline_overlap * self.resolved

    @property
    def money_saved(self) -> Decimal:
        """Baseline less cost; negative where the project costs more."""
        return self.cost_baseline - self.cost_total

    def headline(self) -> dict[str, Any]:
        """The figures by which a project is judged, as JSON values."""
        alpha = self.agreement.alpha
        return {
            "items": self.items,
            "predicted": self.predicted,
            "accepted": self.accepted,
            "sent_to_people": self.sent_to_people,
            "audited": self.audited,
            "annotations_received": self.annotations_received,
            "above_overlap": self.above_overlap,
            "annotators": self.annotators,
            "resolved": self.resolved,
            "agreement_alpha": _rounded(alpha.value if alpha else None, 4),
            "agreement_n": self.agreement.n_items,
            "model_human_agreement": _rounded(self.model_agreement.value, 4),
            "cost_total": _money(self.cost_total),
            "currency": self.currency,
            "saved_share": _rounded(self.untouched.value, 4),
            "error_vs_reference": _rounded(self.error.all.value, 4),
            "items_per_hour": _rounded(self.rate.all, 1),
        }

    def without_costs(self) -> dict[str, Any]:
        """All figures as JSON values for somebody who may not see money."""
        hidden = {"cost", "cost_total", "currency"}
        return {name: value for name, value in self.to_json().items() if name not in hidden}

    def to_json(self) -> dict[str, Any]:
        """All figures as JSON values; the headline ones under the same names as `headline`."""
        return {
            "project": self.project,
            "at": self.at.isoformat(),
            **self.headline(),
            "resolved_by_machine": self.accepted,
            "resolved_by_people": self.resolved_by_people,
            "states": {str(state): items for state, items in self.states.items()},
            "agreement": {
                "enough": self.agreement.enough,
                "alpha": self.agreement.alpha and self.agreement.alpha.to_json(),
                "ac1": self.agreement.ac1 and self.agreement.ac1.to_json(),
                "pairs": [
                    {"persons": [one.person_a, one.person_b], "same": one.same.to_json(), "kappa": one.kappa}
                    for one in self.pairs
                ],
            },
            "model_agreement": {
                "blind": self.model_agreement.to_json(),
                "shown": self.model_agreement_shown.to_json(),
                "versions": [
                    {"version": one.name, "blind": one.blind.to_json(), "shown": one.shown.to_json()}
                    for one in self.models
                ],
                "confusion": {
                    "labels": list(self.confusion.labels),
                    "counts": [list(row) for row in self.confusion.counts],
                    "blind": self.confusion.blind,
                },
            },
            "cost": self._cost_json(),
            "saved": self.untouched.to_json(),
            "error": {
                "all": self.error.all.to_json(),
                "machine": self.error.machine.to_json(),
                "people": self.error.people.to_json(),
            },
            "throughput": self._throughput_json(),
            "people": [_person_json(one) for one in self.people],
            "queue": {
                "open_items": self.queue.open_items,
                "oldest_s": self.queue.oldest_s,
                "buckets": [{"age": age, "items": items} for age, items in self.queue.buckets],
            },
        }

    def _cost_json(self) -> dict[str, Any]:
        return {
            "total": _money(self.cost_total),
            "currency": self.currency,
            "per_label": None if self.cost_per_label is None else _money(self.cost_per_label),
            "by_kind": [
                {"kind": one.kind, "amount": _money(one.amount), "entries": one.entries} for one in self.costs
            ],
            "other_currencies": {code: _money(amount) for code, amount in self.other_currencies.items()},
            "baseline": _money(self.cost_baseline),
            "baseline_price": _money(self.baseline_price),
            "baseline_overlap": self.baseline_overlap,
            "saved": _money(self.money_saved),
        }

    def _throughput_json(self) -> dict[str, Any]:
        def series(rows: Any) -> list[dict[str, Any]]:
            return [
                {"start": row.start.isoformat(), "machine": row.machine, "people": row.people} for row in rows
            ]

        return {
            "per_hour": _rounded(self.rate.all, 1),
            "per_hour_people": _rounded(self.rate.people, 1),
            "per_hour_machine": _rounded(self.rate.machine, 1),
            "hours": self.rate.hours,
            "by_hour": series(self.rate.by_hour),
            "by_day": series(self.rate.by_day),
            "lead_time_mean_s": self.lead_time_mean_s,
        }


def project_figures(session: Session, project: ProjectOf, now: datetime) -> Figures:
    """Every figure of a project as it stands in this session's snapshot."""
    states = counts_by_state(session, project.id)
    visited, audited = store.count_visited(session, project.id)
    resolved = store.resolved_counts(session, project.id)
    resolved_items = sum(one.items for one in resolved)
    accepted = sum(one.items for one in resolved if one.source == MACHINE)
    hours = store.hour_rows(session, project.id)
    pair_rows = store.pair_counts(session, project.id)
    person_ids = {row.person_id for row in hours} | {one for row in pair_rows for one in row[:2]}
    names = store.person_names(session, sorted(person_ids))
    labels = store.label_values(session, project.id)
    people = people_of(
        hours, names, store.newest_lead_times(session, project.id), float(project.lead_time_cap_s)
    )
    model_rows = store.model_counts(session, project.id)
    models = models_of(model_rows)
    costs = store.cost_sums(session, project.id)
    timed, lead_ms = sum(row.timed for row in hours), sum(row.lead_time_ms for row in hours)
    limits = [limit for _, limit in BUCKETS if limit is not None]
    return Figures(
        project=project.key,
        at=now,
        items=sum(states.values()),
        predicted=store.count_predicted(session, project.id),
        accepted=accepted,
        sent_to_people=visited,
        audited=audited,
        annotations_received=sum(one.annotations for one in people),
        above_overlap=sum(one.above_overlap for one in people),
        annotators=sum(1 for one in people if one.annotations),
        resolved=resolved_items,
        resolved_by_people=resolved_items - accepted,
        agreement=agreement_of(tuple(store.answer_patterns(session, project.id)), len(labels)),
        pairs=pairs_of(pair_rows, labels, names),
        models=models,
        model_agreement=_sum_shares(one.blind for one in models),
        model_agreement_shown=_sum_shares(one.shown for one in models),
        confusion=confusion_of(model_rows, labels),
        cost_total=sum((row[2] for row in costs if row[1] == project.currency), Decimal(0)),
        currency=project.currency,
        costs=tuple(
            CostOfKind(kind, amount, entries)
            for kind, currency, amount, entries in costs
            if currency == project.currency
        ),
        other_currencies=_other_currencies(costs, project.currency),
        baseline_price=project.baseline_price,
        baseline_overlap=project.baseline_overlap,
        untouched=Share(store.count_untouched(session, project.id), resolved_items),
        error=_error(store.reference_counts(session, project.id)),
        rate=rate_of(resolved, hours, project.time_zone),
        people=people,
        lead_time_mean_s=lead_ms / timed / 1000 if timed else None,
        queue=queue_age_of(*store.waiting_ages(session, project.id, now, limits), now),
        states=states,
    )


def _sum_shares(shares: Any) -> Share:
    listed = list(shares)
    return Share(sum(one.hits for one in listed), sum(one.of for one in listed))


def _other_currencies(costs: list[tuple[str, str, Decimal, int]], own: str) -> dict[str, Decimal]:
    others: dict[str, Decimal] = {}
    for _, currency, amount, _ in costs:
        if currency != own:
            others[currency] = others.get(currency, Decimal(0)) + amount
    return others


def _error(counts: list[tuple[str, int, int]]) -> ErrorAgainstReference:
    machine = _sum_shares(Share(wrong, items) for source, wrong, items in counts if source == MACHINE)
    people = _sum_shares(Share(wrong, items) for source, wrong, items in counts if source != MACHINE)
    return ErrorAgainstReference(_sum_shares([machine, people]), machine, people)


def _person_json(one: PersonFigures) -> dict[str, Any]:
    return {
        "name": one.name,
        "annotations": one.annotations,
        "counted": one.counted,
        "above_overlap": one.above_overlap,
        "skipped": one.skipped,
        "not_counted": one.not_counted,
        "lead_time_mean_s": _rounded(one.lead_time_mean_s, 2),
        "lead_time_median_s": _rounded(one.lead_time_median_s, 2),
        "per_hour": _rounded(one.per_hour, 1),
    }


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _money(amount: Decimal) -> float:
    """The amount as a JSON number; millionths survive it."""
    return float(round(amount, 6))
