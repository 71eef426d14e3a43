"""Figures of one project as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from routing.agreement import FEWEST_ITEMS
from routing.intervals import wilson

MACHINE = "machine"
"""Source of a label that no person gave."""

ENOUGH_ITEMS = FEWEST_ITEMS
"""Below this many doubly answered items no agreement figure is shown."""


@dataclass(frozen=True)
class Share:
    """A share with what it was counted from; `low` and `high` are its 95% Wilson interval."""

    hits: int
    of: int

    @property
    def value(self) -> float | None:
        """The share, or None of nothing."""
        return self.hits / self.of if self.of else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson interval at 95%, or None of nothing."""
        if not self.of:
            return None
        low, high = wilson(self.hits, self.of)
        return low, high

    def to_json(self) -> dict[str, Any]:
        """Value, counts and interval."""
        low, high = self.interval or (None, None)
        return {"value": self.value, "hits": self.hits, "of": self.of, "low": low, "high": high}


@dataclass(frozen=True)
class Coefficient:
    """An agreement figure with its 95% bootstrap interval over items."""

    value: float
    low: float | None
    high: float | None

    def to_json(self) -> dict[str, float | None]:
        """Value and interval."""
        return {"value": self.value, "low": self.low, "high": self.high}


@dataclass(frozen=True)
class Agreement:
    """How far people agree beyond chance on items with at least two blind answers.

    Attributes:
        n_items: Items with at least two blind answers.
        alpha: Krippendorff's alpha for unordered labels; None below `ENOUGH_ITEMS`.
        ac1: Gwet's AC1; None below `ENOUGH_ITEMS`.
    """

    n_items: int
    alpha: Coefficient | None
    ac1: Coefficient | None

    @property
    def enough(self) -> bool:
        """Whether there are items enough for a figure."""
        return self.n_items >= ENOUGH_ITEMS


@dataclass(frozen=True)
class PairAgreement:
    """Two persons' blind answers to the same items; `kappa` is Cohen's, None where chance leaves no room."""

    person_a: str
    person_b: str
    same: Share
    kappa: float | None


@dataclass(frozen=True)
class ModelAgreement:
    """How often people's answers equal one model version's prediction, blind and shown apart."""

    model_version_id: int
    name: str
    blind: Share
    shown: Share


@dataclass(frozen=True)
class LabelAgreement:
    """One label of a model version against blind answers.

    Attributes:
        label: The label.
        right: Answers that equal it, of those where the model said it (precision).
        found: Answers where the model said it, of those where a person did (recall).
    """

    label: str
    right: Share
    found: Share

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {"label": self.label, "right": self.right.to_json(), "found": self.found.to_json()}


@dataclass(frozen=True)
class CostOfKind:
    """Sum of the ledger for one kind of cost."""

    kind: str
    amount: Decimal
    entries: int


@dataclass(frozen=True)
class PersonFigures:
    """One person's work in a project.

    Attributes:
        person_id: The person.
        name: As shown.
        annotations: Answers that can be used: counted and above overlap.
        counted: Of them, those that count as overlap.
        above_overlap: Of them, extra answers, paid and used for agreement.
        skipped: Items passed on without an answer.
        not_counted: Answers kept with a reason why they do not count.
        lead_time_mean_s: Mean of the capped lead time; None where none was measured.
        lead_time_median_s: Median over the newest answers; None where none was measured.
        per_hour: Answers per hour of capped lead time.
        by_hour: Answers by UTC hour.
    """

    person_id: int
    name: str
    annotations: int
    counted: int
    above_overlap: int
    skipped: int
    not_counted: int
    lead_time_mean_s: float | None
    lead_time_median_s: float | None
    per_hour: float | None
    by_hour: Mapping[datetime, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Resolved:
    """Items resolved in one period, by the machine and by people."""

    start: datetime
    machine: int
    people: int


@dataclass(frozen=True)
class Point:
    """What was resolved and spent in one step of time."""

    start: datetime
    machine: int
    people: int
    cost: float


@dataclass(frozen=True)
class Rate:
    """Items per hour between the first and the last resolution; None with fewer than two of them."""

    all: float | None
    people: float | None
    machine: float | None
    hours: float
    by_hour: tuple[Resolved, ...]
    by_day: tuple[Resolved, ...]


@dataclass(frozen=True)
class QueueAge:
    """Items that wait for people or are being labeled, by how long they stand in their state."""

    open_items: int
    oldest_s: float | None
    buckets: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class ErrorAgainstReference:
    """Share of resolved labels that differ from labels known from elsewhere."""

    all: Share
    machine: Share
    people: Share


@dataclass(frozen=True)
class Confusion:
    """People's answers against predictions: counts[predicted][given], labels in the project's order."""

    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    blind: bool

    @property
    def answers(self) -> int:
        """All answers in it."""
        return sum(map(sum, self.counts))
