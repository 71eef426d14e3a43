"""What a supplier's lead is told, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from workbench.errors import InvalidInput


@dataclass(frozen=True)
class Work:
    """One project as its supplier is told of it."""

    project_id: int
    public_id: str
    title: str
    state: str
    time_zone: str
    currency: str
    due_at: datetime | None


@dataclass(frozen=True)
class Progress:
    """How a supplier's work on a project stands.

    Attributes:
        waiting: Tasks that wait for its people, in Label Studio or on the way there.
        today: Usable answers since midnight in the supplier's time zone.
        week: Usable answers of seven days, today among them.
        by_day: (day, usable answers), oldest first.
        lead_time_s: Mean time per answer over the week; None without any.
    """

    waiting: int = 0
    today: int = 0
    week: int = 0
    by_day: tuple[tuple[str, int], ...] = ()
    lead_time_s: float | None = None

    @property
    def pace(self) -> float:
        """Usable answers a day, over the seven days."""
        return self.week / 7


@dataclass(frozen=True)
class LaneLine:
    """One lane of the supplier's people."""

    public_id: str
    title: str
    stage: str
    waiting: int
    server: str
    is_open: bool


@dataclass(frozen=True)
class PersonLine:
    """One of the supplier's people, over the last seven days."""

    public_id: str
    name: str
    email: str
    active: bool
    pools: tuple[str, ...]
    answers: int
    skipped: int
    not_counted: int
    lead_time_s: float | None
    invitation: str


@dataclass(frozen=True)
class Amount:
    """What a kind of work has earned in a project."""

    kind: str
    currency: str
    amount: Decimal
    quantity: Decimal


@dataclass(frozen=True)
class Price:
    """A price that holds, held or will hold for a pool."""

    pool: str
    unit: str
    price: Decimal
    currency: str
    valid_from: datetime
    valid_to: datetime | None


class Column(StrEnum):
    """Columns of the list of a supplier's own answers, in order."""

    ITEM = "item"
    TASK = "task"
    PERSON = "person"
    LABEL = "label"
    STATUS = "status"
    LEAD_TIME_S = "lead_time_s"
    GIVEN_AT = "given_at"


def checked_domains(given: str) -> list[str]:
    """Domains of e-mail addresses, one a line or separated by commas.

    Raises:
        InvalidInput: One of them is none.
    """
    found = sorted({one.strip().lower().lstrip("@") for one in given.replace("\n", ",").split(",")} - {""})
    for one in found:
        if "." not in one or any(char in one for char in " @/:<>\"'") or len(one) > 190:  # noqa: PLR2004
            raise InvalidInput(f"{one[:60]!r} is not a domain; give one such as example.org")
    return found
