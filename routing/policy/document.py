"""Routing policies from and to JSON documents; what is not understood is refused."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from routing.errors import PolicyInvalid, closest
from routing.expressions.document import from_document
from routing.expressions.text import parse, to_text
from routing.expressions.tree import Always, Condition, is_number, labels_named
from routing.policy.rules import Accept, RoutingPolicy, Rule, Stage, Target, ToPeople

_POLICY_KEYS = ("rules", "audit_rate", "blind_rate", "audit_overlap", "blind_overlap", "promise")
_ACCEPT_KEYS = ("name", "when", "accept")
_PEOPLE_KEYS = ("name", "when", "accept", "pool", "stage", "overlap", "show_suggestion", "priority")
_OVERLAPS = (1, 50)
_PRIORITIES = (0, 100)
_REST = "everything else"


def parse_policy(
    document: Mapping[str, Any], *, labels: Sequence[str], pools: Iterable[str] | None = None
) -> RoutingPolicy:
    """The routing policy that a JSON document describes.

    A policy whose last rule does not take every item gets a closing rule "everything else" to people, and
    says so in its notes. Items without a prediction are never accepted, so `accept` alone closes nothing.

    Args:
        document: `rules` (each with `name`, `when`, and either `accept: true` or any of `pool`, `stage`,
            `overlap`, `show_suggestion`, `priority`), `audit_rate`, `blind_rate`, `audit_overlap`,
            `blind_overlap`, `promise`.
        labels: The project's labels; a condition that names another is refused.
        pools: The project's pools; None leaves pool names unchecked.

    Raises:
        PolicyInvalid: With the path of the part that cannot be used and the nearest accepted word.

    >>> policy = parse_policy({"rules": [{"name": "sure", "when": "confidence >= 0.9", "accept": True}]},
    ...                       labels=["spam", "ham"])
    >>> [rule.name for rule in policy.rules]
    ['sure', 'everything else']
    >>> policy.notes
    ("no rule takes every item left: a rule 'everything else' to people was added",)
    """
    if not isinstance(document, Mapping):
        raise PolicyInvalid("policy", f"must be an object, not {type(document).__name__}")
    _refuse_unknown(document, _POLICY_KEYS, "")
    listed = document.get("rules")
    if not isinstance(listed, list | tuple) or not listed:
        raise PolicyInvalid("rules", "must be a list with at least one rule")
    reader = _RuleReader(tuple(labels), None if pools is None else tuple(pools))
    rules = [reader.rule(entry, f"rules[{i}]") for i, entry in enumerate(listed)]
    promise = document.get("promise")
    if promise is not None and not isinstance(promise, Mapping):
        raise PolicyInvalid("promise", "must be an object")
    notes = _close(rules)
    return RoutingPolicy(
        rules=tuple(rules),
        audit_rate=_rate(document, "audit_rate"),
        blind_rate=_rate(document, "blind_rate"),
        audit_overlap=_whole(document, "audit_overlap", None, _OVERLAPS),
        blind_overlap=_whole(document, "blind_overlap", None, _OVERLAPS),
        promise=None if promise is None else copy.deepcopy(dict(promise)),
        notes=notes,
    )


def _close(rules: list[Rule]) -> tuple[str, ...]:
    """Add the closing rule where it is needed; what the reader should know about the order of rules."""
    notes = []
    for i, rule in enumerate(rules[:-1]):
        if rule.is_catch_all:
            notes.append(
                f"rule {rule.name!r} takes every item: the {len(rules) - 1 - i} after it never apply"
            )
            break
    if not any(rule.is_catch_all for rule in rules):
        names = {rule.name for rule in rules}
        name = next(
            name for i in range(len(rules) + 1) if (name := _REST + " " * bool(i) + "_" * i) not in names
        )
        rules.append(Rule(name, Always(value=True), ToPeople(), implicit=True))
        notes.append(f"no rule takes every item left: a rule {name!r} to people was added")
    return tuple(notes)


class _RuleReader:
    def __init__(self, labels: tuple[str, ...], pools: tuple[str, ...] | None) -> None:
        self.labels = labels
        self.pools = pools
        self.names: set[str] = set()

    def rule(self, entry: Any, path: str) -> Rule:
        if not isinstance(entry, Mapping):
            raise PolicyInvalid(path, "a rule is an object with `name`, `when` and where the item goes")
        _refuse_unknown(entry, _PEOPLE_KEYS, f"{path}.")
        name = entry.get("name")
        if not isinstance(name, str) or not name.strip():
            raise PolicyInvalid(f"{path}.name", "every rule needs a name; it stands in each reason")
        if name in self.names:
            raise PolicyInvalid(f"{path}.name", f"there is another rule {name!r}; give each its own name")
        self.names.add(name)
        return Rule(name, self.condition(entry, f"{path}.when"), self.target(entry, path))

    def condition(self, entry: Mapping[str, Any], path: str) -> Condition:
        if "when" not in entry:
            raise PolicyInvalid(path, 'is missing; write "true" for every item')
        raw = entry["when"]
        condition = parse(raw, path=path) if isinstance(raw, str) else from_document(raw, path=path)
        for label in labels_named(condition):
            if label not in self.labels:
                raise PolicyInvalid(
                    path, f"there is no label {label!r} in this project", closest(label, self.labels)
                )
        return condition

    def target(self, entry: Mapping[str, Any], path: str) -> Target:
        accept = entry.get("accept", False)
        if not isinstance(accept, bool):
            raise PolicyInvalid(f"{path}.accept", "must be true or false")
        if accept:
            extra = next((key for key in entry if key not in _ACCEPT_KEYS), None)
            if extra:
                raise PolicyInvalid(
                    f"{path}.{extra}",
                    "does not go with `accept: true`; audits go where the next rules send them",
                )
            return Accept()
        overlap = _whole(entry, "overlap", 1, _OVERLAPS, f"{path}.")
        priority = _whole(entry, "priority", 50, _PRIORITIES, f"{path}.")
        show = entry.get("show_suggestion", True)
        if not isinstance(show, bool):
            raise PolicyInvalid(f"{path}.show_suggestion", "must be true or false")
        assert overlap is not None
        assert priority is not None
        return ToPeople(self.pool(entry, path), _stage(entry, path), overlap, show, priority)

    def pool(self, entry: Mapping[str, Any], path: str) -> str | None:
        pool = entry.get("pool")
        if pool is None:
            return None
        if not isinstance(pool, str) or not pool:
            raise PolicyInvalid(f"{path}.pool", "must be the name of a pool")
        if self.pools is not None and pool not in self.pools:
            raise PolicyInvalid(f"{path}.pool", f"there is no pool {pool!r}", closest(pool, self.pools))
        return pool


def _stage(entry: Mapping[str, Any], path: str) -> Stage:
    stage = entry.get("stage", Stage.LABEL.value)
    try:
        return Stage(stage)
    except ValueError:
        known = [one.value for one in Stage]
        raise PolicyInvalid(
            f"{path}.stage", f"{stage!r} is not one of {', '.join(known)}", closest(str(stage), known)
        ) from None


def _refuse_unknown(entry: Mapping[str, Any], known: tuple[str, ...], prefix: str) -> None:
    for key in entry:
        if key not in known:
            raise PolicyInvalid(
                f"{prefix}{key}", f"is unknown; known are {', '.join(known)}", closest(str(key), known)
            )


def _rate(document: Mapping[str, Any], key: str) -> float:
    rate = document.get(key, 0)
    if not is_number(rate) or not 0 <= rate <= 1:
        raise PolicyInvalid(key, f"is a share from 0 to 1, such as 0.05; {rate!r} is not")
    return float(rate)


def _whole(
    entry: Mapping[str, Any], key: str, default: int | None, span: tuple[int, int], prefix: str = ""
) -> int | None:
    value = entry.get(key, default)
    if value is None:
        return default
    low, high = span
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise PolicyInvalid(f"{prefix}{key}", f"is a whole number from {low} to {high}; {value!r} is not")
    return value


def to_document(policy: RoutingPolicy) -> dict[str, Any]:
    """The policy as JSON values, without the closing rule that reading it would add again.

    `parse_policy` of the result gives the same policy back.
    """
    document: dict[str, Any] = {
        "rules": [_rule_document(rule) for rule in policy.rules if not rule.implicit],
        "audit_rate": policy.audit_rate,
        "blind_rate": policy.blind_rate,
    }
    if policy.audit_overlap is not None:
        document["audit_overlap"] = policy.audit_overlap
    if policy.blind_overlap is not None:
        document["blind_overlap"] = policy.blind_overlap
    if policy.promise is not None:
        document["promise"] = copy.deepcopy(policy.promise)
    return document


def _rule_document(rule: Rule) -> dict[str, Any]:
    document: dict[str, Any] = {"name": rule.name, "when": to_text(rule.when)}
    target = rule.target
    if isinstance(target, Accept):
        return {**document, "accept": True}
    if target.pool is not None:
        document["pool"] = target.pool
    return {
        **document,
        "stage": target.stage.value,
        "overlap": target.overlap,
        "show_suggestion": target.show_suggestion,
        "priority": target.priority,
    }
