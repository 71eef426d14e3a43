"""Queries on deliveries, and the labels that go into them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session

from workbench.decisions.tables import DecisionRow, RoutingPolicyRow
from workbench.deliveries.tables import DeliveryRow
from workbench.deliveries.writing.context import Screen
from workbench.errors import NotFound
from workbench.items.domain import ItemState
from workbench.items.tables import ItemPartRow, ItemRow
from workbench.labeling.tables import AnnotationRow
from workbench.labels.tables import LabelRow
from workbench.model_versions.tables import ModelVersionRow
from workbench.people.tables import PersonRow
from workbench.projects.tables import GuidelineVersionRow, ProjectLabelRow, ProjectRow
from workbench.tallies.domain import USED, Status

_CHUNK = 500
FINAL = (ItemState.RESOLVED, ItemState.DELIVERED)


@dataclass(frozen=True)
class Answer:
    """One person's answer."""

    annotator: str
    label: str
    lead_time_s: float | None
    at: datetime
    counted: bool


def find_delivery(session: Session, delivery_id: int) -> DeliveryRow:
    """The delivery of that id.

    Raises:
        NotFound: There is none.
    """
    row = session.get(DeliveryRow, delivery_id)
    if row is None:
        raise NotFound(f"there is no export {delivery_id}")
    return row


def delivery_with(session: Session, project_id: int, public_id: str) -> DeliveryRow:
    """The project's delivery of that public id.

    Raises:
        NotFound: There is none in the project.
    """
    row = session.scalar(
        select(DeliveryRow).where(DeliveryRow.public_id == public_id, DeliveryRow.project_id == project_id)
    )
    if row is None:
        raise NotFound(f"the project has no export {public_id[:32]}")
    return row


def delivery_of_anybody(session: Session, public_id: str) -> DeliveryRow:
    """The delivery of that public id, whatever its project.

    Raises:
        NotFound: There is none.
    """
    row = session.scalar(select(DeliveryRow).where(DeliveryRow.public_id == public_id))
    if row is None:
        raise NotFound(f"there is no export {public_id[:32]}, and no file or folder of that name")
    return row


def delivery_of_job(session: Session, job_id: str) -> DeliveryRow:
    """What a job of kind `export` makes.

    Raises:
        NotFound: The job makes no export.
    """
    row = session.scalar(select(DeliveryRow).where(DeliveryRow.job_id == job_id))
    if row is None:
        raise NotFound(f"job {job_id} makes no export")
    return row


def deliveries_of(session: Session, project_id: int, *, limit: int = 50) -> list[DeliveryRow]:
    """The project's newest deliveries."""
    statement = select(DeliveryRow).where(DeliveryRow.project_id == project_id)
    return list(session.scalars(statement.order_by(DeliveryRow.id.desc()).limit(limit)))


def project_of(session: Session, delivery: DeliveryRow) -> ProjectRow:
    """The project a delivery is of."""
    return session.get_one(ProjectRow, delivery.project_id)


def screen_of(session: Session, delivery: DeliveryRow) -> Screen:
    """How the delivery's project shows and names things."""
    project = project_of(session, delivery)
    labels = session.scalars(
        select(ProjectLabelRow.value)
        .where(ProjectLabelRow.project_id == project.id)
        .order_by(ProjectLabelRow.position)
    )
    return Screen(project.label_config, project.text_field, tuple(labels))


def as_of(moment: datetime) -> ColumnElement[bool]:
    """That a label was the final one at that moment."""
    return and_(
        LabelRow.resolved_at <= moment,
        or_(LabelRow.superseded_at.is_(None), LabelRow.superseded_at > moment),
    )


def count_final(session: Session, project_id: int, moment: datetime) -> int:
    """How many items stand with the final label they had at that moment."""
    statement = (
        select(func.count())
        .select_from(LabelRow)
        .join(ItemRow, ItemRow.id == LabelRow.item_id)
        .where(LabelRow.project_id == project_id, as_of(moment), ItemRow.state.in_(FINAL))
    )
    return session.scalar(statement) or 0


def final_labels(session: Session, project_id: int, moment: datetime, *, after: int, limit: int) -> list[Any]:
    """Items with the final label they had at that moment and its provenance, in the order of their ids."""
    statement = (
        select(
            ItemRow.id,
            ItemRow.public_id,
            ItemRow.external_id,
            ItemRow.language,
            ItemRow.region,
            LabelRow.label,
            LabelRow.source,
            LabelRow.method,
            LabelRow.annotations,
            LabelRow.share,
            LabelRow.confidence,
            LabelRow.reason,
            LabelRow.resolved_at,
            ModelVersionRow.name.label("model_name"),
            ModelVersionRow.version.label("model_version"),
            RoutingPolicyRow.version.label("policy_version"),
            GuidelineVersionRow.version.label("guideline_version"),
            DecisionRow.rule,
        )
        .join(LabelRow, LabelRow.item_id == ItemRow.id)
        .outerjoin(ModelVersionRow, ModelVersionRow.id == LabelRow.model_version_id)
        .outerjoin(RoutingPolicyRow, RoutingPolicyRow.id == LabelRow.policy_id)
        .outerjoin(GuidelineVersionRow, GuidelineVersionRow.id == LabelRow.guideline_version_id)
        .outerjoin(DecisionRow, DecisionRow.id == LabelRow.decision_id)
        .where(ItemRow.project_id == project_id, ItemRow.id > after, ItemRow.state.in_(FINAL), as_of(moment))
        .order_by(ItemRow.id)
        .limit(limit)
    )
    return list(session.execute(statement))


def parts_of(session: Session, item_ids: Sequence[int]) -> tuple[dict[int, list[str]], dict[int, Any]]:
    """Text parts in order, and metadata, by item id."""
    texts: dict[int, list[str]] = defaultdict(list)
    metadata: dict[int, Any] = {}
    for start in range(0, len(item_ids), _CHUNK):
        chunk = ItemPartRow.item_id.in_(item_ids[start : start + _CHUNK])
        # Apart, because only metadata need be read as JSON.
        rows = session.execute(
            select(ItemPartRow.item_id, ItemPartRow.text)
            .where(chunk, ItemPartRow.kind != "metadata", ItemPartRow.text != "")
            .order_by(ItemPartRow.item_id, ItemPartRow.position)
        )
        for item_id, text in rows:
            texts[item_id].append(text)
        found = session.execute(
            select(ItemPartRow.item_id, ItemPartRow.data).where(chunk, ItemPartRow.kind == "metadata")
        )
        metadata.update((item_id, data) for item_id, data in found)
    return texts, metadata


def answers_of(session: Session, item_ids: Sequence[int], moment: datetime) -> dict[int, list[Answer]]:
    """People's used answers, oldest first, by item id."""
    found: dict[int, list[Answer]] = defaultdict(list)
    for start in range(0, len(item_ids), _CHUNK):
        rows = session.execute(
            select(
                AnnotationRow.item_id,
                PersonRow.public_id,
                AnnotationRow.label,
                AnnotationRow.lead_time_s,
                AnnotationRow.created_at,
                AnnotationRow.status,
            )
            .join(PersonRow, PersonRow.id == AnnotationRow.person_id)
            .where(
                AnnotationRow.item_id.in_(item_ids[start : start + _CHUNK]),
                AnnotationRow.status.in_(USED),
                AnnotationRow.deleted_at.is_(None),
                AnnotationRow.received_at <= moment,
            )
            .order_by(AnnotationRow.item_id, AnnotationRow.created_at, AnnotationRow.id)
        )
        for item_id, person, label, lead_time_s, at, status in rows:
            found[item_id].append(Answer(person, label, lead_time_s, at, status == Status.COUNTED))
    return found
