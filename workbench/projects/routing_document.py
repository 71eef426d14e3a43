"""The routing policy document that a project asks for, in the form `routing.policy.parse_policy` takes."""

from __future__ import annotations

import io
import tokenize
from typing import Any

from workbench.projects.pools import pools_of
from workbench.projects.specification import ProjectSpecification, Route

_SHORT = {"lang": "language"}
_SETTINGS = ("overlap", "show_suggestion", "priority", "stage")


def policy_document(specification: ProjectSpecification) -> dict[str, Any]:
    """The project's routing as a policy document: accept where sure, then the routes, then the own pool."""
    routing = specification.routing
    rules = [*accept_rules(specification), *route_rules(specification)]
    if not any(str(rule["when"]).strip().lower() == "true" and not rule.get("accept") for rule in rules):
        rules.append(
            {
                "name": _free("people", rules),
                "when": "true",
                "pool": pools_of(specification)[0].key,
                "overlap": routing.overlap,
                "show_suggestion": routing.show_suggestion,
            }
        )
    document: dict[str, Any] = {
        "rules": rules,
        "audit_rate": routing.audit_rate,
        "blind_rate": routing.blind_rate,
    }
    if routing.audit_overlap is not None:
        document["audit_overlap"] = routing.audit_overlap
    if routing.blind_overlap is not None:
        document["blind_overlap"] = routing.blind_overlap
    if routing.policy is not None:
        document["promise"] = routing.policy.model_dump(mode="json")
    return document


def accept_rules(specification: ProjectSpecification) -> list[dict[str, Any]]:
    """Rules from `accept_at`, `thresholds` and `never_accept`; each label is in at most one."""
    routing = specification.routing
    never = set(routing.never_accept)
    rules: list[dict[str, Any]] = []
    for label, threshold in routing.thresholds.items():
        if label not in never:
            when = f"label == {label!r} and confidence >= {threshold!r}"
            rules.append({"name": _free(f"sure of {label}"[:90], rules), "when": when, "accept": True})
    if routing.accept_at is not None:
        apart = list(dict.fromkeys([*routing.thresholds, *routing.never_accept]))
        when = f"confidence >= {routing.accept_at!r}"
        if apart:
            when += f" and label not in [{', '.join(repr(label) for label in apart)}]"
        rules.append({"name": _free("sure enough", rules), "when": when, "accept": True})
    return rules


def route_rules(specification: ProjectSpecification) -> list[dict[str, Any]]:
    """The routes, in their order."""
    rules: list[dict[str, Any]] = []
    for i, route in enumerate(specification.routing.routes):
        name = route.name or f"route {i + 1}: {'accept' if route.accept else route.to or 'people'}"
        rules.append({"name": name, "when": readable_condition(route.when), **_target(specification, route)})
    return rules


def readable_condition(when: Any) -> Any:
    """The condition with `lang` written out as `language`; texts and fields named otherwise stay."""
    if isinstance(when, dict):
        return {key: _SHORT.get(one, one) if key == "field" else _deeper(one) for key, one in when.items()}
    if "lang" not in when:
        return when
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(when).readline))
    except (tokenize.TokenError, SyntaxError):
        return when
    text, after_dot = when.splitlines(keepends=True), False
    replaced = [list(line) for line in text]
    for token in tokens:
        if token.type == tokenize.NAME and token.string in _SHORT and not after_dot:
            row, column = token.start
            replaced[row - 1][column : token.end[1]] = [_SHORT[token.string]] + [""] * (len(token.string) - 1)
        after_dot = token.string == "."
    return "".join("".join(line) for line in replaced)


def _deeper(one: Any) -> Any:
    if isinstance(one, dict):
        return readable_condition(one)
    return [_deeper(part) for part in one] if isinstance(one, list) else one


def _target(specification: ProjectSpecification, route: Route) -> dict[str, Any]:
    given = {name: value for name in _SETTINGS if (value := getattr(route, name)) is not None}
    if route.accept:
        return {"accept": True, **given, **({} if route.to is None else {"pool": route.to})}
    defaults = {
        "overlap": specification.routing.overlap,
        "show_suggestion": specification.routing.show_suggestion,
    }
    return {"pool": route.to or pools_of(specification)[0].key, **defaults, **given}


def _free(name: str, rules: list[dict[str, Any]]) -> str:
    taken = {rule["name"] for rule in rules}
    return next(one for i in range(len(rules) + 1) if (one := f"{name} {i + 1}" if i else name) not in taken)
