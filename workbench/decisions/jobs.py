"""The job that decides where a project's predicted items go."""

from __future__ import annotations

from typing import Any

from routing.policy import decide
from workbench.decisions.service import active_rules, columns_of, decision_rows, ensure_lottery_key
from workbench.decisions.store import Undecided, add_decisions, undecided
from workbench.items.domain import ItemState, Purpose
from workbench.items.store import move_items
from workbench.jobs.definition import JobKind, JobRun, Json
from workbench.outside import Outside
from workbench.people.store import pool_ids
from workbench.projects.store import label_values, project_by_id

DECIDE = "decide"


def run(job: JobRun, arguments: dict[str, Any]) -> Json:
    """Decide chunk by chunk until no item waits."""
    totals = {"items": 0, "accepted": 0, "people": 0}
    while True:
        chunk = job.step(decide_chunk, arguments["project_id"], arguments["without_model"])
        if chunk["items"] == 0:
            return totals
        totals = {name: totals[name] + chunk[name] for name in totals}
        job.progress(totals["items"], totals["items"], "deciding")


def decide_chunk(outside: Outside, project_id: int, without_model: bool) -> dict[str, int]:  # noqa: FBT001
    """Decisions for the next chunk, their reasons and moves in one transaction.

    Args:
        outside: The outside world.
        project_id: The project.
        without_model: Also take items that no model has seen; rules then know no prediction.
    """
    states = [ItemState.PREDICTED, *([ItemState.IMPORTED] if without_model else [])]
    now = outside.now()
    with outside.db.write(project=project_id) as session:
        project = project_by_id(session, project_id)
        labels = label_values(session, project_id)
        found = undecided(session, project_id, states, outside.settings.chunk_items)
        if not found:
            return {"items": 0, "accepted": 0, "people": 0}
        policy_id, policy = active_rules(session, project_id, labels)
        key = ensure_lottery_key(outside, session, project_id)
        decided = decide(policy, columns_of(found, labels), key=key)
        rows = decision_rows(
            decided, found, project_id=project_id, policy_id=policy_id, pools=pool_ids(session), now=now
        )
        for row in rows:
            row["pool_id"] = row["pool_id"] or project.pool_id
        add_decisions(session, rows)
        accepted = [r for r in rows if r["outcome"] == "accept" and r["purpose"] == Purpose.ORDINARY]
        people = [r for r in rows if not (r["outcome"] == "accept" and r["purpose"] == Purpose.ORDINARY)]
        for part, state in ((accepted, ItemState.ACCEPTED), (people, ItemState.QUEUED)):
            move_items(
                session,
                [row["item_id"] for row in part],
                state,
                at=now,
                actor="decide",
                # The move tells what may be known at once; the lottery's outcome stays in the decision.
                reason={row["item_id"]: row["public_reason"] for row in part},
                because=_because(part, found),
            )
    return {"items": len(rows), "accepted": len(accepted), "people": len(people)}


def _because(rows: list[dict[str, Any]], found: list[Undecided]) -> dict[int, dict[str, Any]]:
    versions = {item.item_id: item.model_version_id for item in found}
    return {
        row["item_id"]: {"policy_id": row["policy_id"], "model_version_id": versions[row["item_id"]]}
        for row in rows
    }


JOB = JobKind(DECIDE, run, unit="items")
