"""A policy document as a form and back: rules as text, the first acceptance threshold as a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from routing.errors import PolicyInvalid
from routing.expressions import And, Compare, Condition, Op, Or, from_document, parse, to_text
from routing.policy import Accept, RoutingPolicy, Rule, ToPeople
from workbench.errors import InvalidInput

ACCEPT = "accept"
OWN_POOL = ""


@dataclass(frozen=True)
class RuleLine:
    """One rule as the form shows it; `to` is "accept" or "people"."""

    name: str = ""
    when: str = ""
    to: str = "people"
    pool: str = OWN_POOL
    stage: str = "label"
    overlap: str = "1"
    show_suggestion: bool = True
    priority: str = "50"

    @property
    def is_blank(self) -> bool:
        """Whether the line was left empty."""
        return not self.name.strip() and not self.when.strip()


@dataclass(frozen=True)
class PolicyForm:
    """A whole policy as the form shows it; rates in percent."""

    rules: tuple[RuleLine, ...]
    audit_percent: str
    blind_percent: str
    audit_overlap: str
    blind_overlap: str
    threshold: str
    note: str = ""
    kept: Mapping[str, Any] = field(default_factory=dict)


def form_of(document: Mapping[str, Any]) -> PolicyForm:
    """The form of a stored document."""
    threshold = threshold_of(document)
    return PolicyForm(
        rules=tuple(_line(rule) for rule in document["rules"]),
        audit_percent=f"{float(document.get('audit_rate', 0)) * 100:.6g}",
        blind_percent=f"{float(document.get('blind_rate', 0)) * 100:.6g}",
        audit_overlap=_text(document.get("audit_overlap")),
        blind_overlap=_text(document.get("blind_overlap")),
        threshold=_text(threshold),
        kept={"promise": document["promise"]} if document.get("promise") else {},
    )


def _line(rule: Mapping[str, Any]) -> RuleLine:
    when = rule["when"] if isinstance(rule["when"], str) else to_text(from_document(rule["when"]))
    return RuleLine(
        name=rule["name"],
        when=when,
        to=ACCEPT if rule.get("accept") else "people",
        pool=rule.get("pool") or OWN_POOL,
        stage=rule.get("stage", "label"),
        overlap=str(rule.get("overlap", 1)),
        show_suggestion=bool(rule.get("show_suggestion", True)),
        priority=str(rule.get("priority", 50)),
    )


def _text(value: object) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def document_of(form: PolicyForm, threshold_before: str) -> dict[str, Any]:
    """The document that a filled form means.

    Args:
        form: As it was sent.
        threshold_before: The threshold that the form showed; only a changed one changes the rules.

    Raises:
        PolicyInvalid: A number cannot be read; the path says which.
    """
    lines = [line for line in form.rules if not line.is_blank]
    if not lines:
        raise PolicyInvalid("rules", "give at least one rule")
    document: dict[str, Any] = {
        "rules": [_rule(line, i) for i, line in enumerate(lines)],
        "audit_rate": _percent(form.audit_percent, "audit_rate"),
        "blind_rate": _percent(form.blind_percent, "blind_rate"),
        **form.kept,
    }
    for name in ("audit_overlap", "blind_overlap"):
        if given := str(getattr(form, name)).strip():
            document[name] = _whole(given, name)
    if form.threshold.strip() and form.threshold.strip() != threshold_before.strip():
        document = with_threshold(document, _share(form.threshold))
    return document


def _rule(line: RuleLine, index: int) -> dict[str, Any]:
    rule: dict[str, Any] = {"name": line.name.strip(), "when": line.when.strip() or "true"}
    if line.to == ACCEPT:
        return {**rule, "accept": True}
    if line.pool:
        rule["pool"] = line.pool
    return {
        **rule,
        "stage": line.stage,
        "overlap": _whole(line.overlap, f"rules[{index}].overlap"),
        "show_suggestion": line.show_suggestion,
        "priority": _whole(line.priority, f"rules[{index}].priority"),
    }


def _whole(text: str, path: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise PolicyInvalid(path, f"is a whole number; {text[:40]!r} is not") from None


def _percent(text: str, path: str) -> float:
    try:
        percent = float(text.strip().rstrip("%") or 0)
    except ValueError:
        raise PolicyInvalid(path, f"is a percentage such as 5; {text[:40]!r} is not") from None
    if not 0 <= percent <= 100:  # noqa: PLR2004 - percent
        raise PolicyInvalid(path, f"is a percentage from 0 to 100; {text[:40]!r} is not")
    return round(percent / 100, 8)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise PolicyInvalid("threshold", f"is a confidence from 0 to 1, such as 0.9; {text[:40]!r} is not")
    return share


def threshold_of(document: Mapping[str, Any]) -> float | None:
    """The confidence from which the first accepting rule accepts; None where none names one."""
    for rule in document.get("rules", ()):
        if rule.get("accept") and (found := _first_bound(_condition(rule["when"]))) is not None:
            return found
    return None


def with_threshold(document: Mapping[str, Any], threshold: float) -> dict[str, Any]:
    """The document with the first acceptance threshold replaced.

    Raises:
        InvalidInput: No accepting rule compares confidence with a lower bound.
    """
    rules = [dict(rule) for rule in document["rules"]]
    for rule in rules:
        condition = _condition(rule["when"])
        if rule.get("accept") and _first_bound(condition) is not None:
            rule["when"] = to_text(_rebound(condition, threshold))
            return {**document, "rules": rules}
    raise InvalidInput("no rule accepts from a confidence; add one such as `confidence >= 0.9`")


def _condition(when: Any) -> Condition:
    return parse(when) if isinstance(when, str) else from_document(when)


def _is_bound(condition: Condition) -> bool:
    return (
        isinstance(condition, Compare)
        and condition.field == "confidence"
        and condition.op in {Op.AT_LEAST, Op.MORE}
    )


def _first_bound(condition: Condition) -> float | None:
    if isinstance(condition, Compare) and _is_bound(condition):
        return float(condition.value) if isinstance(condition.value, int | float) else None
    if isinstance(condition, And | Or):
        return next((one for part in condition.parts if (one := _first_bound(part)) is not None), None)
    return None


def _rebound(condition: Condition, threshold: float) -> Condition:
    if isinstance(condition, Compare) and _is_bound(condition):
        return replace(condition, value=threshold)
    if isinstance(condition, And | Or):
        parts = list(condition.parts)
        for i, part in enumerate(parts):
            if _first_bound(part) is not None:
                parts[i] = _rebound(part, threshold)
                return replace(condition, parts=tuple(parts))
    return condition


def plain_words(policy: RoutingPolicy, pools: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Each rule as (name, condition, what happens), in words; `pools` are names by key."""
    return [(rule.name, _when_words(rule), _then_words(rule, policy, pools)) for rule in policy.rules]


def _when_words(rule: Rule) -> str:
    text = to_text(rule.when)
    return "every item left" if text == "true" else text


def _then_words(rule: Rule, policy: RoutingPolicy, pools: Mapping[str, str]) -> str:
    match rule.target:
        case Accept():
            return f"the model's label is accepted; {policy.audit_rate * 100:.4g}% are drawn for audit"
        case ToPeople() as people:
            count = "1 person" if people.overlap == 1 else f"{people.overlap} people"
            pool = pools.get(people.pool or "", people.pool or "the project's own pool")
            shown = "with the prediction shown" if people.show_suggestion else "without the prediction"
            return f"{count} of {pool} {people.stage.value} it, {shown}, priority {people.priority}"


def error_place(problem: PolicyInvalid, lines: Sequence[RuleLine]) -> tuple[int | None, str]:
    """Which line of the form an error belongs to (None: the whole), and its words."""
    words = problem.message
    if problem.position is not None:
        words = f"character {problem.position}: {words}"
    if problem.did_you_mean:
        words += f"; did you mean “{problem.did_you_mean}”?"
    if problem.path.startswith("rules["):
        index = int(problem.path.partition("[")[2].partition("]")[0])
        shown = [i for i, line in enumerate(lines) if not line.is_blank]
        part = problem.path.rpartition(".")[2]
        return (shown[index] if index < len(shown) else None), f"{part.replace('_', ' ')} {words}"
    return None, f"{problem.path.replace('_', ' ')} {words}"
