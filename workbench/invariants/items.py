"""I1, I2, I3: every row of an import is accounted for, every item moved by the table and has an owner."""

from __future__ import annotations

import csv
from datetime import timedelta
from pathlib import Path

from sqlalchemy import and_, exists, func, or_, select, tuple_
from sqlalchemy.orm import Session

from workbench.decisions.tables import RoutingPolicyRow
from workbench.invariants.domain import MOST_SHOWN, Collected, Found
from workbench.items.domain import MOVES, ItemState
from workbench.items.tables import ImportRow, ItemMoveRow, ItemRow
from workbench.jobs.store import OPEN
from workbench.jobs.tables import JobRow
from workbench.labeling.domain import OPEN_IN_LANE, LaneState, VisitState
from workbench.labeling.tables import LaneRow, VisitRow
from workbench.model_versions.tables import ModelVersionRow
from workbench.outside import Outside
from workbench.people.tables import ServerRow
from workbench.projects.tables import ProjectRow

PATIENCE = timedelta(minutes=10)
"""An open item may be without an owner so long."""
_LEGAL = [("", ItemState.IMPORTED.value)] + [
    (one.value, to.value) for one, tos in MOVES.items() for to in tos
]
# A file that is being joined again is not counted while its import is not done.
_DONE = "done"


def imports(session: Session, outside: Outside) -> Found:  # noqa: ARG001
    """I1: each row of an import is one item, was known already, or stands among its refusals."""
    seen = Collected()
    counted = session.execute(select(ItemRow.import_id, func.count()).group_by(ItemRow.import_id))
    items = {number: n for number, n in counted}  # noqa: C416 - rows, not pairs
    for row in session.scalars(select(ImportRow)):
        seen.checked += row.rows_read
        where, name = f"import:{row.id}", f"import {row.id} ({row.file_name})"
        remedy = "import the file again: rows that are known already are passed over"
        told = row.rows_added + row.rows_known + row.rows_conflicting + row.rows_rejected
        if told != row.rows_read:
            seen.add(
                where, "rows_lost", f"{name}: {row.rows_read} rows were read, {told} accounted for", remedy
            )
        if items.get(row.id, 0) != row.rows_added:
            sentence = f"{name}: {row.rows_added} items were added, {items.get(row.id, 0)} are there"
            seen.add(where, "items_lost", sentence, remedy)
        refused = row.rows_conflicting + row.rows_rejected
        if row.state == _DONE and refused and (kept := _kept(row.rejects_path)) != refused:
            sentence = f"{name}: {refused} rows were refused, {kept} stand in the file of refusals"
            seen.add(where, "refusals_lost", sentence, remedy)
    return seen.found()


def _kept(path: str) -> int:
    """Rows in a file of refusals, its header left out."""
    try:
        with Path(path).open(encoding="utf-8-sig", newline="", errors="replace") as file:
            return max(sum(1 for _ in csv.reader(file)) - 1, 0)
    except (OSError, csv.Error):
        return 0


def moves(session: Session, outside: Outside) -> Found:  # noqa: ARG001
    """I2: an item's state is the target of its last move; only legal moves, and no gap between two."""
    seen = Collected(session.scalar(select(func.count()).select_from(ItemMoveRow)) or 0)
    remedy = "somebody or something wrote to the tables directly; restore, or move the item by its page"
    chain = select(
        ItemMoveRow.item_id,
        ItemMoveRow.from_state,
        ItemMoveRow.to_state,
        func.lag(ItemMoveRow.to_state, 1, "")
        .over(partition_by=ItemMoveRow.item_id, order_by=ItemMoveRow.id)
        .label("before"),
        func.lead(ItemMoveRow.id)
        .over(partition_by=ItemMoveRow.item_id, order_by=ItemMoveRow.id)
        .label("after"),
    ).subquery()
    illegal = tuple_(chain.c.from_state, chain.c.to_state).not_in(_LEGAL)
    wrong_end = and_(chain.c.after.is_(None), chain.c.to_state != ItemRow.state)
    rows = session.execute(
        select(chain, ItemRow.state)
        .join(ItemRow, ItemRow.id == chain.c.item_id)
        .where(or_(chain.c.from_state != chain.c.before, illegal, wrong_end))
        .limit(MOST_SHOWN)
    )
    for item_id, from_state, to_state, before, after, state in rows:
        where = f"item:{item_id}"
        if from_state != before:
            sentence = f"item {item_id} moved from `{from_state}` while it was `{before or 'not there'}`"
            seen.add(where, "gap", sentence, remedy)
        if (from_state, to_state) not in _LEGAL:
            seen.add(
                where, "illegal_move", f"item {item_id} moved from `{from_state}` to `{to_state}`", remedy
            )
        if after is None and to_state != state:
            seen.add(where, "wrong_state", f"item {item_id} is `{state}`, last moved to `{to_state}`", remedy)
    unmoved = ~exists().where(ItemMoveRow.item_id == ItemRow.id)
    for item_id in session.scalars(select(ItemRow.id).where(unmoved).limit(MOST_SHOWN)):
        seen.add(f"item:{item_id}", "no_moves", f"item {item_id} is there without a move", remedy)
    return seen.found()


def owners(session: Session, outside: Outside) -> Found:
    """I3: each open item has an owner (a job, a live task, a waiting visit, or a person) within ten minutes.

    A person owns what only a person can go on with: a paused project, one without a policy, pool or model
    where it waits for one, a cancelled job, a lane or server that says what is wrong with it.
    """
    seen = Collected()
    since = outside.now() - PATIENCE
    for project in session.scalars(select(ProjectRow).where(ProjectRow.state == "active")):
        _unworked(session, project, since, seen)
        if project.server_id is not None:
            _unshown(session, project, since, seen)
    final = (ItemState.RESOLVED, ItemState.DELIVERED)
    seen.checked = session.scalar(select(func.count()).where(ItemRow.state.not_in(final))) or 0
    return seen.found()


def _unworked(session: Session, project: ProjectRow, since: object, seen: Collected) -> None:
    """Items that wait for the machine, though no job is asked for that would take them."""
    live = _any(session, ModelVersionRow.project_id == project.id, ModelVersionRow.stage == "live")
    policy = _any(session, RoutingPolicyRow.project_id == project.id, RoutingPolicyRow.state == "active")
    takers = {
        ItemState.IMPORTED: (
            "prelabel" if live else "decide",
            live or (policy and project.without_model == "people"),
        ),
        ItemState.PREDICTED: ("decide", policy),
        ItemState.ACCEPTED: ("resolve", True),
        ItemState.ANNOTATED: ("resolve", True),
    }
    for state, (kind, is_machine) in takers.items():
        if not is_machine or _is_taken(session, project.id, kind):
            continue
        rows = session.scalars(
            select(ItemRow.id)
            .where(ItemRow.project_id == project.id, ItemRow.state == state, ItemRow.state_at < since)
            .limit(MOST_SHOWN)
        )
        for item_id in rows:
            sentence = f"item {item_id} is `{state}` for more than ten minutes and no {kind} job takes it"
            seen.add(
                f"item:{item_id}", "no_job", sentence, "start a worker: workbench serve, or workbench worker"
            )


def _is_taken(session: Session, project_id: int, kind: str) -> bool:
    """A job of this kind is open, or the last one was cancelled: then a person holds it."""
    last = session.scalar(
        select(JobRow.state)
        .where(JobRow.project_id == project_id, JobRow.kind == kind)
        .order_by(JobRow.state.in_(OPEN).desc(), JobRow.created_at.desc())
        .limit(1)
    )
    return last in {*OPEN, "cancelled", "failed"}


def _unshown(session: Session, project: ProjectRow, since: object, seen: Collected) -> None:
    """Items that wait for people, though nobody is asked."""
    remedy = "open the item's page to see its visits; a worker must run"
    open_states = (VisitState.QUEUED, *OPEN_IN_LANE, VisitState.REFUSED)
    same_round = (VisitRow.item_id == ItemRow.id, VisitRow.round == ItemRow.round)
    asked = exists().where(*same_round, VisitRow.state.in_(open_states))
    rows = session.execute(
        select(ItemRow.id, ItemRow.state, exists().where(*same_round))
        .where(
            ItemRow.project_id == project.id,
            ItemRow.state.in_((ItemState.QUEUED, ItemState.IN_LABELING)),
            ItemRow.state_at < since,
            ~asked,
        )
        .limit(MOST_SHOWN)
    )
    for item_id, state, has_visits in rows:
        if has_visits or project.pool_id is not None:
            sentence = f"item {item_id} is `{state}` for more than ten minutes, and nobody is asked about it"
            seen.add(f"item:{item_id}", "nobody_asked", sentence, remedy)
    lanes = session.scalars(
        select(LaneRow)
        .join(ServerRow, ServerRow.id == LaneRow.server_id)
        .where(LaneRow.project_id == project.id, LaneRow.state == LaneState.READY, ServerRow.state == "ready")
    )
    for lane in lanes:
        _stuck_in(session, project, lane, since, seen)


def _stuck_in(session: Session, project: ProjectRow, lane: LaneRow, since: object, seen: Collected) -> None:
    remedy = "look at the lane and the log of the worker; `workbench doctor` tells whether it runs"
    doubtful = session.scalars(
        select(VisitRow.id)
        .where(
            VisitRow.lane_id == lane.id,
            VisitRow.state == VisitState.PUSHING,
            VisitRow.push_started_at < since,
        )
        .limit(MOST_SHOWN)
    )
    for visit_id in doubtful:
        sentence = f"visit {visit_id} is being sent to lane {lane.id} for more than ten minutes"
        seen.add(f"visit:{visit_id}", "push_unsettled", sentence, remedy)
    count = select(func.count()).select_from(VisitRow)
    inside = session.scalar(count.where(VisitRow.lane_id == lane.id, VisitRow.state.in_(OPEN_IN_LANE))) or 0
    waiting = (
        session.scalar(
            count.join(ItemRow, ItemRow.id == VisitRow.item_id).where(
                VisitRow.lane_id == lane.id, VisitRow.state == VisitState.QUEUED, ItemRow.state_at < since
            )
        )
        or 0
    )
    room = project.lane_limit - inside
    if waiting and (room >= max(project.lane_limit // 4, 1) or waiting <= room):
        sentence = (
            f"{waiting} visits wait for more than ten minutes for lane {lane.id}, which has room for {room}"
        )
        seen.add(f"lane:{lane.id}", "not_sent", sentence, remedy)


def _any(session: Session, *where: object) -> bool:
    return bool(session.scalar(select(exists().where(*where))))  # type: ignore[arg-type]
