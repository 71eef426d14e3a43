"""Why an item was decided so, in one plain sentence.

There are two: the full reason, sealed until the batch closes, and the public one. The public reason never
tells whether the item was drawn for audit or for the blind arm: it is the same sentence either way.
"""

from __future__ import annotations

import numpy as np

from routing.expressions.columns import Columns
from routing.expressions.explanation import explain, explain_not
from routing.expressions.tree import Always
from routing.policy.decisions import Decisions, Purpose
from routing.policy.rules import Accept, Rule


def reason(decisions: Decisions, i: int) -> str:
    """The full sentence for item `i`, lottery included; keep it sealed until the batch closes.

    Such as: rule 'sure': confidence 0.93 ≥ 0.90 and label 'spam' not in ['self-harm']; drawn for audit (5%).
    """
    public = public_reason(decisions, i)
    match Purpose(int(decisions.purpose[i])):
        case Purpose.AUDIT:
            return f"{public}; drawn for audit ({_percent(decisions.policy.audit_rate)})"
        case Purpose.BLIND:
            return f"{public}; drawn for the blind arm ({_percent(decisions.policy.blind_rate)})"
        case _:
            return public


def public_reason(decisions: Decisions, i: int) -> str:
    """The sentence for item `i` that may be shown at once: the rule and the figures that met it."""
    item = decisions.columns.take(np.array([i]))
    index = int(decisions.rule[i])
    rule = decisions.policy.rules[index]
    if rule.when != Always(value=True):
        return f"rule {rule.name!r}: {explain(rule.when, item, key=decisions.key)}"
    earlier = decisions.policy.rules[:index]
    passed = [_passed_over(one, item, decisions.key) for one in earlier if isinstance(one.target, Accept)]
    if passed:
        return f"rule {rule.name!r}: {'; '.join(passed)}"
    return f"rule {rule.name!r}: {'no earlier rule applies' if earlier else 'every item'}"


def reasons(decisions: Decisions) -> list[str]:
    """The full sentence of every item, in order."""
    return [reason(decisions, i) for i in range(decisions.outcome.size)]


def public_reasons(decisions: Decisions) -> list[str]:
    """The public sentence of every item, in order."""
    return [public_reason(decisions, i) for i in range(decisions.outcome.size)]


def _passed_over(rule: Rule, item: Columns, key: bytes) -> str:
    if not item.has_prediction[0]:
        return f"not {rule.name!r}, no prediction"
    return f"not {rule.name!r}, {explain_not(rule.when, item, key=key)}"


def _percent(rate: float) -> str:
    return f"{rate * 100:.4g}%"
