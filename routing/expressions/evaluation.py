"""Conditions over columns: which items they hold for."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from routing import sampling
from routing.errors import RoutingError
from routing.expressions.columns import Columns, ObjectArray
from routing.expressions.tree import (
    MEMBERSHIPS,
    META,
    ORDERINGS,
    SCORES,
    Always,
    And,
    Compare,
    Condition,
    Missing,
    Not,
    Op,
    Or,
    RandomShare,
    Scalar,
    Value,
)

BoolArray = npt.NDArray[np.bool_]
_Truth: TypeAlias = tuple[BoolArray, BoolArray]  # where it is known to hold, where it is known not to

_SIGNS: dict[Op, Callable[[Any, Any], Any]] = {
    Op.LESS: operator.lt,
    Op.AT_MOST: operator.le,
    Op.MORE: operator.gt,
    Op.AT_LEAST: operator.ge,
    Op.EQUAL: operator.eq,
    Op.NOT_EQUAL: operator.ne,
}


def evaluate(condition: Condition, columns: Columns, *, key: bytes | None = None) -> BoolArray:
    """Which items a condition holds for, shape (n_items,).

    A comparison with something missing (no confidence, a metadata field the item or the whole set lacks)
    is unknown, `not` of unknown stays unknown, and unknown counts as false in the end: as in SQL, neither
    `confidence >= 0.9` nor `not confidence < 0.9` ever holds without a confidence. Values of different
    kinds (text, number, true/false) are unequal, and neither is before the other.

    Args:
        condition: From `parse` or `from_document`.
        columns: The items.
        key: Secret of the lottery; needed only for `random_share`.

    Raises:
        RoutingError: The condition draws at random and no key was given.

    >>> from routing.expressions.text import parse
    >>> items = Columns.of(keys=[1, 2], labels=["spam"], predicted=[0, None], confidence=[0.9, None])
    >>> evaluate(parse("not confidence < 0.9"), items).tolist()
    [True, False]
    """
    return _truth(condition, columns, key)[0]


def _truth(condition: Condition, columns: Columns, key: bytes | None) -> _Truth:
    match condition:
        case And(parts):
            holds, fails = _truth(parts[0], columns, key)
            for part in parts[1:]:
                more_holds, more_fails = _truth(part, columns, key)
                holds, fails = holds & more_holds, fails | more_fails
            return holds, fails
        case Or(parts):
            holds, fails = _truth(parts[0], columns, key)
            for part in parts[1:]:
                more_holds, more_fails = _truth(part, columns, key)
                holds, fails = holds | more_holds, fails & more_fails
            return holds, fails
        case Not(part):
            holds, fails = _truth(part, columns, key)
            return fails, holds
        case Compare():
            return _compare(condition, columns)
        case Always(value):
            holds = np.full(columns.n_items, value)
        case Missing():
            holds = ~columns.has_prediction
        case RandomShare(share, salt):
            holds = random_share(columns.keys, share, salt, key)
    return holds, ~holds


def random_share(keys: npt.NDArray[np.uint64], share: float, salt: str, key: bytes | None) -> BoolArray:
    """Which items a random share draws, shape (n_items,)."""
    if key is None:
        raise RoutingError("`random_share` needs the key of the lottery; pass key=...")
    return sampling.drawn(sampling.item_hash(keys, key, f"random_share:{salt}"), share)


def _compare(condition: Compare, columns: Columns) -> _Truth:
    field, op, value = condition.field, condition.op, condition.value
    if field in SCORES:
        with np.errstate(over="ignore"):
            limits = np.asarray(value, dtype=np.float32)  # the scores' own precision: 0.9 equals 0.9
        return _numbers(getattr(columns, field), op, limits)
    if field == "label":
        return _labels(columns, op, value)
    column = columns.meta.get(field.removeprefix(META)) if field.startswith(META) else getattr(columns, field)
    if column is None:
        nowhere = np.zeros(columns.n_items, dtype=np.bool_)
        return nowhere, nowhere
    values = value if isinstance(value, tuple) else (value,)
    if column.dtype.kind in "iuf" and all(kind(one) == "number" for one in values):
        return _numbers(column, op, np.asarray(value) if op in MEMBERSHIPS else value)
    return _objects(column, op, value)


def _numbers(column: ObjectArray, op: Op, limits: Any) -> _Truth:
    holds = (
        np.isin(column, limits, invert=op is Op.NOT_IN) if op in MEMBERSHIPS else _SIGNS[op](column, limits)
    )
    if column.dtype.kind == "f":
        known = ~np.isnan(column)
        return holds & known, ~holds & known
    return holds, ~holds


def _labels(columns: Columns, op: Op, value: Value) -> _Truth:
    names = [compare_values(name, op, value) for name in columns.labels]
    holds = np.array([*names, False], dtype=np.bool_)[columns.predicted]  # -1 reads the last place
    return holds, ~holds & (columns.predicted >= 0)


def _objects(column: ObjectArray, op: Op, value: Value) -> _Truth:
    outcomes = _Outcomes(op, value)
    values = value if isinstance(value, tuple) else (value,)
    with np.errstate(invalid="ignore"):  # a NaN in the column raises the processor's flag, no more
        try:
            # Against text, numbers and booleans come out alike: no harm that 1 finds what True left.
            once = op not in ORDERINGS and all(isinstance(one, str) for one in values)
            answer = outcomes.__getitem__ if once else outcomes.of
            codes = np.fromiter(map(answer, column.tolist()), dtype=np.uint8, count=column.size)
        except TypeError:  # a list or an object among the metadata cannot be looked up
            codes = np.fromiter(map(outcomes.of, column.tolist()), dtype=np.uint8, count=column.size)
    return codes == _HOLDS, codes == _FAILS


_FAILS, _HOLDS, _UNKNOWN = 0, 1, 2


class _Outcomes(dict[object, int]):
    """The outcome of each value met so far: metadata repeats itself, and a look-up is cheaper than a test."""

    def __init__(self, op: Op, value: Value) -> None:
        super().__init__()
        self.op = op
        self.value = value

    def of(self, one: object) -> int:
        answer = compare_values(one, self.op, self.value)
        return _UNKNOWN if answer is None else int(answer)

    def __missing__(self, one: object) -> int:
        outcome = self[one] = self.of(one)
        return outcome


def kind(value: object) -> str | None:
    """`text`, `number` or `boolean`; None for what rules cannot compare, missing values first of all."""
    if isinstance(value, str):
        return "text"
    if isinstance(value, bool | np.bool_):
        return "boolean"
    if isinstance(value, int | float | np.integer | np.floating):
        return "number" if value == value else None  # noqa: PLR0124 - only NaN differs from itself
    return None


def compare_values(one: object, op: Op, value: Value) -> bool | None:
    """Whether one value compares so; None where it is missing or of no kind that rules know."""
    own = kind(one)
    if own is None:
        return None
    if isinstance(value, tuple):
        return any(_equal(one, own, other) for other in value) is (op is Op.IN)
    if op in ORDERINGS:
        return own == kind(value) and own != "boolean" and bool(_SIGNS[op](one, value))
    return _equal(one, own, value) is (op is Op.EQUAL)


def _equal(one: object, own: str, other: Scalar) -> bool:
    return own == kind(other) and bool(one == other)
