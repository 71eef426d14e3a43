"""What an annotation changes in cost, agreement and throughput: pure sums of before and after."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from itertools import combinations

MICRO = Decimal("0.000001")
HOUR_S = Decimal(3600)


class Status(StrEnum):
    """How an annotation counts."""

    COUNTED = "counted"
    ABOVE_OVERLAP = "above_overlap"
    SKIPPED = "skipped"
    NOT_COUNTED = "not_counted"
    DELETED = "deleted"


USED = frozenset({Status.COUNTED, Status.ABOVE_OVERLAP})


@dataclass(frozen=True)
class Fact:
    """What counts of one annotation at one moment."""

    annotation_id: int
    item_id: int
    person_id: int
    status: Status
    label: str
    blind: bool
    predicted: str
    model_version_id: int | None
    lead_time_s: float | None
    at: datetime

    @property
    def used(self) -> bool:
        """Whether its label is an answer: counted, or above the overlap."""
        return self.status in USED


@dataclass(frozen=True)
class Change:
    """One annotation before and after; None where it was or is not there."""

    before: Fact | None
    after: Fact | None


@dataclass(frozen=True)
class ItemAnswers:
    """All blind answers of one item, (person, label) each, before and after the changes."""

    before: tuple[tuple[int, str], ...]
    after: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class Rate:
    """A price that applies to an annotation."""

    card_id: int
    unit: str
    price: Decimal
    currency: str
    rank: int = 0
    valid_from: datetime | None = None
    valid_to: datetime | None = None

    def applies_at(self, at: datetime) -> bool:
        """Whether the price holds for work done at this moment."""
        return (self.valid_from is None or self.valid_from <= at) and (
            self.valid_to is None or at < self.valid_to
        )


def rates_at(rates: Sequence[Rate], at: datetime) -> list[Rate]:
    """The price of each unit at a moment: the highest in rank of those that hold, then the newest."""
    best: dict[str, Rate] = {}
    for rate in rates:
        known = best.get(rate.unit)
        if rate.applies_at(at) and (known is None or rate.rank >= known.rank):
            best[rate.unit] = rate
    return list(best.values())


def hour_of(at: datetime) -> datetime:
    """The start of the UTC hour."""
    return at.replace(minute=0, second=0, microsecond=0)


HOUR_SUMS = ("annotations", "counted", "above_overlap", "skipped", "not_counted", "lead_time_ms", "timed")


def hour_changes(
    changes: Iterable[Change], lead_time_cap_s: int
) -> dict[tuple[datetime, int], dict[str, int]]:
    """What to add to the hours, by (hour, person); lead times are capped."""
    sums: dict[tuple[datetime, int], Counter[str]] = {}
    for change in changes:
        for fact, sign in ((change.before, -1), (change.after, 1)):
            if fact is None or fact.status is Status.DELETED:
                continue
            row = sums.setdefault((hour_of(fact.at), fact.person_id), Counter())
            row["annotations"] += sign
            row[fact.status.value] += sign
            if fact.lead_time_s is not None and fact.status is not Status.NOT_COUNTED:
                row["lead_time_ms"] += sign * round(capped(fact.lead_time_s, lead_time_cap_s) * 1000)
                row["timed"] += sign
    return {key: {name: row[name] for name in HOUR_SUMS} for key, row in sums.items() if any(row.values())}


def pattern_changes(items: Iterable[ItemAnswers], labels: Sequence[str]) -> dict[str, int]:
    """What to add to the number of items by pattern; a pattern has at least two answers."""
    sums: Counter[str] = Counter()
    for item in items:
        for answers, sign in ((item.before, -1), (item.after, 1)):
            pattern = pattern_of(answers, labels)
            if pattern is not None:
                sums[pattern] += sign
    return {pattern: n for pattern, n in sums.items() if n}


def pattern_of(answers: Sequence[tuple[int, str]], labels: Sequence[str]) -> str | None:
    """Answers per label in the project's order, one per person; None below two answers.

    >>> pattern_of([(1, "a"), (2, "b"), (3, "b")], ["a", "b"])
    '1,2'
    """
    given = Counter(dict(answers).values())
    counts = [given[label] for label in labels]
    return ",".join(map(str, counts)) if sum(counts) >= 2 else None  # noqa: PLR2004 - a pair is two


def pair_changes(items: Iterable[ItemAnswers]) -> dict[tuple[int, int, str, str], int]:
    """What to add to the counts of pairs: (person, person, label, label), lower person first."""
    sums: Counter[tuple[int, int, str, str]] = Counter()
    for item in items:
        for answers, sign in ((item.before, -1), (item.after, 1)):
            for (one, label), (other, label_of_other) in combinations(sorted(dict(answers).items()), 2):
                sums[one, other, label, label_of_other] += sign
    return {key: n for key, n in sums.items() if n}


def model_changes(changes: Iterable[Change]) -> dict[tuple[int, bool, str, str], int]:
    """What to add to the counts of model against people: (version, blind, predicted, given)."""
    sums: Counter[tuple[int, bool, str, str]] = Counter()
    for change in changes:
        for fact, sign in ((change.before, -1), (change.after, 1)):
            if fact is not None and fact.used and fact.model_version_id is not None and fact.predicted:
                sums[fact.model_version_id, fact.blind, fact.predicted, fact.label] += sign
    return {key: n for key, n in sums.items() if n}


def capped(lead_time_s: float, cap_s: int) -> float:
    """Seconds spent, within [0, cap]: the clock runs on while a tab is left open."""
    return min(max(lead_time_s, 0.0), float(cap_s))


def amount_due(fact: Fact | None, rate: Rate, lead_time_cap_s: int) -> tuple[Decimal, Decimal]:
    """Quantity (items or hours) and amount that an annotation earns under a rate.

    Answers above the overlap are paid: the server asked for them. Skipped ones earn time, not items.
    Answers that do not count (forged, doubled, unknown label) and deleted ones earn nothing.
    """
    nothing = (Decimal(0), Decimal(0))
    if fact is None:
        return nothing
    if rate.unit == "item":
        return (Decimal(1), rate.price.quantize(MICRO)) if fact.used else nothing
    if fact.lead_time_s is None or not (fact.used or fact.status is Status.SKIPPED):
        return nothing
    seconds = Decimal(str(round(capped(fact.lead_time_s, lead_time_cap_s), 3)))
    return (seconds / HOUR_S).quantize(MICRO), (seconds * rate.price / HOUR_S).quantize(MICRO)
