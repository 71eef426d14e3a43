"""How items get their final label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from routing.aggregation.majority import majority
from workbench.decisions.tables import DecisionRow
from workbench.items.domain import ItemState, Purpose
from workbench.items.store import move_items
from workbench.items.tables import ItemRow
from workbench.labeling.tables import AnnotationRow, VisitRow
from workbench.labeling.visits import add_adjudication
from workbench.labels import store
from workbench.outside import Outside
from workbench.projects.store import label_values, project_by_id
from workbench.projects.tables import ProjectRow
from workbench.tallies.service import count_resolved
from workbench.tallies.store import item_costs


def resolve_accepted(outside: Outside, project_id: int) -> dict[str, int]:
    """The machine's label for a chunk of accepted items."""
    now = outside.now()
    with outside.db.write(project=project_id) as session:
        items = store.items_in_state(session, project_id, ItemState.ACCEPTED, outside.settings.chunk_items)
        decisions = store.decisions_of(session, items)
        predictions = store.predictions_of(session, list(decisions.values()))
        rows = []
        for item in items:
            decision, prediction = decisions[item.id], predictions[item.id]
            rows.append(
                _row(item, decision)
                | {
                    "label": prediction.label,
                    "source": "machine",
                    "method": "accepted",
                    "annotations": 0,
                    "share": 1.0,
                    "confidence": prediction.confidence,
                    "reason": decision.public_reason,
                    "resolved_at": now,
                }
            )
        _finish(outside, session, project_id, rows, source="machine")
    return {"items": len(rows)}


def resolve_annotated(outside: Outside, project_id: int) -> dict[str, int]:
    """The people's label for a chunk of annotated items; ties are sent on to adjudication."""
    with outside.db.write(project=project_id) as session:
        project = project_by_id(session, project_id)
        labels = label_values(session, project_id)
        items = store.items_in_state(session, project_id, ItemState.ANNOTATED, outside.settings.chunk_items)
        answers = store.counted_answers(session, items)
        decisions = store.decisions_of(session, items)
        consensus = _consensus(items, answers, labels)
        rows, ties = [], []
        for item in items:
            found = consensus[item.id]
            if found is None:
                ties.append(item)
            else:
                rows.append(_row(item, decisions.get(item.id)) | found | {"resolved_at": outside.now()})
        _send_on(outside, session, project, ties, answers)
        _finish(outside, session, project_id, rows, source="people")
    return {"items": len(rows), "ties": len(ties)}


def _consensus(
    items: Sequence[ItemRow],
    answers: dict[int, list[tuple[VisitRow, AnnotationRow]]],
    labels: Sequence[str],
) -> dict[int, dict[str, Any] | None]:
    """What the answers come to for each item; None for a tie."""
    index = {label: i for i, label in enumerate(labels)}
    votes = [
        (row, index[annotation.label])
        for row, item in enumerate(items)
        for _, annotation in answers.get(item.id, [])
        if annotation.label in index
    ]
    counted = majority(
        [row for row, _ in votes],
        [label for _, label in votes],
        n_items=len(items),
        n_labels=len(labels),
        threshold=0.0,
    )
    found: dict[int, dict[str, Any] | None] = {}
    for row, item in enumerate(items):
        given = answers.get(item.id, [])
        settled = [a for visit, a in given if visit.purpose == Purpose.ADJUDICATION]
        guideline = given[-1][0].guideline_version_id if given else None
        common = {"source": "people", "annotations": len(given), "guideline_version_id": guideline}
        if settled:
            verdict = settled[-1].label
            share = sum(a.label == verdict for _, a in given) / len(given)
            reason = f"adjudicated: {_spread(given)}"
            found[item.id] = common | {
                "label": verdict,
                "method": "adjudication",
                "share": share,
                "reason": reason,
            }
        elif counted.label[row] < 0:
            found[item.id] = None
        else:
            found[item.id] = common | {
                "label": labels[int(counted.label[row])],
                "method": "majority" if len(given) > 1 else "one answer",
                "share": float(counted.share[row]),
                "reason": f"people answered {_spread(given)}",
            }
    return found


def _spread(given: Sequence[tuple[VisitRow, AnnotationRow]]) -> str:
    counts: dict[str, int] = {}
    for _, annotation in given:
        counts[annotation.label] = counts.get(annotation.label, 0) + 1
    ordered = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    return ", ".join(f"{n} \u00d7 {label}" for label, n in ordered)


def _send_on(
    outside: Outside,
    session: Session,
    project: ProjectRow,
    ties: Sequence[ItemRow],
    answers: dict[int, list[tuple[VisitRow, AnnotationRow]]],
) -> None:
    """One more opinion, from somebody who decides."""
    earlier = store.adjudications(session, [item.id for item in ties])
    reasons = {}
    for item in ties:
        given = answers.get(item.id, [])
        reasons[item.id] = f"people disagree ({_spread(given)}): sent to adjudication"
        if given:
            add_adjudication(outside, session, project, given[-1][0], attempt=len(earlier[item.id]) + 1)
    move_items(
        session,
        [item.id for item in ties],
        ItemState.QUEUED,
        at=outside.now(),
        actor="resolve",
        reason=reasons,
    )


def _row(item: ItemRow, decision: DecisionRow | None) -> dict[str, Any]:
    return {
        "project_id": item.project_id,
        "item_id": item.id,
        "decision_id": decision.id if decision else None,
        "policy_id": decision.policy_id if decision else None,
        "model_version_id": decision.model_version_id if decision else None,
        "guideline_version_id": None,
        "confidence": None,
    }


def _finish(
    outside: Outside, session: Session, project_id: int, rows: list[dict[str, Any]], *, source: str
) -> None:
    """Store labels as the next revisions, move the items, count them once."""
    if not rows:
        return
    now = outside.now()
    ids = [row["item_id"] for row in rows]
    revisions = store.last_revisions(session, ids)
    costs = item_costs(session, ids)
    for row in rows:
        row["revision"] = revisions.get(row["item_id"], 0) + 1
        row["cost"] = costs[row["item_id"]]
    store.supersede(session, ids, now)
    store.add_labels(session, rows)
    move_items(
        session,
        ids,
        ItemState.RESOLVED,
        at=now,
        actor="resolve",
        reason={row["item_id"]: f"{row['label']}: {row['reason']}" for row in rows},
    )
    first = sum(row["revision"] == 1 for row in rows)
    count_resolved(
        session,
        project_id,
        machine=first if source == "machine" else 0,
        people=first if source == "people" else 0,
        at=now,
    )
