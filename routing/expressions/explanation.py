"""Why a condition holds, or does not, for one item: a plain clause with the item's own figures."""

from __future__ import annotations

from typing import Any

from routing.expressions.columns import Columns
from routing.expressions.evaluation import evaluate, kind
from routing.expressions.text import value_text
from routing.expressions.tree import (
    META,
    OPPOSITE,
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
    is_number,
)

_SIGNS = {Op.AT_LEAST: "≥", Op.AT_MOST: "≤", Op.EQUAL: "is", Op.NOT_EQUAL: "is not"}
_MOST_DIGITS = 9


def explain(  # noqa: PLR0911 - one return a form
    condition: Condition, item: Columns, *, key: bytes | None = None
) -> str:
    """The clause that says why a condition holds for an item; of alternatives, those that hold.

    Args:
        condition: One that holds for the item.
        item: Columns of that single item.
        key: Secret of the lottery, where the condition draws at random.

    >>> from routing.expressions.text import parse
    >>> item = Columns.of(keys=[1], labels=["spam"], predicted=[0], confidence=[0.931])
    >>> explain(parse("confidence >= 0.9 and label not in ['self-harm']"), item)
    "confidence 0.93 ≥ 0.90 and label 'spam' not in ['self-harm']"
    """
    match condition:
        case Always():
            return "every item"
        case And(parts):
            return " and ".join(_grouped(part, explain(part, item, key=key)) for part in parts)
        case Or(parts):
            true = [part for part in parts if evaluate(part, item, key=key)[0]]
            return " and ".join(_grouped(part, explain(part, item, key=key)) for part in true)
        case Not(part):
            return explain_not(part, item, key=key)
        case Compare():
            return _comparison(condition, condition.op, item)
        case Missing():
            return "no prediction"
        case RandomShare(share):
            return f"in a random {share:.6g} share"


def explain_not(  # noqa: PLR0911 - one return a form
    condition: Condition, item: Columns, *, key: bytes | None = None
) -> str:
    """The clause that says why a condition does not hold for an item; of several parts, those that fail.

    >>> from routing.expressions.text import parse
    >>> item = Columns.of(keys=[1], labels=["spam"], predicted=[0], confidence=[0.41])
    >>> explain_not(parse("confidence >= 0.9 and label != 'ham'"), item)
    'confidence 0.41 < 0.90'
    """
    match condition:
        case Always():
            return "never"
        case And(parts):
            false = [part for part in parts if not evaluate(part, item, key=key)[0]]
            return " and ".join(_grouped(part, explain_not(part, item, key=key)) for part in false)
        case Or(parts):
            return " and ".join(_grouped(part, explain_not(part, item, key=key)) for part in parts)
        case Not(part):
            holds = evaluate(part, item, key=key)[0]
            return explain(part, item, key=key) if holds else explain_not(part, item, key=key)
        case Compare():
            return _comparison(condition, OPPOSITE[condition.op], item)
        case Missing():
            return "there is a prediction"
        case RandomShare(share):
            return f"not in a random {share:.6g} share"


def _grouped(part: Condition, clause: str) -> str:
    return f"({clause})" if isinstance(part, Or) and " and " in clause else clause


def _comparison(condition: Compare, op: Op, item: Columns) -> str:
    field, value = condition.field, condition.value
    own = _value_of(item, field)
    if own is None:
        return f"no {field.removeprefix(META)}"
    numbers = is_number(own) and is_number(value)
    if condition.op not in (Op.EQUAL, Op.NOT_EQUAL, Op.IN, Op.NOT_IN) and kind(own) != kind(value):
        return f"{field} {value_text(own)} is no {kind(value)}"
    sign = _SIGNS.get(op, str(op))
    if field in SCORES and numbers and not isinstance(value, str | tuple):
        shown, limit = _apart(float(own), float(value))
        return f"{field} {shown} {sign} {limit}"
    if field in SCORES:
        return f"{field} {own:.6g} {sign} {value_text(value)}"
    return f"{field} {value_text(own)} {sign} {value_text(value)}"


def _apart(own: float, limit: float) -> tuple[str, str]:
    """Both numbers with the fewest digits, at least two, that keep them apart and the limit exact."""
    for digits in range(2, _MOST_DIGITS):
        shown, at = f"{own:.{digits}f}", f"{limit:.{digits}f}"
        if float(at) == limit and (shown != at or own == limit):
            return shown, at
    return f"{own:.9g}", f"{limit:.9g}"


def _value_of(item: Columns, field: str) -> Any:
    if field == "label":
        index = int(item.predicted[0])
        return item.labels[index] if index >= 0 else None
    column = item.meta.get(field.removeprefix(META)) if field.startswith(META) else getattr(item, field)
    if column is None:
        return None
    own = column[0]
    if field in SCORES and kind(own):
        return float(str(own))  # the shortest decimal of the 32-bit number, 0.9 and not 0.8999999762
    own = own.item() if hasattr(own, "item") else own
    return own if kind(own) else None
