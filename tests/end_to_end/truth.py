"""What must hold whatever happened: counted anew from the rows, and asked of the server, by key."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping
from decimal import Decimal
from itertools import combinations
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.end_to_end.installation import LABELS, Installation
from workbench.decisions.tables import DecisionRow
from workbench.items.domain import MOVES, ItemState
from workbench.items.tables import ItemCountRow, ItemMoveRow, ItemPartRow, ItemRow
from workbench.labeling.tables import AnnotationRow, LaneRow, VisitRow
from workbench.labels.tables import LabelRow
from workbench.model_versions.tables import ModelVersionRow
from workbench.people.tables import RateCardRow
from workbench.prelabeling.tables import PredictionRow
from workbench.tallies.tables import (
    CostTallyRow,
    HourTallyRow,
    LedgerRow,
    ModelTallyRow,
    PairTallyRow,
    PatternTallyRow,
)

USED = {"counted", "above_overlap"}
Wrong = dict[str, Any]


def wrong_rows(made: Installation, *, settled: bool = True) -> Wrong:
    """What is missing, doubled or stuck among our own rows; empty where all is well.

    Args:
        made: The installation.
        settled: All work is done: each item must have its final label.
    """
    with made.outside.db.read() as session:
        items = {row.id: row for row in session.scalars(select(ItemRow))}
        predictions = session.scalars(select(PredictionRow)).all()
        decisions = session.scalars(select(DecisionRow)).all()
        current = session.scalars(select(LabelRow).where(LabelRow.superseded_at.is_(None))).all()
        moves = session.scalars(select(ItemMoveRow).order_by(ItemMoveRow.id)).all()
        counts = {row.state: row.items for row in session.scalars(select(ItemCountRow)) if row.items}
        found = {
            "items of one external id": doubled(row.external_id for row in items.values()),
            "predictions": doubled((row.item_id, row.model_version_id) for row in predictions),
            "items without a prediction": sorted(set(items) - {row.item_id for row in predictions}),
            "decisions": doubled((row.item_id, row.round) for row in decisions),
            "items without a decision": sorted(set(items) - {row.item_id for row in decisions}),
            "current labels": doubled(row.item_id for row in current),
            "broken chains of moves": broken_chains(items, moves),
            "counts by state": differences(counts, Counter(row.state for row in items.values())),
        }
        if settled:
            final = {ItemState.RESOLVED, ItemState.DELIVERED}
            found["items without their label"] = sorted(set(items) - {row.item_id for row in current})
            found["unfinished items"] = [
                (row.external_id, row.state) for row in items.values() if row.state not in final
            ]
            found["unfinished visits"] = [
                (visit.id, visit.state)
                for visit in session.scalars(select(VisitRow))
                if visit.state not in {"answered", "withdrawn"}
            ]
        return {name: problem for name, problem in found.items() if problem} | wrong_ledger(session)


def broken_chains(items: Mapping[int, ItemRow], moves: Iterable[ItemMoveRow]) -> list[str]:
    """Items whose moves leave a gap, are not allowed, or do not end where the item stands."""
    at: dict[int, str] = dict.fromkeys(items, "")
    broken = []
    for move in moves:
        if move.from_state != at[move.item_id]:
            broken.append(f"item {move.item_id}: {at[move.item_id]}, then from {move.from_state}")
        first = move.from_state == "" and move.to_state == ItemState.IMPORTED
        if not first and ItemState(move.to_state) not in MOVES[ItemState(move.from_state)]:
            broken.append(f"item {move.item_id}: {move.from_state} to {move.to_state}")
        at[move.item_id] = move.to_state
    return broken + [f"item {i}: moved to {state}" for i, state in at.items() if items[i].state != state]


def wrong_ledger(session: Session) -> Wrong:
    """Amounts that are not what annotations and predictions earn; one line for each while nothing changed."""
    cards = {row.id: row for row in session.scalars(select(RateCardRow))}
    lanes = {row.id: row for row in session.scalars(select(LaneRow))}
    visits = {row.id: row for row in session.scalars(select(VisitRow))}
    expected: Counter[Hashable] = Counter()
    unchanged = set()
    for row in session.scalars(select(AnnotationRow)):
        for card in cards.values():
            applies = card.pool_id == lanes[visits[row.visit_id].lane_id].pool_id
            if applies and card.unit == "item" and row.status in USED and row.deleted_at is None:
                expected["annotation", str(row.id), card.id] += int(card.price * 1_000_000)
        if row.revision == 1:
            unchanged.add(str(row.id))
    for one in session.scalars(select(PredictionRow)):
        expected["prediction", f"{one.model_version_id}:{one.item_id}", 0] += int(one.cost * 1_000_000)
    booked: Counter[Hashable] = Counter()
    lines: Counter[Hashable] = Counter()
    for line in session.scalars(select(LedgerRow)):
        key = (line.source_kind, line.source_id, line.rate_card_id)
        booked[key] += int(line.amount * 1_000_000)
        lines[key] += 1
    twice = [key for key, n in lines.items() if n > 1 and key[1] in unchanged]  # type: ignore[index]
    found = {
        "ledger amounts": differences(booked, expected),
        "ledger lines": twice,
        "predictions without a line": [
            key
            for key in expected
            if key[0] == "prediction" and lines[key] != 1  # type: ignore[index]
        ],
    }
    return {name: problem for name, problem in found.items() if problem}


def wrong_tallies(made: Installation) -> Wrong:
    """Counts kept beside the annotations that differ from counting anew."""
    with made.outside.db.read() as session:
        annotations = session.scalars(
            select(AnnotationRow).order_by(AnnotationRow.created_at, AnnotationRow.id)
        ).all()
        cap_s = made.project().lead_time_cap_s
        found = {
            "tally_costs": differences(cost_tallies(session), costs(session)),
            "tally_hours": differences(hour_tallies(session), hours(session, annotations, cap_s)),
            "tally_patterns": differences(
                {row.pattern: row.items for row in session.scalars(select(PatternTallyRow))},
                patterns(blind_answers(annotations)),
            ),
            "tally_pairs": differences(
                {
                    (row.person_a, row.person_b, row.label_a, row.label_b): row.items
                    for row in session.scalars(select(PairTallyRow))
                },
                pairs(blind_answers(annotations)),
            ),
            "tally_models": differences(
                {
                    (row.model_version_id, row.blind, row.predicted, row.given): row.answers
                    for row in session.scalars(select(ModelTallyRow))
                },
                models(annotations),
            ),
        }
    return {name: problem for name, problem in found.items() if problem}


def costs(session: Session) -> Counter[Hashable]:
    """Millionths and lines of the ledger by kind."""
    found: Counter[Hashable] = Counter()
    for line in session.scalars(select(LedgerRow)):
        found[line.kind, line.currency, "amount"] += int(line.amount * 1_000_000)
        found[line.kind, line.currency, "entries"] += 1
    return found


def cost_tallies(session: Session) -> Counter[Hashable]:
    """The same as kept."""
    found: Counter[Hashable] = Counter()
    for row in session.scalars(select(CostTallyRow)):
        found[row.kind, row.currency, "amount"] += int(row.amount * 1_000_000)
        found[row.kind, row.currency, "entries"] += row.entries
    return found


HOUR_NAMES = (
    "annotations",
    "counted",
    "above_overlap",
    "skipped",
    "not_counted",
    "lead_time_ms",
    "timed",
    "resolved",
)


def hours(session: Session, annotations: Iterable[AnnotationRow], cap_s: int) -> Counter[Hashable]:
    """What each person did by hour, from the annotations; resolved items from first labels."""
    found: Counter[Hashable] = Counter()
    for row in annotations:
        if row.deleted_at is not None:
            continue
        key = (row.created_at.replace(minute=0, second=0, microsecond=0), row.person_id)
        found[*key, "annotations"] += 1
        found[*key, row.status] += 1
        if row.lead_time_s is not None and row.status != "not_counted":
            found[*key, "lead_time_ms"] += round(min(max(row.lead_time_s, 0.0), cap_s) * 1000)
            found[*key, "timed"] += 1
    for label in session.scalars(select(LabelRow).where(LabelRow.revision == 1)):
        hour = label.resolved_at.replace(minute=0, second=0, microsecond=0)
        found[hour, 0 if label.source == "machine" else -1, "resolved"] += 1
    return found


def hour_tallies(session: Session) -> Counter[Hashable]:
    """The same as kept."""
    found: Counter[Hashable] = Counter()
    for row in session.scalars(select(HourTallyRow)):
        for name in HOUR_NAMES:
            found[row.hour, row.person_id, name] += getattr(row, name)
    return found


def blind_answers(annotations: Iterable[AnnotationRow]) -> dict[int, dict[int, str]]:
    """The first usable blind answer of each person by item."""
    found: defaultdict[int, dict[int, str]] = defaultdict(dict)
    for row in annotations:
        if row.blind and row.status in USED and row.deleted_at is None and row.person_id is not None:
            found[row.item_id].setdefault(row.person_id, row.label)
    return found


def patterns(answers: Mapping[int, Mapping[int, str]]) -> Counter[Hashable]:
    """Items by how many blind answers each label has."""
    found: Counter[Hashable] = Counter()
    for given in answers.values():
        if len(given) > 1:
            counts = Counter(given.values())
            found[",".join(str(counts[label]) for label in LABELS)] += 1
    return found


def pairs(answers: Mapping[int, Mapping[int, str]]) -> Counter[Hashable]:
    """Pairs of blind answers by persons and labels."""
    found: Counter[Hashable] = Counter()
    for given in answers.values():
        for one, other in combinations(sorted(given), 2):
            found[one, other, given[one], given[other]] += 1
    return found


def models(annotations: Iterable[AnnotationRow]) -> Counter[Hashable]:
    """Answers by what the model had said."""
    found: Counter[Hashable] = Counter()
    for row in annotations:
        if (
            row.model_version_id is not None
            and row.predicted
            and row.status in USED
            and row.deleted_at is None
        ):
            found[row.model_version_id, row.blind, row.predicted, row.label] += 1
    return found


def wrong_tasks(made: Installation, *, copies: bool = False) -> Wrong:
    """Where Label Studio and we differ, lane by lane and by key: tasks, and annotations.

    Args:
        made: The installation.
        copies: A visit may have had a second task, known to us as a visit of its own, if people answered it.
    """
    found: dict[str, Any] = {}
    with made.outside.db.read() as session, made.server.client() as client:
        for lane in session.scalars(select(LaneRow).where(LaneRow.ls_project_id.is_not(None))):
            assert lane.ls_project_id is not None
            tasks = client.read_tasks(lane.ls_project_id, client.task_ids(lane.ls_project_id))
            visits = session.scalars(
                select(VisitRow).where(VisitRow.lane_id == lane.id, VisitRow.ls_task_id.is_not(None))
            ).all()
            ours = {
                row.ls_annotation_id: (chosen(row.result), row.ls_user_id)
                for row in session.scalars(
                    select(AnnotationRow)
                    .join(VisitRow, VisitRow.id == AnnotationRow.visit_id)
                    .where(
                        VisitRow.lane_id == lane.id,
                        AnnotationRow.deleted_at.is_(None),
                        # Answers stay here when somebody deletes their task there.
                        AnnotationRow.ls_task_id.in_([task.task_id for task in tasks]),
                    )
                )
            }
            there = {
                one.annotation_id: (chosen(one.result), one.completed_by)
                for task in tasks
                for one in task.annotations
            }
            keys = [str(task.visit_key) for task in tasks]
            problems = {
                "visits with two tasks": [] if copies else doubled(keys),
                "tasks": differences(
                    {
                        (visit.ls_task_id if copies else visit.public_id, visit.ls_task_id): 1
                        for visit in visits
                    },
                    {(task.task_id if copies else str(task.visit_key), task.task_id): 1 for task in tasks},
                ),
                "annotations": sorted(set(there) ^ set(ours)),
                "answers": [key for key in set(there) & set(ours) if there[key] != ours[key]],
            }
            found |= {f"{lane.title}: {name}": problem for name, problem in problems.items() if problem}
        rows = session.scalars(select(AnnotationRow)).all()
    same = doubled((row.server_id, row.epoch, row.ls_annotation_id) for row in rows)
    return found | ({"annotation rows": same} if same else {})


def chosen(result: Any) -> str:
    """The labels of an answer as the server holds them; empty for a skip."""
    return ",".join(choice for one in result or [] for choice in one["value"]["choices"])


def current_labels(session: Session, project_id: int) -> list[tuple[str, str, str]]:
    """Text, label and source of every final label."""
    rows = session.execute(
        select(ItemPartRow.text, LabelRow.label, LabelRow.source)
        .join(LabelRow, LabelRow.item_id == ItemPartRow.item_id)
        .where(
            LabelRow.project_id == project_id,
            LabelRow.superseded_at.is_(None),
            ItemPartRow.kind == "text",
        )
    )
    return [(text, label, source) for text, label, source in rows]


def cost_by_hand(made: Installation) -> Decimal:
    """What people's usable answers and the model's predictions cost."""
    with made.outside.db.read() as session:
        prices = {row.pool_id: row.price for row in session.scalars(select(RateCardRow))}
        pools = session.execute(
            select(LaneRow.pool_id)
            .join(VisitRow, VisitRow.lane_id == LaneRow.id)
            .join(AnnotationRow, AnnotationRow.visit_id == VisitRow.id)
            .where(AnnotationRow.status.in_(USED), AnnotationRow.deleted_at.is_(None))
        ).scalars()
        machine = session.scalars(
            select(PredictionRow.cost)
            .join(ModelVersionRow, ModelVersionRow.id == PredictionRow.model_version_id)
            .where(ModelVersionRow.project_id == made.project_id)
        )
        return sum((prices[pool] for pool in pools), Decimal(0)) + sum(machine, Decimal(0))


def items_with_two_blind_answers(made: Installation) -> int:
    """Items on which people's agreement is measured."""
    with made.outside.db.read() as session:
        return sum(len(given) > 1 for given in blind_answers(session.scalars(select(AnnotationRow))).values())


def doubled(keys: Iterable[Any]) -> list[Any]:
    """Keys that come more than once."""
    return [key for key, n in Counter(keys).items() if n > 1]


def differences(kept: Mapping[Any, int], counted: Mapping[Any, int]) -> dict[Any, tuple[int, int]]:
    """Where two counts differ: (kept, counted); a missing one is 0."""
    return {
        key: (kept.get(key, 0), counted.get(key, 0))
        for key in {*kept, *counted}
        if kept.get(key, 0) != counted.get(key, 0)
    }
