"""What is known of one item as plain values, and the sentence that says why it has its label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from workbench.overview.domain import MACHINE

COUNTED = "counted"


@dataclass(frozen=True)
class PredictionOf:
    """A model version's answer: every label with its probability, most probable first."""

    version: str
    label: str
    confidence: float | None
    margin: float | None
    entropy: float | None
    distribution: tuple[tuple[str, float], ...]
    failure: str
    cost: Decimal
    created_at: datetime


@dataclass(frozen=True)
class DecisionOf:
    """Where the item went in a round, and why, as far as that is public."""

    round: int
    outcome: str
    reason: str
    rule: str
    policy_version: int
    overlap: int
    decided_at: datetime


@dataclass(frozen=True)
class AnswerOf:
    """One annotation; `said_before` are its earlier labels.

    Whether the prediction was shown (`saw_prediction`) is None while the item is with people.
    """

    person: str
    label: str
    status: str
    reason: str
    lead_time_s: float | None
    saw_prediction: bool | None
    created_at: datetime
    deleted_at: datetime | None
    said_before: tuple[str, ...]


@dataclass(frozen=True)
class VisitOf:
    """One time the item went to people, with what they answered."""

    purpose: str
    lane: str
    round: int
    state: str
    overlap: int
    created_at: datetime
    answers: tuple[AnswerOf, ...]


@dataclass(frozen=True)
class LabelOf:
    """One revision of the final label, with where it came from."""

    revision: int
    label: str
    source: str
    method: str
    annotations: int
    share: float
    reason: str
    model: str
    policy_version: int | None
    resolved_at: datetime
    superseded_at: datetime | None


@dataclass(frozen=True)
class MoveOf:
    """One move from state to state."""

    from_state: str
    to_state: str
    at: datetime
    actor: str
    reason: str


@dataclass(frozen=True)
class CostOf:
    """One line of the ledger on this item."""

    kind: str
    quantity: Decimal
    unit: str
    amount: Decimal
    currency: str
    person: str
    at: datetime
    note: str


@dataclass(frozen=True)
class ItemHistory:
    """One item with everything known of it; `parts` is empty while its content is withheld.

    While it is `sealed` it is with people: why, by which rule and in which lane is told of none of them.
    """

    item_id: int
    public_id: str
    external_id: str
    state: str
    language: str
    region: str
    sensitivity: str
    round: int
    created_at: datetime
    withheld: bool
    sealed: bool
    parts: tuple[tuple[str, str], ...]
    metadata: dict[str, Any]
    predictions: tuple[PredictionOf, ...]
    decisions: tuple[DecisionOf, ...]
    visits: tuple[VisitOf, ...]
    labels: tuple[LabelOf, ...]
    moves: tuple[MoveOf, ...]
    costs: tuple[CostOf, ...]
    headline: str

    @property
    def label(self) -> LabelOf | None:
        """The label that stands now."""
        return next((one for one in self.labels if one.superseded_at is None), None)

    @property
    def cost(self) -> Decimal:
        """All that was spent on the item, by its lines in the ledger."""
        return sum((one.amount for one in self.costs), Decimal(0))


def headline_of(
    state: str,
    labels: Sequence[LabelOf],
    predictions: Sequence[PredictionOf],
    decisions: Sequence[DecisionOf],
    visits: Sequence[VisitOf],
) -> str:
    """Why the item has its label, or what it waits for, in one plain sentence."""
    current = next((one for one in labels if one.superseded_at is None), None)
    decision = decisions[-1] if decisions else None
    if current is not None and current.source == MACHINE:
        confidence = predictions[0].confidence if predictions else None
        sure = f" with confidence {confidence:.2f}" if confidence is not None else ""
        why = f" ({decision.reason})" if decision else ""
        model = current.model or "the model"
        return (
            f"“{current.label}”, because {model} predicted it{sure} and the routing policy accepted it{why}."
        )
    if current is not None:
        answers = [answer for visit in visits for answer in visit.answers if answer.label == current.label]
        names = sorted({one.person for one in answers if one.status == COUNTED and one.deleted_at is None})
        return _by_people(current, names, checked=decision is not None and decision.outcome == "accept")
    why = f" {decision.reason[0].upper()}{decision.reason[1:]}." if decision and decision.reason else ""
    waits = {
        "imported": "No label yet: it waits for a prediction.",
        "predicted": "No label yet: it is predicted and waits for the routing policy.",
        "accepted": "No label yet: it is accepted and about to be resolved.",
        "queued": "No label yet: it waits for people.",
        "in_labeling": "No label yet: it is in people's queue in Label Studio.",
        "annotated": "No label yet: people answered, and the answers are being combined.",
    }
    return waits.get(state, "No label yet.") + why


def _by_people(label: LabelOf, names: Sequence[str], *, checked: bool) -> str:
    agreeing = round(label.share * label.annotations)
    counted = f"{agreeing} of {label.annotations} counted {'answer' if label.annotations == 1 else 'answers'}"
    who = f" ({', '.join(names)})" if names else ""
    how = f"{counted} said so{who}"
    if label.method == "adjudication":
        how = f"people disagreed and adjudication decided: in the end {how}"
    check = " It was a blind check of a label that the machine would have kept." if checked else ""
    return f"“{label.label}”, because {how}.{check}"
