"""The condition of a rule as a tree of small frozen values, and what each field may be compared with."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

Scalar: TypeAlias = str | bool | int | float
Value: TypeAlias = Scalar | tuple[Scalar, ...]


class Op(StrEnum):
    """How a field is compared."""

    LESS = "<"
    AT_MOST = "<="
    MORE = ">"
    AT_LEAST = ">="
    EQUAL = "=="
    NOT_EQUAL = "!="
    IN = "in"
    NOT_IN = "not in"


ORDERINGS = frozenset({Op.LESS, Op.AT_MOST, Op.MORE, Op.AT_LEAST})
MEMBERSHIPS = frozenset({Op.IN, Op.NOT_IN})
OPPOSITE = {
    Op.LESS: Op.AT_LEAST,
    Op.AT_LEAST: Op.LESS,
    Op.MORE: Op.AT_MOST,
    Op.AT_MOST: Op.MORE,
    Op.EQUAL: Op.NOT_EQUAL,
    Op.NOT_EQUAL: Op.EQUAL,
    Op.IN: Op.NOT_IN,
    Op.NOT_IN: Op.IN,
}

SCORES = ("confidence", "margin", "entropy")
TEXTS = ("label", "language", "region", "sensitivity")
FIELDS = (*SCORES, *TEXTS)
META = "meta."
DEEPEST = 40
"""Conditions nest at most this far; deeper ones are refused rather than risk the stack."""


@dataclass(frozen=True, slots=True)
class Always:
    """Holds for every item, or for none."""

    value: bool


@dataclass(frozen=True, slots=True)
class And:
    """Holds where all parts hold; two parts or more."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Holds where at least one part holds; two parts or more."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Holds where the part is known not to hold."""

    part: Condition


@dataclass(frozen=True, slots=True)
class Compare:
    """A field against one value, or against a list for `in` and `not in`."""

    field: str
    op: Op
    value: Value


@dataclass(frozen=True, slots=True)
class Missing:
    """Holds for items without a prediction."""


@dataclass(frozen=True, slots=True)
class RandomShare:
    """Holds for this share of all items, drawn by keyed hash; the same salt draws the same items."""

    share: float
    salt: str = ""


Condition: TypeAlias = Always | And | Or | Not | Compare | Missing | RandomShare


def is_number(value: object) -> bool:
    """True for whole and decimal numbers; false for true and false, which Python counts as numbers."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def comparison_problem(field: str, op: Op, value: Value) -> str | None:  # noqa: PLR0911 - one a problem
    """Why this comparison makes no sense, in one sentence, or None."""
    if (op in MEMBERSHIPS) != isinstance(value, tuple):
        return f"`{op}` needs a list" if op in MEMBERSHIPS else f"`{op}` compares with one value, not a list"
    values = value if isinstance(value, tuple) else (value,)
    if not values:
        return "the list is empty; name at least one value"
    if any(isinstance(one, float) and not math.isfinite(one) for one in values):
        return "numbers must be finite"
    if field in SCORES:
        return _score_problem(field, values)
    if field in TEXTS and not all(isinstance(one, str) for one in values):
        return f"`{field}` is text; put its value in quotes"
    if op in ORDERINGS and (field in TEXTS or isinstance(value, bool)):
        return f"`{op}` does not apply to `{field}`; use `==`, `!=`, `in` or `not in`"
    return None


def _score_problem(field: str, values: tuple[Scalar, ...]) -> str | None:
    for one in values:
        if isinstance(one, bool | str):
            return f"`{field}` is a number; compare it with one, such as 0.9"
        if one < 0 or (one > 1 and field != "entropy"):
            span = "upwards from 0" if field == "entropy" else "from 0 to 1 (0.9, not 90)"
            return f"`{field}` goes {span}; {one:g} is outside"
    return None


def labels_named(condition: Condition) -> tuple[str, ...]:
    """Every label the condition compares with, in reading order."""
    match condition:
        case And(parts) | Or(parts):
            return tuple(name for part in parts for name in labels_named(part))
        case Not(part):
            return labels_named(part)
        case Compare("label", _, value):
            values = value if isinstance(value, tuple) else (value,)
            return tuple(one for one in values if isinstance(one, str))
        case _:
            return ()
