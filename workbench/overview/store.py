"""Queries behind a project's figures; each is a count over tallies or over indexed tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple

from sqlalchemy import ColumnElement, and_, case, distinct, exists, func, select
from sqlalchemy.orm import Session

from workbench.decisions.tables import DecisionRow
from workbench.items.domain import ItemState, Purpose
from workbench.items.tables import ItemRow, ReferenceLabelRow
from workbench.labeling.tables import AnnotationRow, VisitRow
from workbench.labels.tables import LabelRow
from workbench.model_versions.tables import ModelVersionRow
from workbench.overview.domain import MACHINE
from workbench.people.tables import PersonRow
from workbench.prelabeling.tables import PredictionRow
from workbench.projects.tables import ProjectLabelRow
from workbench.tallies.tables import (
    CostTallyRow,
    HourTallyRow,
    ModelTallyRow,
    PairTallyRow,
    PatternTallyRow,
)

FINAL = (ItemState.RESOLVED, ItemState.DELIVERED)
"""States of items whose label is final; a label also stands while its item is back with people."""
WAITING = (ItemState.QUEUED, ItemState.IN_LABELING, ItemState.ANNOTATED)
NEWEST_ANSWERS = 5_000
"""Medians of lead time look at no more than this many answers."""


class ResolvedCounts(NamedTuple):
    """Items with a final label of one source."""

    source: str
    items: int
    first: datetime
    last: datetime


def label_values(session: Session, project_id: int) -> tuple[str, ...]:
    """The project's labels in the order annotators see."""
    return tuple(
        session.scalars(
            select(ProjectLabelRow.value)
            .where(ProjectLabelRow.project_id == project_id)
            .order_by(ProjectLabelRow.position)
        )
    )


def count_predicted(session: Session, project_id: int) -> int:
    """Items that any model version gave a label."""
    return (
        session.scalar(
            select(func.count(distinct(PredictionRow.item_id)))
            .join(ModelVersionRow, ModelVersionRow.id == PredictionRow.model_version_id)
            .where(ModelVersionRow.project_id == project_id, PredictionRow.label != "")
        )
        or 0
    )


def count_visited(session: Session, project_id: int) -> tuple[int, int]:
    """Items with any visit, and items with an audit visit."""
    visited, audited = session.execute(
        select(
            func.count(distinct(VisitRow.item_id)),
            func.count(distinct(case((VisitRow.purpose == Purpose.AUDIT, VisitRow.item_id)))),
        ).where(VisitRow.project_id == project_id)
    ).one()
    return visited, audited


def final_labels(project_id: int) -> tuple[ColumnElement[bool], ...]:
    """Conditions on labels joined with their items: the label stands and its item is not open again."""
    return (
        LabelRow.project_id == project_id,
        LabelRow.superseded_at.is_(None),
        ItemRow.state.in_(FINAL),
    )


def resolved_counts(session: Session, project_id: int) -> list[ResolvedCounts]:
    """Items with a final label by its source, with the first and the last time."""
    rows = session.execute(
        select(LabelRow.source, func.count(), func.min(LabelRow.resolved_at), func.max(LabelRow.resolved_at))
        .join(ItemRow, ItemRow.id == LabelRow.item_id)
        .where(*final_labels(project_id))
        .group_by(LabelRow.source)
    )
    return [ResolvedCounts(*row) for row in rows]


def count_untouched(session: Session, project_id: int) -> int:
    """Resolved items that were never sent to a person."""
    return (
        session.scalar(
            select(func.count())
            .select_from(LabelRow)
            .join(ItemRow, ItemRow.id == LabelRow.item_id)
            .where(*final_labels(project_id), ~exists().where(VisitRow.item_id == LabelRow.item_id))
        )
        or 0
    )


def answer_patterns(session: Session, project_id: int) -> list[tuple[str, int]]:
    """Blind answers per label, and how many items show them."""
    rows = session.execute(
        select(PatternTallyRow.pattern, PatternTallyRow.items)
        .where(PatternTallyRow.project_id == project_id, PatternTallyRow.items > 0)
        .order_by(PatternTallyRow.pattern)
    )
    return [(pattern, items) for pattern, items in rows]


def pair_counts(session: Session, project_id: int) -> list[tuple[int, int, str, str, int]]:
    """Blind answers of two persons to the same items: person, person, label, label, items."""
    rows = session.execute(
        select(
            PairTallyRow.person_a,
            PairTallyRow.person_b,
            PairTallyRow.label_a,
            PairTallyRow.label_b,
            PairTallyRow.items,
        )
        .where(PairTallyRow.project_id == project_id, PairTallyRow.items > 0)
        .order_by(PairTallyRow.person_a, PairTallyRow.person_b)
    )
    return [(a, b, label_a, label_b, items) for a, b, label_a, label_b, items in rows]


class ModelCount(NamedTuple):
    """Answers given where a model version predicted a label."""

    model_version_id: int
    name: str
    blind: bool
    predicted: str
    given: str
    answers: int


def model_counts(session: Session, project_id: int) -> list[ModelCount]:
    """People's answers by model version, blindness, prediction and answer."""
    rows = session.execute(
        select(
            ModelTallyRow.model_version_id,
            ModelVersionRow.name,
            ModelVersionRow.version,
            ModelTallyRow.blind,
            ModelTallyRow.predicted,
            ModelTallyRow.given,
            ModelTallyRow.answers,
        )
        .join(ModelVersionRow, ModelVersionRow.id == ModelTallyRow.model_version_id)
        .where(ModelTallyRow.project_id == project_id, ModelTallyRow.answers > 0)
        .order_by(ModelTallyRow.model_version_id)
    )
    return [
        ModelCount(version_id, f"{name}@{version}", blind, predicted, given, answers)
        for version_id, name, version, blind, predicted, given, answers in rows
    ]


def cost_sums(session: Session, project_id: int) -> list[tuple[str, str, Decimal, int]]:
    """Sum of the ledger: kind, currency, amount, entries."""
    rows = session.execute(
        select(CostTallyRow.kind, CostTallyRow.currency, CostTallyRow.amount, CostTallyRow.entries)
        .where(CostTallyRow.project_id == project_id)
        .order_by(CostTallyRow.kind, CostTallyRow.currency)
    )
    return [(kind, currency, amount, entries) for kind, currency, amount, entries in rows]


def count_answered_items(session: Session, project_id: int) -> int:
    """Items whose current label people gave: what a head can be trained on."""
    return (
        session.scalar(
            select(func.count())
            .select_from(LabelRow)
            .where(
                LabelRow.project_id == project_id,
                LabelRow.superseded_at.is_(None),
                LabelRow.source != MACHINE,
            )
        )
        or 0
    )


def hour_rows(session: Session, project_id: int) -> list[HourTallyRow]:
    """What each person (0: the machine) did in each hour, oldest first."""
    return list(
        session.scalars(
            select(HourTallyRow)
            .where(HourTallyRow.project_id == project_id)
            .order_by(HourTallyRow.hour, HourTallyRow.person_id)
        )
    )


def newest_lead_times(session: Session, project_id: int) -> list[tuple[int, float]]:
    """Person and uncapped lead time in seconds of the newest answers with a label."""
    rows = session.execute(
        select(AnnotationRow.person_id, AnnotationRow.lead_time_s)
        .where(
            AnnotationRow.project_id == project_id,
            AnnotationRow.person_id.is_not(None),
            AnnotationRow.lead_time_s.is_not(None),
            AnnotationRow.deleted_at.is_(None),
            AnnotationRow.label != "",
        )
        .order_by(AnnotationRow.id.desc())
        .limit(NEWEST_ANSWERS)
    )
    return [
        (person_id, seconds) for person_id, seconds in rows if person_id is not None and seconds is not None
    ]


def person_names(session: Session, person_ids: Sequence[int]) -> dict[int, str]:
    """Names by id."""
    rows = session.execute(select(PersonRow.id, PersonRow.name).where(PersonRow.id.in_(person_ids)))
    return {person_id: name for person_id, name in rows}  # noqa: C416 - rows are not pairs to mypy


def reference_counts(session: Session, project_id: int) -> list[tuple[str, int, int]]:
    """Final labels beside a reference, by source: items that differ, items.

    Items that were decided without a model are left out: a model may have been trained on them.
    """
    rows = session.execute(
        select(
            LabelRow.source,
            func.sum(case((LabelRow.label != ReferenceLabelRow.label, 1), else_=0)),
            func.count(),
        )
        .join(ReferenceLabelRow, ReferenceLabelRow.item_id == LabelRow.item_id)
        .join(DecisionRow, DecisionRow.id == LabelRow.decision_id)
        .join(ItemRow, ItemRow.id == LabelRow.item_id)
        .where(*final_labels(project_id), DecisionRow.model_version_id.is_not(None))
        .group_by(LabelRow.source)
    )
    return [(source, int(wrong), items) for source, wrong, items in rows]


def waiting_ages(
    session: Session, project_id: int, now: datetime, limits: Sequence[timedelta]
) -> tuple[datetime | None, list[int]]:
    """When the longest waiting open item came into its state, and open items by age bucket.

    Args:
        session: Any session.
        project_id: The project.
        now: This moment.
        limits: Upper ends of all buckets but the last, rising.
    """
    edges = [None, *(now - limit for limit in limits), None]
    buckets = []
    for newer, older in pairwise(edges):
        inside = []
        if newer is not None:
            inside.append(ItemRow.state_at <= newer)
        if older is not None:
            inside.append(ItemRow.state_at > older)
        buckets.append(func.count(case((and_(*inside), 1))))
    row = session.execute(
        select(func.min(ItemRow.state_at), *buckets).where(
            ItemRow.project_id == project_id, ItemRow.state.in_(WAITING)
        )
    ).one()
    return row[0], list(row[1:])
