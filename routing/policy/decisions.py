"""Where each item goes: the rules and the two lotteries over columns."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from routing.errors import RoutingError
from routing.expressions.columns import Columns
from routing.expressions.evaluation import evaluate
from routing.policy.rules import STAGES, Accept, RoutingPolicy, Rule, Stage, ToPeople
from routing.sampling import drawn, item_hash

_CHUNK = 1 << 16  # temporary arrays of this size stay in cache


class Outcome(IntEnum):
    """What becomes of an item."""

    ACCEPT = 0
    PEOPLE = 1
    AUDIT = 2
    """Its rule accepts it, and the lottery sends it to people all the same."""


class Purpose(IntEnum):
    """Why people see an item."""

    ORDINARY = 0
    AUDIT = 1
    BLIND = 2


@dataclass(frozen=True, slots=True)
class Decisions:
    """One decision per item; every array has shape (n_items,).

    An audited item goes where it would have gone had no rule accepted it (pool, stage, priority, overlap
    unless the policy sets one for audits), so that nobody can tell it from the others.

    Attributes:
        outcome: `Outcome` as uint8.
        purpose: `Purpose` as uint8; ordinary for accepted items.
        rule: Index into `policy.rules` of the rule that decided; for an audited item the one that accepts.
        overlap: Annotations wanted; 0 for accepted items.
        show_suggestion: Whether people see the model's answer; false without a prediction.
        priority: 0 to 100; 0 for accepted items.
        stage: Index into `STAGES`.
        pool: Index into `policy.pools`; -1 for the project's own pool and for accepted items.
        policy: The policy that decided.
        columns: What it looked at.
        key: Secret of the lottery; kept so that reasons can follow a random share, and never shown.
    """

    outcome: npt.NDArray[np.uint8]
    purpose: npt.NDArray[np.uint8]
    rule: npt.NDArray[np.int32]
    overlap: npt.NDArray[np.int32]
    show_suggestion: npt.NDArray[np.bool_]
    priority: npt.NDArray[np.int32]
    stage: npt.NDArray[np.uint8]
    pool: npt.NDArray[np.int32]
    policy: RoutingPolicy
    columns: Columns
    key: bytes

    def __repr__(self) -> str:
        return f"Decisions(n_items={self.outcome.size}, policy={len(self.policy.rules)} rules)"

    def pool_name(self, i: int) -> str | None:
        """The pool of item `i`, or None for the project's own."""
        index = int(self.pool[i])
        return None if index < 0 else self.policy.pools[index]

    def stage_of(self, i: int) -> Stage:
        """What people are asked to do with item `i`."""
        return STAGES[int(self.stage[i])]


def decide(policy: RoutingPolicy, columns: Columns, *, key: bytes) -> Decisions:
    """Where each item goes: accepted, to people, or accepted and drawn for audit.

    The same item, policy and key give the same decision in any order, chunk or process. A rule that accepts
    passes over items without a prediction. The blind lottery runs over items on their way to labeling.

    Args:
        policy: From `parse_policy`.
        columns: The items.
        key: Secret of the lotteries, 16 to 64 random bytes, one per batch.

    >>> from routing.policy import Columns, parse_policy
    >>> policy = parse_policy({"rules": [{"name": "sure", "when": "confidence >= 0.9", "accept": True}]},
    ...                       labels=["spam"])
    >>> items = Columns.of(keys=[1, 2], labels=["spam"], predicted=[0, 0], confidence=[0.95, 0.5])
    >>> [Outcome(code).name for code in decide(policy, items, key=bytes(16)).outcome]
    ['ACCEPT', 'PEOPLE']
    """
    n_items = columns.n_items
    arrays = _empty(n_items)
    tables = _Tables(policy)
    for start in range(0, n_items, _CHUNK):
        part = slice(start, start + _CHUNK)
        for name, values in _decide_chunk(policy, tables, columns.take(part), key).items():
            arrays[name][part] = values
    return Decisions(**arrays, policy=policy, columns=columns, key=key)


def _empty(n_items: int) -> dict[str, Any]:
    kinds = {
        "outcome": np.uint8,
        "purpose": np.uint8,
        "rule": np.int32,
        "overlap": np.int32,
        "show_suggestion": np.bool_,
        "priority": np.int32,
        "stage": np.uint8,
        "pool": np.int32,
    }
    return {name: np.zeros(n_items, dtype=kind) for name, kind in kinds.items()}


class _Tables:
    """What each rule says, as arrays indexed by rule; shape (n_rules,)."""

    def __init__(self, policy: RoutingPolicy) -> None:
        pools = {name: index for index, name in enumerate(policy.pools)}
        targets = [rule.target for rule in policy.rules]
        people = [target if isinstance(target, ToPeople) else None for target in targets]
        self.accepts = np.array([one is None for one in people])
        self.overlap = np.array([one.overlap if one else 0 for one in people], dtype=np.int32)
        self.show = np.array([one.show_suggestion if one else False for one in people])
        self.priority = np.array([one.priority if one else 0 for one in people], dtype=np.int32)
        self.stage = np.array([STAGES.index(one.stage) if one else 0 for one in people], dtype=np.uint8)
        self.pool = np.array(
            [-1 if one is None or one.pool is None else pools[one.pool] for one in people], dtype=np.int32
        )


def _decide_chunk(
    policy: RoutingPolicy, tables: _Tables, columns: Columns, key: bytes
) -> dict[str, npt.NDArray[Any]]:
    has_prediction = columns.has_prediction
    rule = _first_match(policy.rules, columns, has_prediction, key)
    accepted = tables.accepts[rule]
    audited = accepted & drawn(item_hash(columns.keys, key, "audit"), policy.audit_rate)
    goes_by = rule.copy()
    if audited.any():
        people_only = tuple(rule if isinstance(rule.target, ToPeople) else None for rule in policy.rules)
        goes_by[audited] = _first_match(people_only, columns.take(audited), has_prediction[audited], key)
    to_people = ~accepted | audited
    labeling = to_people & ~audited & (tables.stage[goes_by] == STAGES.index(Stage.LABEL))
    blind = labeling & drawn(item_hash(columns.keys, key, "blind"), policy.blind_rate)
    overlap = tables.overlap[goes_by]
    if policy.audit_overlap is not None:
        overlap = np.where(audited, policy.audit_overlap, overlap)
    if policy.blind_overlap is not None:
        overlap = np.where(blind, policy.blind_overlap, overlap)
    return {
        "outcome": np.select([audited, accepted], [Outcome.AUDIT, Outcome.ACCEPT], Outcome.PEOPLE),
        "purpose": np.select([audited, blind], [Purpose.AUDIT, Purpose.BLIND], Purpose.ORDINARY),
        "rule": rule,
        "overlap": overlap,
        "show_suggestion": tables.show[goes_by] & to_people & ~audited & ~blind & has_prediction,
        "priority": tables.priority[goes_by],
        "stage": tables.stage[goes_by],
        "pool": tables.pool[goes_by],
    }


def _first_match(
    rules: tuple[Rule | None, ...], columns: Columns, has_prediction: npt.NDArray[np.bool_], key: bytes
) -> npt.NDArray[np.int32]:
    """Index of the first rule that holds for each item; a rule given as None is passed over."""
    chosen = np.full(columns.n_items, -1, dtype=np.int32)
    for index, rule in enumerate(rules):
        if rule is None:
            continue
        matches = evaluate(rule.when, columns, key=key) & (chosen < 0)
        if isinstance(rule.target, Accept):
            matches &= has_prediction
        chosen[matches] = index
        if rule.is_catch_all:
            break
    if (chosen < 0).any():
        raise RoutingError("the policy leaves items undecided; read it with `parse_policy`, which closes it")
    return chosen
