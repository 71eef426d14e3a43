"""A routing policy as frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

from routing.expressions.tree import Always, Condition


class Stage(StrEnum):
    """What people are asked to do with an item."""

    LABEL = "label"
    REVIEW = "review"
    ADJUDICATE = "adjudicate"


STAGES = tuple(Stage)
"""The order in which decisions count stages."""


@dataclass(frozen=True, slots=True)
class Accept:
    """The machine's label stands."""


@dataclass(frozen=True, slots=True)
class ToPeople:
    """People label the item.

    Attributes:
        pool: Name of the group of annotators; None for the project's own.
        stage: What they are asked to do.
        overlap: Annotations wanted, from different people.
        show_suggestion: Whether they see the model's answer.
        priority: 0 to 100; higher is served first.
    """

    pool: str | None = None
    stage: Stage = Stage.LABEL
    overlap: int = 1
    show_suggestion: bool = True
    priority: int = 50


Target: TypeAlias = Accept | ToPeople


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of a policy: the first rule that holds for an item decides it.

    Attributes:
        name: How reasons and pages call it; unique in the policy.
        when: The condition.
        target: Where the item goes.
        implicit: True for the closing rule that `parse_policy` added itself.
    """

    name: str
    when: Condition
    target: Target
    implicit: bool = False

    @property
    def is_catch_all(self) -> bool:
        """Whether every item that comes this far ends here: it always holds, and it leads to people."""
        return self.when == Always(value=True) and isinstance(self.target, ToPeople)


@dataclass(frozen=True, slots=True)
class RoutingPolicy:
    """Ordered rules, the last of which takes every item left, and the shares of the two lotteries.

    Attributes:
        rules: First match decides; the last is a catch-all to people.
        audit_rate: Share of accepted items that people check, 0 to 1.
        blind_rate: Share of items on their way to labeling that are shown without suggestion, 0 to 1.
        audit_overlap: Annotations for an audited item; None for as many as the rule it would have met.
        blind_overlap: Annotations for an item of the blind arm; None for as many as its rule says.
        promise: The promise to be certified, kept as it was written; nothing here evaluates it.
        notes: What the reader of the policy should know, such as an added closing rule.
    """

    rules: tuple[Rule, ...]
    audit_rate: float = 0.0
    blind_rate: float = 0.0
    audit_overlap: int | None = None
    blind_overlap: int | None = None
    promise: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()

    @property
    def pools(self) -> tuple[str, ...]:
        """Every pool the rules name, in order of first mention; decisions count into this."""
        named = (rule.target.pool for rule in self.rules if isinstance(rule.target, ToPeople))
        return tuple(dict.fromkeys(pool for pool in named if pool is not None))
