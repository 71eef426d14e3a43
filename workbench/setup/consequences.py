"""What a change of a project's document means, and what of it cannot be taken back."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from workbench.projects.domain import Change

_MONEY = ("budget", "pools", "suppliers")


@dataclass(frozen=True)
class Facts:
    """What a project holds already.

    Attributes:
        items: Whether anything was imported.
        answers: Answers people gave.
        lanes: Lanes that stand in Label Studio.
    """

    items: bool
    answers: int
    lanes: int


@dataclass(frozen=True)
class Consequence:
    """One thing to know before a change, and whether a change back would not undo it."""

    sentence: str
    is_final: bool = False


def consequences(changes: Iterable[Change], facts: Facts) -> list[Consequence]:
    """What these changes mean for what is there, each sentence once.

    >>> consequences([Change("title", "A", "B")], Facts(True, 3, 1))
    []
    """
    found: dict[Consequence, None] = {}
    for change in changes:
        found |= dict.fromkeys(_of(change, facts))
    return list(found)


def touches_money(changes: Iterable[Change]) -> bool:
    """Whether prices, currency or baseline are among the changes."""
    return any(change.path.startswith(_MONEY) for change in changes)


def _of(change: Change, facts: Facts) -> list[Consequence]:
    if _LABEL.fullmatch(change.path) and change.after is None:
        return [Consequence(f"{change.path}: goes from the annotators' screen; no answer carries it")]
    for paths, holds, sentence in _RULES:
        # A part that was not there before is one change, whatever it holds.
        touched = any(change.path.startswith(one) or one.startswith(f"{change.path}.") for one in paths)
        if touched and holds(facts):
            return [Consequence(sentence, is_final=True)]
    return []


_LABEL = re.compile(r"labels\[[^\]]*\]")
_RULES: tuple[tuple[tuple[str, ...], Callable[[Facts], bool], str], ...] = (
    (
        ("server",),
        lambda facts: facts.lanes > 0,
        "lanes stand on the server used so far: they are read on, but nothing more is sent there",
    ),
    (
        ("budget.currency",),
        lambda facts: facts.items,
        "what was booked stays in the currency it was booked in",
    ),
    (
        ("routing", "qa.adjudicator"),
        lambda facts: facts.items,
        "a new version of the routing policy decides from now on; what was decided stays decided",
    ),
    (("pools", "suppliers"), lambda facts: facts.items, "new prices hold from now on; what was paid stays"),
    (
        ("guideline",),
        lambda facts: facts.answers > 0,
        "answers given so far stay under the version of the guideline they were given by",
    ),
    (
        ("retention_days",),
        lambda facts: facts.items,
        "texts of items delivered longer ago than that are erased the next night, here and in Label Studio",
    ),
    (
        ("lead_time_cap_s",),
        lambda facts: facts.answers > 0,
        "answers given so far keep the time they were paid for",
    ),
)
