"""Conditions as JSON: `{"and": [{"field": "confidence", "op": ">=", "value": 0.9}, ...]}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from routing.errors import PolicyInvalid, closest
from routing.expressions.text import share_problem
from routing.expressions.tree import (
    DEEPEST,
    FIELDS,
    META,
    Always,
    And,
    Compare,
    Condition,
    Missing,
    Not,
    Op,
    Or,
    RandomShare,
    Value,
    comparison_problem,
)

_FORMS: dict[str, frozenset[str]] = {
    "and": frozenset({"and"}),
    "or": frozenset({"or"}),
    "not": frozenset({"not"}),
    "always": frozenset({"always"}),
    "missing": frozenset({"missing"}),
    "random_share": frozenset({"random_share", "salt"}),
    "field": frozenset({"field", "op", "value"}),
}
_MEANT = {"=>": ">=", "=<": "<=", "=": "==", "<>": "!=", "≥": ">=", "≤": "<=", "≠": "!=", "notin": "not in"}


def from_document(document: Any, *, path: str = "when") -> Condition:
    """The condition that a JSON value describes: true, false, or an object of one of seven forms.

    `{"and": [...]}`, `{"or": [...]}`, `{"not": ...}`, `{"field": ..., "op": ..., "value": ...}`,
    `{"missing": true}`, `{"random_share": 0.1, "salt": ""}`, `{"always": true}`.

    Raises:
        PolicyInvalid: With the path of the part that cannot be used.

    >>> from_document({"not": {"missing": True}})
    Not(part=Missing())
    """
    return _condition(document, path, depth=0)


def _condition(document: Any, path: str, depth: int) -> Condition:  # noqa: PLR0911 - one return a form
    if depth > DEEPEST:
        raise PolicyInvalid(path, f"conditions nest at most {DEEPEST} deep; split the rule")
    if isinstance(document, bool):
        return Always(document)
    form = _form(document, path)
    content = document[form]
    if form in {"and", "or"}:
        return _several(form, content, path, depth)
    if form == "not":
        return Not(_condition(content, f"{path}.not", depth + 1))
    if form == "field":
        return _compare(document, path)
    if form == "random_share":
        return _random_share(content, document.get("salt", ""), path)
    if not isinstance(content, bool):
        raise PolicyInvalid(f"{path}.{form}", "must be true or false")
    if form == "always":
        return Always(content)
    return Missing() if content else Not(Missing())


def _form(document: Any, path: str) -> str:
    """Which of the forms an object has; refuses keys that the form does not know."""
    if not isinstance(document, Mapping):
        raise PolicyInvalid(path, f"a condition is an object or true, not {type(document).__name__}")
    form = next((name for name in _FORMS if name in document), None)
    if form is None:
        word = next((str(key) for key in document), "")
        raise PolicyInvalid(path, f"use one of {', '.join(_FORMS)}", closest(word, _FORMS))
    for key in document:
        if key not in _FORMS[form]:
            raise PolicyInvalid(f"{path}.{key}", f"unknown beside `{form}`", closest(str(key), _FORMS[form]))
    return form


def _several(form: str, content: Any, path: str, depth: int) -> Condition:
    if not isinstance(content, list | tuple) or not content:
        raise PolicyInvalid(f"{path}.{form}", "must be a list with at least one condition")
    parts = tuple(_condition(one, f"{path}.{form}[{i}]", depth + 1) for i, one in enumerate(content))
    if len(parts) == 1:
        return parts[0]
    return And(parts) if form == "and" else Or(parts)


def _compare(document: Mapping[str, Any], path: str) -> Compare:
    for key in ("op", "value"):
        if key not in document:
            raise PolicyInvalid(f"{path}.{key}", "is missing; a comparison has field, op and value")
    field, sign, raw = document["field"], document["op"], document["value"]
    known = isinstance(field, str) and (field in FIELDS or (field.startswith(META) and field != META))
    if not known:
        raise PolicyInvalid(f"{path}.field", f"`{field}` is not a known field", closest(str(field), FIELDS))
    try:
        op = Op(sign)
    except ValueError:
        raise PolicyInvalid(
            f"{path}.op", f"`{sign}` is not one of {', '.join(Op)}", _MEANT.get(str(sign))
        ) from None
    value = _value(raw, f"{path}.value")
    problem = comparison_problem(field, op, value)
    if problem:
        raise PolicyInvalid(f"{path}.value", problem)
    return Compare(field, op, value)


def _value(raw: Any, path: str) -> Value:
    values = tuple(raw) if isinstance(raw, list | tuple) else (raw,)
    if not all(isinstance(one, str | bool | int | float) for one in values):
        raise PolicyInvalid(path, "a value is a number, a text, true, false, or a list of these")
    return values if isinstance(raw, list | tuple) else values[0]


def _random_share(share: Any, salt: Any, path: str) -> RandomShare:
    problem = share_problem(share, salt)
    if problem:
        raise PolicyInvalid(f"{path}.random_share", problem)
    return RandomShare(share, salt)


def to_document(condition: Condition) -> dict[str, Any]:  # noqa: PLR0911 - one return a form
    """The condition as JSON values; `from_document` of it gives the same condition back.

    >>> to_document(RandomShare(0.1))
    {'random_share': 0.1, 'salt': ''}
    """
    match condition:
        case Always(value):
            return {"always": value}
        case And(parts):
            return {"and": [to_document(part) for part in parts]}
        case Or(parts):
            return {"or": [to_document(part) for part in parts]}
        case Not(part):
            return {"not": to_document(part)}
        case Compare(field, op, value):
            listed = list(value) if isinstance(value, tuple) else value
            return {"field": field, "op": str(op), "value": listed}
        case Missing():
            return {"missing": True}
        case RandomShare(share, salt):
            return {"random_share": share, "salt": salt}
