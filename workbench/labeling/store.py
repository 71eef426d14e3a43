"""Queries on lanes, visits and annotations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import exists, func, insert, select, update
from sqlalchemy.orm import Session

from workbench.decisions.tables import DecisionRow
from workbench.errors import NotFound
from workbench.items.domain import ItemState, Purpose
from workbench.items.tables import ItemPartRow, ItemRow
from workbench.labeling.domain import VisitState
from workbench.labeling.tables import AnnotationRow, AnswerRow, LaneRow, ServerLifeRow, VisitRow
from workbench.prelabeling.tables import PredictionRow


def find_lane(session: Session, lane_id: int) -> LaneRow:
    """The lane of that id.

    Raises:
        NotFound: There is none.
    """
    row = session.get(LaneRow, lane_id)
    if row is None:
        raise NotFound(f"there is no lane {lane_id}")
    return row


def lanes_of(session: Session, project_id: int) -> list[LaneRow]:
    """The project's lanes."""
    return list(session.scalars(select(LaneRow).where(LaneRow.project_id == project_id).order_by(LaneRow.id)))


def item_with_key(session: Session, project_id: int, key: str) -> ItemRow | None:
    """The project's item of that opaque id, if it is known."""
    return session.scalar(select(ItemRow).where(ItemRow.project_id == project_id, ItemRow.public_id == key))


def waiting_visit(session: Session, lane_id: int, item_id: int) -> VisitRow | None:
    """The visit of an item that waits in a lane, if one does."""
    return session.scalar(
        select(VisitRow)
        .where(VisitRow.lane_id == lane_id, VisitRow.item_id == item_id, VisitRow.state == VisitState.QUEUED)
        .order_by(VisitRow.round.desc(), VisitRow.attempt.desc())
        .limit(1)
    )


def items_with_keys(session: Session, project_id: int, keys: Sequence[str]) -> list[ItemRow]:
    """The project's items of those opaque ids, by id."""
    found: list[ItemRow] = []
    for start in range(0, len(keys), 500):
        found += session.scalars(
            select(ItemRow).where(
                ItemRow.project_id == project_id, ItemRow.public_id.in_(keys[start : start + 500])
            )
        )
    return sorted(found, key=lambda item: item.id)


def open_visits(session: Session, item_id: int) -> list[VisitRow]:
    """Visits of an item that wait, are in a lane, or were refused."""
    open_states = (
        VisitState.QUEUED,
        VisitState.PUSHING,
        VisitState.IN_LANE,
        VisitState.REOPEN,
        VisitState.REFUSED,
    )
    return list(
        session.scalars(select(VisitRow).where(VisitRow.item_id == item_id, VisitRow.state.in_(open_states)))
    )


def refused_items(session: Session, project_id: int) -> set[str]:
    """Opaque ids of the project's items that Label Studio does not take."""
    return set(
        session.scalars(
            select(ItemRow.public_id)
            .join(VisitRow, VisitRow.item_id == ItemRow.id)
            .where(
                VisitRow.project_id == project_id,
                VisitRow.state == VisitState.REFUSED,
                ItemRow.state != ItemState.ERASED,
            )
        )
    )


def lanes_on(session: Session, server_id: int) -> list[LaneRow]:
    """The lanes of a server."""
    return list(session.scalars(select(LaneRow).where(LaneRow.server_id == server_id).order_by(LaneRow.id)))


def keys_sent(session: Session, lane_id: int) -> list[str]:
    """Keys of a lane's visits, any of which its server may have a task of."""
    return list(session.scalars(select(VisitRow.public_id).where(VisitRow.lane_id == lane_id)))


def lives_of(session: Session, server_id: int) -> list[ServerLifeRow]:
    """The epochs of a server, newest first."""
    return list(
        session.scalars(
            select(ServerLifeRow)
            .where(ServerLifeRow.server_id == server_id)
            .order_by(ServerLifeRow.epoch.desc())
        )
    )


def lane_for(
    session: Session, project_id: int, server_id: int, pool_id: int, stage: str, overlap: int
) -> LaneRow | None:
    """The lane of just this kind, if there is one."""
    return session.scalar(
        select(LaneRow).where(
            LaneRow.project_id == project_id,
            LaneRow.server_id == server_id,
            LaneRow.pool_id == pool_id,
            LaneRow.stage == stage,
            LaneRow.overlap == overlap,
        )
    )


def items_without_visit(session: Session, project_id: int, limit: int) -> list[tuple[ItemRow, DecisionRow]]:
    """Queued items that have a decision of their round but no visit of it yet."""
    rows = session.execute(
        select(ItemRow, DecisionRow)
        .join(DecisionRow, (DecisionRow.item_id == ItemRow.id) & (DecisionRow.round == ItemRow.round))
        .where(
            ItemRow.project_id == project_id,
            ItemRow.state == ItemState.QUEUED,
            # Answers that were adopted after a restore stand in a visit that no decision asked for.
            ~exists().where(
                VisitRow.item_id == ItemRow.id,
                VisitRow.round == ItemRow.round,
                VisitRow.decision_id.is_not(None),
            ),
        )
        .order_by(ItemRow.id)
        .limit(limit)
    )
    return [(item, decision) for item, decision in rows]


def add_visits(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Store visits."""
    if rows:
        session.execute(insert(VisitRow), list(rows))


def count_visits(session: Session, lane_id: int, states: Sequence[VisitState]) -> int:
    """How many visits of a lane are in these states."""
    return (
        session.scalar(
            select(func.count())
            .select_from(VisitRow)
            .where(VisitRow.lane_id == lane_id, VisitRow.state.in_(states))
        )
        or 0
    )


def visits_in(session: Session, lane_id: int, state: VisitState, limit: int | None = None) -> list[VisitRow]:
    """Visits of a lane in a state, most urgent first."""
    return list(
        session.scalars(
            select(VisitRow)
            .where(VisitRow.lane_id == lane_id, VisitRow.state == state)
            .order_by(VisitRow.priority.desc(), VisitRow.id)
            .limit(limit)
        )
    )


def set_visits(
    session: Session, visit_ids: Sequence[int], *, only_in: Sequence[VisitState] = (), **values: Any
) -> None:
    """Set columns of visits; with `only_in` of those alone that still are in these states.

    What was read before a server was asked may have been recalled, withdrawn or erased meanwhile.
    """
    states = (VisitRow.state.in_(only_in),) if only_in else ()
    for start in range(0, len(visit_ids), 500):
        session.execute(
            update(VisitRow)
            .where(VisitRow.id.in_(visit_ids[start : start + 500]), *states)
            .values(**values)
            .execution_options(synchronize_session=False)
        )


def texts_of(session: Session, item_ids: Sequence[int], field: str) -> dict[int, str]:
    """The shown text of items."""
    found: dict[int, str] = {}
    for start in range(0, len(item_ids), 500):
        rows = session.execute(
            select(ItemPartRow.item_id, ItemPartRow.text).where(
                ItemPartRow.item_id.in_(item_ids[start : start + 500]), ItemPartRow.name == field
            )
        )
        found.update({item_id: text for item_id, text in rows})  # noqa: C416 - rows, not pairs
    return found


def public_ids(session: Session, item_ids: Sequence[int]) -> dict[int, str]:
    """The opaque ids of items."""
    found: dict[int, str] = {}
    for start in range(0, len(item_ids), 500):
        rows = session.execute(
            select(ItemRow.id, ItemRow.public_id).where(ItemRow.id.in_(item_ids[start : start + 500]))
        )
        found.update({item_id: public_id for item_id, public_id in rows})  # noqa: C416
    return found


def predictions_of(session: Session, pairs: Sequence[tuple[int, int | None]]) -> dict[int, PredictionRow]:
    """Predictions by item id, each of the version named beside it."""
    wanted = {item_id: version for item_id, version in pairs if version is not None}
    ids = list(wanted)
    found: dict[int, PredictionRow] = {}
    for start in range(0, len(ids), 500):
        rows = session.scalars(
            select(PredictionRow).where(PredictionRow.item_id.in_(ids[start : start + 500]))
        )
        found.update({r.item_id: r for r in rows if r.model_version_id == wanted[r.item_id]})
    return found


def visits_by_key(session: Session, lane_id: int, keys: Sequence[str]) -> dict[str, VisitRow]:
    """Visits of a lane by public id."""
    found: dict[str, VisitRow] = {}
    for start in range(0, len(keys), 500):
        rows = session.scalars(
            select(VisitRow).where(
                VisitRow.lane_id == lane_id, VisitRow.public_id.in_(keys[start : start + 500])
            )
        )
        found.update({row.public_id: row for row in rows})
    return found


def visits_by_task(session: Session, lane_id: int, task_ids: Sequence[int]) -> dict[int, VisitRow]:
    """Visits of a lane by Label Studio task."""
    found: dict[int, VisitRow] = {}
    for start in range(0, len(task_ids), 500):
        rows = session.scalars(
            select(VisitRow).where(
                VisitRow.lane_id == lane_id, VisitRow.ls_task_id.in_(task_ids[start : start + 500])
            )
        )
        found.update({row.ls_task_id: row for row in rows if row.ls_task_id is not None})
    return found


def tasks_of(session: Session, lane_id: int) -> set[int]:
    """Label Studio tasks of a lane's visits."""
    rows = session.scalars(
        select(VisitRow.ls_task_id).where(VisitRow.lane_id == lane_id, VisitRow.ls_task_id.is_not(None))
    )
    return {task_id for task_id in rows if task_id is not None}


def annotations_of_items(session: Session, item_ids: Sequence[int]) -> dict[int, list[AnnotationRow]]:
    """All annotations of items, deleted ones too, oldest first."""
    found: defaultdict[int, list[AnnotationRow]] = defaultdict(list)
    for start in range(0, len(item_ids), 500):
        rows = session.scalars(
            select(AnnotationRow)
            .where(AnnotationRow.item_id.in_(item_ids[start : start + 500]))
            .order_by(AnnotationRow.created_at, AnnotationRow.id)
        )
        for row in rows:
            found[row.item_id].append(row)
    return found


def adjudications_of(session: Session, item_id: int, round_number: int) -> int:
    """How often an item was sent to adjudication in a round."""
    return (
        session.scalar(
            select(func.count())
            .select_from(VisitRow)
            .where(
                VisitRow.item_id == item_id,
                VisitRow.round == round_number,
                VisitRow.purpose == Purpose.ADJUDICATION,
            )
        )
        or 0
    )


def replace_answers(session: Session, annotation_id: int, answers: Sequence[dict[str, Any]]) -> None:
    """The normal form of an annotation, instead of what stood there."""
    session.execute(AnswerRow.__table__.delete().where(AnswerRow.annotation_id == annotation_id))  # type: ignore[attr-defined]
    if answers:
        session.execute(
            insert(AnswerRow),
            [{"annotation_id": annotation_id, "position": i} | one for i, one in enumerate(answers)],
        )


def lanes_with_work(
    session: Session, pool_ids: Sequence[int], server_ids: Sequence[int], person_id: int
) -> list[tuple[LaneRow, int, int]]:
    """Lanes of these pools with open visits that this person has not answered: (lane, visits, priority)."""
    answered = exists().where(
        AnnotationRow.visit_id == VisitRow.id,
        AnnotationRow.person_id == person_id,
        AnnotationRow.deleted_at.is_(None),
    )
    rows = session.execute(
        select(LaneRow, func.count(VisitRow.id), func.max(VisitRow.priority))
        .join(VisitRow, VisitRow.lane_id == LaneRow.id)
        .where(
            LaneRow.pool_id.in_(pool_ids),
            LaneRow.server_id.in_(server_ids),
            LaneRow.ls_project_id.is_not(None),
            VisitRow.state == VisitState.IN_LANE,
            ~answered,
        )
        .group_by(LaneRow.id)
    )
    return [(lane, n, priority) for lane, n, priority in rows]
