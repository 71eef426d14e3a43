"""Visits: made for items that go to people, and made to wait again when their task is lost."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from workbench.items.domain import ItemState, Purpose, Stage
from workbench.items.store import move_items, states_of
from workbench.labeling import store
from workbench.labeling.domain import OPEN_IN_LANE, VisitState
from workbench.labeling.lanes import ensure_lane
from workbench.labeling.tables import VisitRow
from workbench.outside import Outside
from workbench.projects.store import guideline_at, project_by_id
from workbench.projects.tables import ProjectRow


def make_visits(outside: Outside, project_id: int) -> dict[str, Any]:
    """Visits for items that were sent to people: a chunk of them, in one transaction."""
    now = outside.now()
    with outside.db.write(project=project_id) as session:
        project = project_by_id(session, project_id)
        waiting = store.items_without_visit(session, project_id, outside.settings.chunk_items)
        guideline = guideline_at(session, project_id, now)
        rows = []
        problem = ""
        for item, decision in waiting:
            pool_id = decision.pool_id or project.pool_id
            if pool_id is None:
                problem = f"project `{project.key}` has no pool of annotators; add one on its People page"
                continue
            lane = ensure_lane(outside, session, project, pool_id, decision.stage, decision.overlap)
            rows.append(
                {
                    "public_id": outside.new_id(),
                    "project_id": project_id,
                    "item_id": item.id,
                    "lane_id": lane.id,
                    "supplier_id": lane.supplier_id,
                    "decision_id": decision.id,
                    "model_version_id": decision.model_version_id,
                    "guideline_version_id": guideline.id if guideline else None,
                    "purpose": decision.purpose,
                    "round": item.round,
                    "attempt": 1,
                    "show_suggestion": decision.show_suggestion,
                    "priority": decision.priority,
                    "overlap": decision.overlap,
                    "state": VisitState.QUEUED,
                    "epoch": 0,
                    "created_at": now,
                }
            )
        store.add_visits(session, rows)
    return {"visits": len(rows), "problem": problem}


def add_adjudication(
    outside: Outside, session: Session, project: ProjectRow, visit: VisitRow, attempt: int
) -> VisitRow:
    """A further visit, by the adjudicators (or the same pool where the project has none)."""
    lane = store.find_lane(session, visit.lane_id)
    pool_id = project.adjudication_pool_id or lane.pool_id
    target = ensure_lane(outside, session, project, pool_id, Stage.ADJUDICATE, 1)
    row = VisitRow(
        public_id=outside.new_id(),
        project_id=project.id,
        item_id=visit.item_id,
        lane_id=target.id,
        supplier_id=target.supplier_id,
        decision_id=visit.decision_id,
        model_version_id=visit.model_version_id,
        guideline_version_id=visit.guideline_version_id,
        purpose=Purpose.ADJUDICATION,
        round=visit.round,
        attempt=attempt,
        show_suggestion=False,
        priority=min(visit.priority + 10, 100),
        overlap=1,
        state=VisitState.QUEUED,
        epoch=0,
        created_at=outside.now(),
    )
    session.add(row)
    session.flush()
    return row


def send_again(session: Session, visits: list[VisitRow], reason: str, now: datetime) -> None:
    """Let visits wait again whose task is gone from Label Studio; answers that came are kept."""
    store.set_visits(
        session,
        [visit.id for visit in visits],
        only_in=OPEN_IN_LANE,
        state=VisitState.QUEUED,
        ls_task_id=None,
        ls_updated_at=None,
        push_started_at=None,
    )
    states = states_of(session, [visit.item_id for visit in visits])
    move_items(
        session,
        [item_id for item_id, (_, state) in states.items() if state is ItemState.IN_LABELING],
        ItemState.QUEUED,
        at=now,
        actor="reconcile",
        reason=reason,
    )
