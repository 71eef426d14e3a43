"""I9, I10: what the machine says and decides, once each, and the same when worked out again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import and_, exists, func, or_, select
from sqlalchemy.orm import Session

from routing.errors import RoutingError
from routing.policy import decide, parse_policy
from workbench.decisions.service import columns_of, decision_rows
from workbench.decisions.store import Undecided, lottery_key
from workbench.decisions.tables import DecisionRow, RoutingPolicyRow
from workbench.invariants.domain import MOST_SHOWN, Collected, Found
from workbench.items.domain import ItemState
from workbench.items.tables import ItemPartRow, ItemRow
from workbench.outside import Outside
from workbench.people.store import pool_ids
from workbench.prelabeling.tables import PredictionRow
from workbench.projects.store import label_values, project_by_id

_DECIDED = [state for state in ItemState if state not in {ItemState.IMPORTED, ItemState.PREDICTED}]
_CHUNK = 5000
_COMPARED = ("outcome", "purpose", "rule", "stage", "overlap", "show_suggestion", "priority")


def predictions(session: Session, outside: Outside) -> Found:  # noqa: ARG001
    """I9: one finite prediction per (item, model version), and none missing behind a decision."""
    seen = Collected(session.scalar(select(func.count()).select_from(PredictionRow)) or 0)
    remedy = "retire the model version and promote another; its predictions cannot be trusted"
    confidence = PredictionRow.confidence
    outside_range = or_(confidence < 0, confidence > 1, confidence != confidence)  # noqa: PLR0124 - not a number
    silent = and_(PredictionRow.label == "", PredictionRow.failure == "")
    unsure = and_(PredictionRow.label != "", confidence.is_(None))
    rows = session.execute(
        select(PredictionRow.item_id, PredictionRow.model_version_id)
        .where(or_(outside_range, silent, unsure))
        .limit(MOST_SHOWN)
    )
    for item_id, version in rows:
        sentence = f"model version {version} gave item {item_id} no finite answer and no reason why not"
        seen.add(f"item:{item_id}", "not_finite", sentence, remedy)
    lost = ~exists().where(
        PredictionRow.item_id == DecisionRow.item_id,
        PredictionRow.model_version_id == DecisionRow.model_version_id,
    )
    rows = session.execute(
        select(DecisionRow.item_id, DecisionRow.model_version_id)
        .where(DecisionRow.model_version_id.is_not(None), lost)
        .limit(MOST_SHOWN)
    )
    for item_id, version in rows:
        sentence = f"item {item_id} was decided by a prediction of model version {version} that is not there"
        seen.add(f"item:{item_id}", "prediction_lost", sentence, "restore the database from a backup")
    return seen.found()


def decisions(session: Session, outside: Outside) -> Found:
    """I10: one decision per (item, round); each comes out again from policy, prediction and lottery key."""
    seen = Collected(session.scalar(select(func.count()).select_from(DecisionRow)) or 0)
    undecided = ~exists().where(DecisionRow.item_id == ItemRow.id, DecisionRow.round == ItemRow.round)
    rows = session.scalars(select(ItemRow.id).where(ItemRow.state.in_(_DECIDED), undecided).limit(MOST_SHOWN))
    for item_id in rows:
        sentence = f"item {item_id} went on without a decision of its round"
        seen.add(f"item:{item_id}", "no_decision", sentence, "restore the database from a backup")
    twice = (
        select(DecisionRow.item_id, DecisionRow.round)
        .group_by(DecisionRow.item_id, DecisionRow.round)
        .having(func.count() > 1)
    )
    for item_id, number in session.execute(twice.limit(MOST_SHOWN)):
        sentence = f"item {item_id} has two decisions in round {number}"
        seen.add(f"item:{item_id}", "decided_twice", sentence, "restore the database from a backup")
    for policy in session.scalars(select(RoutingPolicyRow)):
        _again(session, outside, policy, seen)
    return seen.found()


def _again(session: Session, outside: Outside, policy: RoutingPolicyRow, seen: Collected) -> None:
    """Every decision under one policy, made again."""
    stored = lottery_key(session, policy.project_id)
    if stored is None:
        return
    key = outside.vault.unlock(stored.key)
    if hashlib.sha256(key).hexdigest() != stored.sha256:
        sentence = f"the lottery key of project {policy.project_id} is not the one that was committed to"
        seen.add(f"project:{policy.project_id}", "key_changed", sentence, "restore the key from a backup")
        return
    labels = label_values(session, policy.project_id)
    default_pool = project_by_id(session, policy.project_id).pool_id
    pools = pool_ids(session)
    try:
        rules = parse_policy(policy.document, labels=labels)
    except RoutingError as problem:
        seen.left_out = f"policy {policy.id} cannot be read any more ({problem})"
        return
    for made, known in _chunks(session, policy.id):
        rows = decision_rows(
            decide(rules, columns_of(known, labels), key=key),
            known,
            project_id=policy.project_id,
            policy_id=policy.id,
            pools=pools,
            now=outside.now(),
        )
        for row, decision in zip(rows, made, strict=True):
            row["pool_id"] = row["pool_id"] or default_pool
            differs = [name for name in _COMPARED if row[name] != getattr(decision, name)]
            if differs:
                sentence = (
                    f"decision {decision.id} on item {decision.item_id} does not come out again: "
                    f"its {differs[0]} is another"
                )
                remedy = (
                    "somebody changed the decision, the prediction or the item's facts; compare with a backup"
                )
                seen.add(f"decision:{decision.id}", "not_reproduced", sentence, remedy)


def _chunks(session: Session, policy_id: int) -> Iterator[tuple[Sequence[Any], list[Undecided]]]:
    after = 0
    while True:
        rows = session.execute(
            select(
                DecisionRow.id,
                DecisionRow.item_id,
                DecisionRow.round,
                DecisionRow.model_version_id,
                *(getattr(DecisionRow, name) for name in _COMPARED),
                ItemRow.public_id,
                ItemRow.state,
                ItemRow.language,
                ItemRow.region,
                ItemRow.sensitivity,
                PredictionRow.label,
                PredictionRow.confidence,
                PredictionRow.margin,
                PredictionRow.entropy,
                ItemPartRow.data,
            )
            .join(ItemRow, ItemRow.id == DecisionRow.item_id)
            .outerjoin(
                PredictionRow,
                (PredictionRow.item_id == DecisionRow.item_id)
                & (PredictionRow.model_version_id == DecisionRow.model_version_id),
            )
            .outerjoin(ItemPartRow, (ItemPartRow.item_id == ItemRow.id) & (ItemPartRow.kind == "metadata"))
            .where(DecisionRow.policy_id == policy_id, DecisionRow.id > after)
            .order_by(DecisionRow.id)
            .limit(_CHUNK)
        ).all()
        if not rows:
            return
        after = rows[-1].id
        known = [
            Undecided(
                item_id=row.item_id,
                public_id=row.public_id,
                round=row.round,
                state=row.state,
                language=row.language,
                region=row.region,
                sensitivity=row.sensitivity,
                model_version_id=row.model_version_id,
                label=row.label or "",
                confidence=row.confidence,
                margin=row.margin,
                entropy=row.entropy,
                metadata=row.data or {},
            )
            for row in rows
        ]
        yield rows, known
