"""Queries behind a project's course and its histogram of confidence."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Integer, String, and_, cast, exists, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from workbench.decisions.tables import DecisionRow
from workbench.items.tables import ItemRow
from workbench.labeling.tables import AnnotationRow
from workbench.labels.tables import LabelRow
from workbench.model_versions.tables import ModelVersionRow
from workbench.overview.domain import MACHINE
from workbench.overview.store import NEWEST_ANSWERS, final_labels
from workbench.prelabeling.tables import PredictionRow
from workbench.tallies.tables import LedgerRow


class Step(StrEnum):
    """Width of the steps of a series; the value is how much of a written time they share."""

    TEN_SECONDS = "YYYY-MM-DD HH:MM:S"
    MINUTE = "YYYY-MM-DD HH:MM"
    HOUR = "YYYY-MM-DD HH"
    DAY = "YYYY-MM-DD"


def resolved_series(session: Session, project_id: int, step: Step) -> list[tuple[datetime, bool, int]]:
    """Items with a final label by step of UTC time and by whether the machine gave it, oldest first."""
    at = _stepped(session, LabelRow.resolved_at, step)
    machine = LabelRow.source == MACHINE
    rows = session.execute(
        select(at, machine, func.count())
        .join(ItemRow, ItemRow.id == LabelRow.item_id)
        .where(*final_labels(project_id))
        .group_by(at, machine)
        .order_by(at)
    )
    return [(_start(text), bool(by_machine), items) for text, by_machine, items in rows]


def cost_series(
    session: Session, project_id: int, currency: str, step: Step
) -> list[tuple[datetime, Decimal]]:
    """Sum of the ledger by step of UTC time, oldest first."""
    at = _stepped(session, LedgerRow.at, step)
    rows = session.execute(
        select(at, func.sum(LedgerRow.amount))
        .where(LedgerRow.project_id == project_id, LedgerRow.currency == currency)
        .group_by(at)
        .order_by(at)
    )
    return [(_start(text), amount) for text, amount in rows]


def _stepped(session: Session, column: InstrumentedAttribute[datetime], step: Step) -> ColumnElement[str]:
    """The time as text, cut to the step: the one form of rounding that both databases share."""
    text: Any = column
    if session.get_bind().dialect.name != "sqlite":
        text = func.to_char(func.timezone("UTC", column), "YYYY-MM-DD HH24:MI:SS")
    return func.substr(text, 1, len(step.value), type_=String)


def _start(text: str) -> datetime:
    whole = text + "0000-01-01 00:00:00"[len(text) :]
    return datetime.strptime(whole, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)


class ConfidenceBin(NamedTuple):
    """Predictions in one bin of confidence, by what became of the item."""

    low: float
    outcome: str
    items: int


BINS = 20


def confidence_bins(session: Session, model_version_id: int) -> list[ConfidenceBin]:
    """One model version's predictions by confidence and by the item's newest decision."""
    if session.get_bind().dialect.name != "sqlite":
        at = func.least(func.floor(PredictionRow.confidence * BINS), BINS - 1)
    else:
        at = func.min(cast(PredictionRow.confidence * BINS, Integer), BINS - 1)
    outcome = func.coalesce(DecisionRow.outcome, "undecided")
    rows = session.execute(
        select(at, outcome, func.count())
        .select_from(PredictionRow)
        .join(ItemRow, ItemRow.id == PredictionRow.item_id)
        .outerjoin(DecisionRow, and_(DecisionRow.item_id == ItemRow.id, DecisionRow.round == ItemRow.round))
        .where(PredictionRow.model_version_id == model_version_id, PredictionRow.confidence.is_not(None))
        .group_by(at, outcome)
    )
    return [ConfidenceBin(int(number) / BINS, kind, items) for number, kind, items in rows]


def newest_predicting_version(session: Session, project_id: int) -> tuple[int, str] | None:
    """The newest model version of the project that has predicted anything, and its name."""
    row = session.execute(
        select(ModelVersionRow.id, ModelVersionRow.name, ModelVersionRow.version)
        .where(
            ModelVersionRow.project_id == project_id,
            exists().where(PredictionRow.model_version_id == ModelVersionRow.id),
        )
        .order_by(ModelVersionRow.id.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else (row[0], f"{row[1]}@{row[2]}")


def newest_comparisons(session: Session, project_id: int) -> list[bool]:
    """Whether each of the newest blind answers equals the prediction, oldest first."""
    rows = session.execute(
        select(AnnotationRow.label == AnnotationRow.predicted)
        .where(
            AnnotationRow.project_id == project_id,
            AnnotationRow.blind,
            AnnotationRow.predicted != "",
            AnnotationRow.label != "",
            AnnotationRow.deleted_at.is_(None),
        )
        .order_by(AnnotationRow.id.desc())
        .limit(NEWEST_ANSWERS)
    )
    return [bool(same) for (same,) in rows][::-1]
