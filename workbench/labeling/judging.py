"""What one task's annotations come to: stored, counted, and the visit and its item moved on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from integrations.label_studio.convert import Answer, read_result, unknown_labels
from integrations.label_studio.interface import RawAnnotation
from integrations.label_studio.label_config import LabelConfig
from workbench.items.domain import ItemState, Purpose, Stage
from workbench.items.store import move_items, states_of
from workbench.labeling import store
from workbench.labeling.domain import (
    Heard,
    Judged,
    VisitState,
    judge,
    missing_answers,
    nobody_left,
    too_often_skipped,
)
from workbench.labeling.tables import AnnotationRevisionRow, AnnotationRow, LaneRow, VisitRow
from workbench.labeling.visits import add_adjudication
from workbench.outside import Outside
from workbench.people.belonging import supplier_of_person
from workbench.people.tables import ServerRow
from workbench.prelabeling.tables import PredictionRow
from workbench.projects.tables import ProjectRow
from workbench.tallies.domain import Change, Fact, Rate, Status

NOBODY_KNOWN = -2
"""In the trackers, an answer by an account that the server does not list."""


@dataclass
class LaneContext:
    """What judging a lane's answers needs to know."""

    project: ProjectRow
    server: ServerRow
    row: LaneRow
    config: LabelConfig
    labels: tuple[str, ...]
    rates: list[Rate]
    persons: dict[int, int]
    pool: frozenset[int]
    now: datetime
    changes: list[Change] = field(default_factory=list)


def judge_task(
    outside: Outside,
    session: Session,
    context: LaneContext,
    visit: VisitRow,
    annotations: Sequence[RawAnnotation],
    *,
    is_labeled: bool,
) -> None:
    """Bring what is stored of one visit in line with its task; changes are collected in the context."""
    rows = [
        row
        for row in store.annotations_of_items(session, [visit.item_id])[visit.item_id]
        if row.visit_id == visit.id
    ]
    # A task that somebody deleted takes no answers with it, nor does a server that was restored: what was
    # given there still counts.
    before = [
        row for row in rows if row.epoch != visit.epoch or row.ls_task_id not in {None, visit.ls_task_id}
    ]
    earlier = frozenset(
        _account_now(context, row)
        for row in before
        if row.status == Status.COUNTED and row.deleted_at is None
    )
    known = {row.ls_annotation_id: row for row in rows if row not in before}
    heard = {raw.annotation_id: _hear(context, raw, known.get(raw.annotation_id)) for raw in annotations}
    # Every member of a server sees every lane; who decides a disagreement is not left to chance.
    deciders = context.pool if context.row.stage == Stage.ADJUDICATE and context.pool else None
    judged = judge([one for one, _ in heard.values()], visit.overlap, only_by=deciders, earlier=earlier)
    for one in judged:
        answers = heard[one.heard.ls_annotation_id][1]
        _store(session, context, visit, known.get(one.heard.ls_annotation_id), one, answers)
    for ls_id, row in known.items():
        if ls_id not in heard and row.deleted_at is None:
            _tombstone(session, context, row)
    _advance(outside, session, context, visit, judged, earlier, is_labeled=is_labeled)


def _account_now(context: LaneContext, row: AnnotationRow) -> int:
    """Whose answer it is; after a restore the same person may have another number."""
    if row.epoch == context.server.epoch:
        return row.ls_user_id
    now = [number for number, person in context.persons.items() if person == row.person_id]
    return now[0] if now else -row.id


def _hear(
    context: LaneContext, raw: RawAnnotation, row: AnnotationRow | None
) -> tuple[Heard, tuple[Answer, ...]]:
    read = read_result(context.config, raw.result)
    chosen = tuple(
        a.value for a in read.answers if a.control == context.project.control and a.kind == "choice"
    )
    heard = Heard(
        ls_annotation_id=raw.annotation_id,
        # The server forgets who wrote an answer when it loses the account; what was stored still knows.
        completed_by=raw.completed_by or (row.ls_user_id if row else 0),
        updated_by=raw.updated_by,
        skipped=raw.was_cancelled,
        labels=chosen,
        unknown=tuple(label for label in chosen if label not in context.labels)
        or unknown_labels(context.config, read.answers),
        problems=read.problems,
        lead_time_s=raw.lead_time_s,
        created_at=raw.created_at,
        updated_at=raw.updated_at,
        result=tuple(raw.result) if isinstance(raw.result, list) else (),
    )
    return heard, read.answers


def _fact(row: AnnotationRow) -> Fact:
    return Fact(
        annotation_id=row.id,
        item_id=row.item_id,
        person_id=row.person_id or NOBODY_KNOWN,
        status=Status.DELETED if row.deleted_at else Status(row.status),
        label=row.label,
        blind=row.blind,
        predicted=row.predicted,
        model_version_id=row.model_version_id,
        lead_time_s=row.lead_time_s,
        at=row.created_at,
    )


def _store(
    session: Session,
    context: LaneContext,
    visit: VisitRow,
    row: AnnotationRow | None,
    judged: Judged,
    answers: Sequence[Answer],
) -> None:
    heard = judged.heard
    if row is None:
        adjudicated = visit.purpose == Purpose.ADJUDICATION
        prediction = (
            session.get(PredictionRow, (visit.item_id, visit.model_version_id))
            if visit.model_version_id is not None
            else None
        )
        row = AnnotationRow(
            project_id=visit.project_id,
            item_id=visit.item_id,
            visit_id=visit.id,
            server_id=context.server.id,
            epoch=visit.epoch,
            ls_annotation_id=heard.ls_annotation_id,
            ls_task_id=visit.ls_task_id,
            ls_user_id=heard.completed_by,
            person_id=context.persons.get(heard.completed_by),
            supplier_id=supplier_of_person(
                session, context.persons.get(heard.completed_by), otherwise=context.row.supplier_id
            ),
            blind=not adjudicated
            and not (visit.show_suggestion and prediction is not None and prediction.label),
            predicted=prediction.label if prediction else "",
            # Adjudicators see only what others disagreed on: their answers would bias every comparison.
            model_version_id=None if adjudicated else visit.model_version_id,
            revision=1,
            created_at=heard.created_at,
            received_at=context.now,
            **_said(judged),
        )
        session.add(row)
        session.flush()
        context.changes.append(Change(None, _fact(row)))
    else:
        same = (row.ls_updated_at, row.status, row.deleted_at) == (heard.updated_at, judged.status, None)
        if same:
            return
        before = _fact(row)
        _keep_revision(session, row, context.now)
        for name, value in _said(judged).items():
            setattr(row, name, value)
        row.deleted_at = None
        row.revision += 1
        context.changes.append(Change(before, _fact(row)))
    store.replace_answers(
        session,
        row.id,
        [
            {"control": a.control, "kind": a.kind, "value": a.value, "supplier_id": row.supplier_id}
            for a in answers
        ],
    )


def _said(judged: Judged) -> dict[str, Any]:
    heard = judged.heard
    return {
        "ls_updated_by": heard.updated_by,
        "status": judged.status,
        "reason": judged.reason,
        "label": judged.label,
        "lead_time_s": heard.lead_time_s,
        "result": list(heard.result),
        "ls_updated_at": heard.updated_at,
    }


def _keep_revision(session: Session, row: AnnotationRow, now: datetime) -> None:
    session.add(
        AnnotationRevisionRow(
            annotation_id=row.id,
            revision=row.revision,
            status=row.status,
            label=row.label,
            result=row.result,
            ls_updated_at=row.ls_updated_at,
            replaced_at=now,
            supplier_id=row.supplier_id,
        )
    )


def _tombstone(session: Session, context: LaneContext, row: AnnotationRow) -> None:
    before = _fact(row)
    _keep_revision(session, row, context.now)
    row.deleted_at, row.reason = context.now, "deleted in Label Studio"
    row.revision += 1
    context.changes.append(Change(before, _fact(row)))


def _advance(
    outside: Outside,
    session: Session,
    context: LaneContext,
    visit: VisitRow,
    judged: Sequence[Judged],
    earlier: frozenset[int],
    *,
    is_labeled: bool,
) -> None:
    """Move visit and item on: answered, wanting more again, or sent on because nobody is left to ask."""
    if visit.state in {VisitState.WITHDRAWN, VisitState.RECALLED}:
        # What comes now is kept and paid, but somebody else decides already.
        return
    missing, is_exhausted = _still_wanted(context, visit, judged, earlier)
    _, state = states_of(session, [visit.item_id])[visit.item_id]
    if missing == 0:
        was_open = visit.state != VisitState.ANSWERED
        visit.answered_at = visit.answered_at or context.now
        visit.state = VisitState.ANSWERED
        # Whoever decides their disagreement is asked already: what they decide is waited for.
        is_waited_for = visit.purpose != Purpose.ADJUDICATION and _is_being_decided(session, visit)
        if was_open and state is ItemState.IN_LABELING and not is_waited_for:
            _move(session, context, visit, ItemState.ANNOTATED, "enough people answered")
        elif state in {ItemState.RESOLVED, ItemState.DELIVERED} and _answers_moved(context, visit):
            _move(session, context, visit, ItemState.ANNOTATED, "an answer was changed")
        return
    if visit.state == VisitState.ANSWERED:
        visit.state, visit.answered_at = VisitState.IN_LANE, None
        if state in {ItemState.RESOLVED, ItemState.DELIVERED}:
            _move(session, context, visit, ItemState.ANNOTATED, "an answer was withdrawn")
            state = ItemState.ANNOTATED
        if state is ItemState.ANNOTATED:
            _move(session, context, visit, ItemState.IN_LABELING, "an answer is wanted again")
    if is_exhausted or (
        visit.purpose != Purpose.ADJUDICATION and too_often_skipped(judged, len(context.pool))
    ):
        _withdraw(outside, session, context, visit, state)
    elif is_labeled and visit.state == VisitState.IN_LANE:
        visit.state = VisitState.REOPEN


def _still_wanted(
    context: LaneContext, visit: VisitRow, judged: Sequence[Judged], earlier: frozenset[int]
) -> tuple[int, bool]:
    """How many answers are missing, and whether the lane's people can no longer give them."""
    missing = missing_answers(judged, visit.overlap - len(earlier))
    is_exhausted = missing > 0 and nobody_left(judged, context.pool - earlier, missing)
    if is_exhausted and 0 < len(context.pool) < visit.overlap and missing < visit.overlap:
        # The pool is smaller than the overlap: what all of them said is all there is to get.
        return 0, False
    return missing, is_exhausted


def _withdraw(
    outside: Outside, session: Session, context: LaneContext, visit: VisitRow, state: ItemState
) -> None:
    """Somebody else decides what this lane's people could not; a few times, then it is left to be seen."""
    attempt = store.adjudications_of(session, visit.item_id, visit.round) + 1
    if attempt > context.project.overlap_limit:
        return
    visit.state = VisitState.WITHDRAWN
    if _is_being_decided(session, visit):
        return
    if state is not ItemState.QUEUED:
        reason = "nobody is left to ask in its lane; sent to adjudication"
        _move(session, context, visit, ItemState.QUEUED, reason)
    add_adjudication(outside, session, context.project, visit, attempt=attempt)


def _is_being_decided(session: Session, visit: VisitRow) -> bool:
    """Whether adjudicators are asked about the visit's item just now."""
    return any(
        one.id != visit.id and (one.purpose, one.round) == (Purpose.ADJUDICATION, visit.round)
        for one in store.open_visits(session, visit.item_id)
    )


def _answers_moved(context: LaneContext, visit: VisitRow) -> bool:
    """Whether a counted answer of this item changed what it says."""
    for change in context.changes:
        known = change.after or change.before
        if known is None or known.item_id != visit.item_id:
            continue
        before = change.before if change.before and change.before.status is Status.COUNTED else None
        after = change.after if change.after and change.after.status is Status.COUNTED else None
        if (before and before.label) != (after and after.label):
            return True
    return False


def _move(session: Session, context: LaneContext, visit: VisitRow, state: ItemState, reason: str) -> None:
    session.flush()
    move_items(
        session,
        [visit.item_id],
        state,
        at=context.now,
        actor="reconcile",
        reason=reason,
        because={visit.item_id: {"visit_id": visit.id}},
    )


def blind_answers(session: Session, item_ids: Sequence[int]) -> dict[int, tuple[tuple[int, str], ...]]:
    """Usable answers that were given without seeing a suggestion, the first of each person.

    Adjudicators' answers are left out: they are asked only where others disagree.
    """
    found: dict[int, tuple[tuple[int, str], ...]] = {}
    for item_id, rows in store.annotations_of_items(session, item_ids).items():
        first: dict[int, str] = {}
        for row in rows:
            usable = row.status in {Status.COUNTED, Status.ABOVE_OVERLAP} and not row.deleted_at
            if usable and row.blind and row.person_id is not None:
                first.setdefault(row.person_id, row.label)
        found[item_id] = tuple(first.items())
    return found
