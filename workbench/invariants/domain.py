"""What an invariant is, and what a look at one finds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

MOST_SHOWN = 1000
"""Violations of one invariant that are told apart; more are not looked for."""


@dataclass(frozen=True)
class Violation:
    """One place where an invariant does not hold.

    Attributes:
        where: The thing, as `item:12`, `lane:3`, `tally_costs:1`; the same thing is named alike each time.
        what: What is wrong with it, in snake case.
        sentence: What is wrong, for people; no item texts, no secrets.
        remedy: What to do about it.
    """

    where: str
    what: str
    sentence: str
    remedy: str

    @property
    def key(self) -> tuple[str, str]:
        """What two looks at the same trouble share."""
        return self.where, self.what


@dataclass(frozen=True)
class Found:
    """What one look at one invariant found.

    Attributes:
        checked: How many things were looked at.
        violations: At most `MOST_SHOWN`.
        left_out: Why something could not be looked at; empty where all was.
    """

    checked: int
    violations: Sequence[Violation] = ()
    left_out: str = ""


@dataclass(frozen=True)
class Result:
    """An invariant and how it stands.

    Attributes:
        key: Its number, as `I4`.
        promise: What must hold, in a sentence.
    """

    key: str
    promise: str
    checked: int
    violations: tuple[Violation, ...] = ()
    left_out: str = ""

    def value(self) -> dict[str, Any]:
        """The result as JSON values."""
        return asdict(self) | {"violations": [asdict(one) for one in self.violations]}


@dataclass
class Collected:
    """Counts what was looked at and keeps what was wrong, up to the most that is shown."""

    checked: int = 0
    violations: list[Violation] = field(default_factory=list)
    left_out: str = ""

    def add(self, where: str, what: str, sentence: str, remedy: str) -> None:
        """One more violation."""
        if len(self.violations) < MOST_SHOWN:
            self.violations.append(Violation(where, what, sentence, remedy))

    def found(self) -> Found:
        """The whole."""
        return Found(self.checked, tuple(self.violations), self.left_out)


def still_there(first: Iterable[Violation], second: Iterable[Violation]) -> tuple[Violation, ...]:
    """Violations of the second look that the first one saw too: what is only under way has moved on."""
    known = {one.key for one in first}
    return tuple(one for one in second if one.key in known)
