"""Conditions as people write them: `confidence >= 0.9 and label not in ['self-harm']`.

The text is read by Python's parser and then by a list of allowed forms; nothing is ever executed.
"""

from __future__ import annotations

import ast
import io
import keyword
import tokenize
from typing import NoReturn

from routing.errors import PolicyInvalid, closest
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
    Scalar,
    Value,
    comparison_problem,
    is_number,
)

_LONGEST = 10_000
_WORDS = (*FIELDS, "missing", "meta", "random_share", "true", "false", "and", "or", "not", "in")
_BOOLEANS = {"true": True, "True": True, "false": False, "False": False}
_OPS: dict[type[ast.cmpop], Op] = {
    ast.Lt: Op.LESS,
    ast.LtE: Op.AT_MOST,
    ast.Gt: Op.MORE,
    ast.GtE: Op.AT_LEAST,
    ast.Eq: Op.EQUAL,
    ast.NotEq: Op.NOT_EQUAL,
    ast.In: Op.IN,
    ast.NotIn: Op.NOT_IN,
}
_FLIPPED = {
    Op.LESS: Op.MORE,
    Op.AT_MOST: Op.AT_LEAST,
    Op.MORE: Op.LESS,
    Op.AT_LEAST: Op.AT_MOST,
    Op.EQUAL: Op.EQUAL,
    Op.NOT_EQUAL: Op.NOT_EQUAL,
}


def parse(text: str, *, path: str = "when") -> Condition:
    """The condition that a text describes.

    Fields: `confidence`, `margin`, `entropy` (numbers), `label`, `language`, `region`, `sensitivity` (text),
    `meta.<field>` or `meta["any field"]`. Comparisons may be chained. Alone stand `true`, `false`, `missing`
    (no prediction) and `random_share(0.1)` or `random_share(0.1, "salt")`.

    Args:
        text: The condition, one or several lines.
        path: How error messages name this place of the policy.

    Raises:
        PolicyInvalid: With the character where the trouble starts and, where one is near, the word meant.

    >>> parse("0.5 <= confidence < 0.9") == parse("confidence >= 0.5 and confidence < 0.9")
    True
    """
    if len(text) > _LONGEST:
        raise PolicyInvalid(path, f"a condition has at most {_LONGEST} characters; split the rule")
    line = " ".join(text.splitlines())
    flat = line.lstrip()
    if not flat:
        raise PolicyInvalid(path, 'the condition is empty; write "true" for every item')
    reader = _Reader(flat, path, skipped=len(line) - len(flat))
    return reader.condition(reader.tree(), depth=0)


class _Reader:
    def __init__(self, text: str, path: str, *, skipped: int) -> None:
        self.text = text
        self.path = path
        self.skipped = skipped

    def tree(self) -> ast.expr:
        try:
            body = ast.parse(self.text, mode="eval").body
        except SyntaxError as error:
            position = min(error.offset or 1, len(self.text) + 1) + self.skipped
            raise PolicyInvalid(self.path, f"this cannot be read ({error.msg})", position=position) from None
        except (ValueError, MemoryError, RecursionError):
            raise PolicyInvalid(self.path, "this cannot be read; simplify the condition") from None
        for token in tokenize.generate_tokens(io.StringIO(self.text).readline):
            if token.type == tokenize.COMMENT:
                position = token.start[1] + 1 + self.skipped
                raise PolicyInvalid(self.path, "a condition holds no `#` comments", position=position)
        return body

    def fail(self, node: ast.expr, message: str, did_you_mean: str | None = None) -> NoReturn:
        column = len(self.text.encode()[: node.col_offset].decode())
        raise PolicyInvalid(self.path, message, did_you_mean, position=column + 1 + self.skipped)

    def condition(self, node: ast.expr, depth: int) -> Condition:  # noqa: PLR0911 - one return a form
        if depth > DEEPEST:
            self.fail(node, f"conditions nest at most {DEEPEST} deep; split the rule")
        match node:
            case ast.BoolOp(op=ast.And(), values=values):
                return And(tuple(self.condition(value, depth + 1) for value in values))
            case ast.BoolOp(values=values):
                return Or(tuple(self.condition(value, depth + 1) for value in values))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return Not(self.condition(operand, depth + 1))
            case ast.Compare():
                return self.comparison(node)
            case ast.Constant(value=bool(value)):
                return Always(value)
            case ast.Name(id=name) if name in _BOOLEANS:
                return Always(_BOOLEANS[name])
            case ast.Name(id="missing"):
                return Missing()
            case ast.Call():
                return self.call(node)
        return self.not_a_condition(node)

    def not_a_condition(self, node: ast.expr) -> NoReturn:
        if isinstance(node, ast.Name | ast.Attribute | ast.Subscript):
            field = self.field(node)
            example = f'{field} == "a"' if field not in FIELDS[:3] else f"{field} >= 0.9"
            if field.startswith(META):
                example = f"{_field_text(field)} == true"
            self.fail(node, f"`{field}` alone is no condition; compare it, for example `{example}`")
        self.fail(node, "this is not a condition; compare a field with a value, such as `confidence >= 0.9`")

    def comparison(self, node: ast.Compare) -> Condition:
        operands = [node.left, *node.comparators]
        parts = tuple(
            self.pair(left, op, right)
            for left, op, right in zip(operands, node.ops, operands[1:], strict=False)
        )
        return parts[0] if len(parts) == 1 else And(parts)

    def pair(self, left: ast.expr, operator: ast.cmpop, right: ast.expr) -> Compare:
        op = _OPS.get(type(operator))
        if op is None:
            self.fail(left, "`is` is not used here; write `==` or `!=`")
        left_is_field, right_is_field = _looks_like_field(left), _looks_like_field(right)
        if left_is_field and right_is_field:
            self.fail(right, "a field is compared with a fixed value; put text in quotes")
        if not left_is_field and not right_is_field:
            self.fail(left, "one side must be a field such as `confidence` or `meta.source`")
        if right_is_field:
            flipped = _FLIPPED.get(op)
            if flipped is None:
                self.fail(left, f"`{op}` has the field on its left: `label {op} ['a', 'b']`")
            left, op, right = right, flipped, left
        field, value = self.field(left), self.value(right)
        problem = comparison_problem(field, op, value)
        if problem:
            self.fail(right, problem)
        return Compare(field, op, value)

    def field(self, node: ast.expr) -> str:  # noqa: RET503 - `fail` never returns
        match node:
            case ast.Attribute(value=ast.Name(id="meta"), attr=name):
                return META + name
            case ast.Subscript(value=ast.Name(id="meta"), slice=ast.Constant(value=str(name))) if name:
                return META + name
            case ast.Name(id=name) if name in FIELDS:
                return name
            case ast.Name(id="missing"):
                self.fail(node, "`missing` stands alone: write `missing` or `not missing`")
            case ast.Name(id="meta"):
                self.fail(node, "name the metadata field: `meta.source`")
            case ast.Name(id=name):
                self.fail(node, f"`{name}` is not a known field", closest(name, _WORDS))
        self.fail(node, "only `meta` has fields: `meta.source`")

    def value(self, node: ast.expr) -> Value:
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            return tuple(self.scalar(one) for one in node.elts)
        return self.scalar(node)

    def scalar(self, node: ast.expr) -> Scalar:  # noqa: RET503 - `fail` never returns
        match node:
            case ast.Constant(value=bool() | int() | float() | str() as value):
                return value
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
                if not isinstance(value, bool):
                    return -value
            case ast.Name(id=name) if name in _BOOLEANS:
                return _BOOLEANS[name]
        self.fail(node, "a value is a number, a text in quotes, true or false")

    def call(self, node: ast.Call) -> RandomShare:
        if not (isinstance(node.func, ast.Name) and node.func.id == "random_share"):
            name = node.func.id if isinstance(node.func, ast.Name) else ""
            self.fail(node, "the only function is `random_share(0.1)`", closest(name, ["random_share"]))
        arguments = [] if node.keywords else [self.scalar(one) for one in node.args]
        match arguments:
            case [share]:
                salt: Scalar = ""
            case [share, salt]:
                pass
            case _:
                self.fail(node, 'write `random_share(0.1)` or `random_share(0.1, "salt")`')
        problem = share_problem(share, salt)
        if problem or isinstance(share, str) or not isinstance(salt, str):
            self.fail(node, problem or "")
        return RandomShare(share, salt)


def share_problem(share: object, salt: object) -> str | None:
    """Why this is no random share, or None."""
    if not (is_number(share) and isinstance(share, int | float) and 0 <= share <= 1):
        return "a random share is a number from 0 to 1, such as 0.1"
    return None if isinstance(salt, str) else "the salt of a random share is a text in quotes"


def _looks_like_field(node: ast.expr) -> bool:
    if isinstance(node, ast.Name):
        return node.id not in _BOOLEANS
    return isinstance(node, ast.Attribute | ast.Subscript)


def to_text(condition: Condition) -> str:  # noqa: PLR0911 - one return a form
    """The condition as a person would write it; `parse` of it gives the same condition back.

    >>> to_text(parse("label in ('a','b') and (missing or confidence<.5)"))
    "label in ['a', 'b'] and (missing or confidence < 0.5)"
    """
    match condition:
        case Always(value):
            return "true" if value else "false"
        case And(parts):
            return " and ".join(_part_text(part) for part in parts)
        case Or(parts):
            return " or ".join(_part_text(part) for part in parts)
        case Not(part):
            return f"not {_part_text(part)}"
        case Compare(field, op, value):
            return f"{_field_text(field)} {op} {value_text(value)}"
        case Missing():
            return "missing"
        case RandomShare(share, salt):
            return f"random_share({share!r}, {salt!r})" if salt else f"random_share({share!r})"


def _part_text(part: Condition) -> str:
    text = to_text(part)
    return f"({text})" if isinstance(part, And | Or | Not) else text


def _field_text(field: str) -> str:
    if not field.startswith(META):
        return field
    name = field.removeprefix(META)
    plain = name.isascii() and name.isidentifier() and not keyword.iskeyword(name)
    return field if plain else f"meta[{name!r}]"


def value_text(value: Value) -> str:
    """A value as it is written in a condition.

    >>> value_text(("a", True))
    "['a', true]"
    """
    if isinstance(value, tuple):
        return f"[{', '.join(value_text(one) for one in value)}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value)
