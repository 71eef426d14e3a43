"""Queries over several features that setting up a project needs."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from sqlalchemy import func, or_, select, union
from sqlalchemy.orm import Session

from workbench.errors import Conflict, NotFound
from workbench.items.tables import ItemRow
from workbench.jobs.store import OPEN
from workbench.jobs.tables import JobRow
from workbench.labeling.tables import AnnotationRow, LaneRow
from workbench.labels.tables import LabelRow
from workbench.people.belonging import works_on
from workbench.people.store import server_named, servers
from workbench.people.tables import PoolRow, RateCardRow, ServerRow, SupplierRow
from workbench.prelabeling.tables import PredictionRow
from workbench.projects.pools import WantedPool, WantedSupplier
from workbench.projects.problems import closest
from workbench.projects.tables import ProjectRow
from workbench.tallies.tables import CostTallyRow

ALWAYS = datetime.fromisoformat("2000-01-01T00:00:00+00:00")


def labels_in_use(session: Session, project_id: int) -> set[str]:
    """Labels that a prediction, an answer or a final label of the project carries."""
    used = union(
        select(AnnotationRow.label).where(AnnotationRow.project_id == project_id),
        select(LabelRow.label).where(LabelRow.project_id == project_id),
        select(PredictionRow.label)
        .join(ItemRow, ItemRow.id == PredictionRow.item_id)
        .where(ItemRow.project_id == project_id),
    )
    return {label for label in session.scalars(used) if label}


def has_items(session: Session, project_id: int) -> bool:
    """Whether anything was imported into the project."""
    return session.scalar(select(ItemRow.id).where(ItemRow.project_id == project_id).limit(1)) is not None


def annotations_of(session: Session, project_id: int) -> int:
    """How many answers the project has received."""
    found = session.scalar(
        select(func.count()).select_from(AnnotationRow).where(AnnotationRow.project_id == project_id)
    )
    return found or 0


def lanes_of(session: Session, project_id: int) -> int:
    """How many lanes of the project stand in Label Studio."""
    found = session.scalar(
        select(func.count())
        .select_from(LaneRow)
        .where(LaneRow.project_id == project_id, LaneRow.ls_project_id.is_not(None))
    )
    return found or 0


def last_answers(session: Session) -> dict[int, datetime]:
    """By project: when the last answer came."""
    rows = session.execute(
        select(AnnotationRow.project_id, func.max(AnnotationRow.received_at)).group_by(
            AnnotationRow.project_id
        )
    )
    return {project_id: at for project_id, at in rows if at is not None}


def costs(session: Session) -> dict[int, Decimal]:
    """By project: what it has cost so far, from the sums kept beside the ledger."""
    rows = session.execute(
        select(CostTallyRow.project_id, CostTallyRow.amount).join(
            ProjectRow,
            (ProjectRow.id == CostTallyRow.project_id) & (ProjectRow.currency == CostTallyRow.currency),
        )
    )
    found: dict[int, Decimal] = {}
    for project_id, amount in rows:
        found[project_id] = found.get(project_id, Decimal(0)) + amount
    return found


def find_server_named(session: Session, name: str) -> ServerRow:
    """The Label Studio server of that name.

    Raises:
        NotFound: There is none; names the nearest.
    """
    row = server_named(session, name)
    if row is None:
        near = closest(name, [one.name for one in servers(session)])
        hint = (
            f"; did you mean `{near}`?"
            if near
            else "; connect it first: workbench ls connect URL --name NAME"
        )
        raise NotFound(f"there is no Label Studio server `{name}`{hint}")
    return row


def ensure_supplier(session: Session, wanted: WantedSupplier) -> SupplierRow:
    """The supplier of that key, made where it is missing, named as wanted."""
    row = session.scalar(select(SupplierRow).where(SupplierRow.key == wanted.key))
    if row is None:
        row = SupplierRow(key=wanted.key, name=wanted.name, time_zone=wanted.time_zone)
        session.add(row)
    elif wanted.key != "in-house" or wanted.name != "In-house":
        row.name, row.time_zone = wanted.name, wanted.time_zone
    session.flush()
    return row


def ensure_pool(session: Session, wanted: WantedPool, supplier: SupplierRow) -> PoolRow:
    """The pool of that key, made where it is missing.

    Raises:
        Conflict: There is a pool of that key with another supplier.
    """
    row = session.scalar(select(PoolRow).where(PoolRow.key == wanted.key))
    if row is None:
        row = PoolRow(
            key=wanted.key,
            name=wanted.name,
            supplier_id=supplier.id,
            skill=wanted.skill,
            language=wanted.language,
        )
        session.add(row)
    elif row.supplier_id != supplier.id:
        raise Conflict(
            f"there is a pool `{wanted.key}` already, of another supplier than {supplier.name}; "
            "choose another name"
        )
    else:
        row.name = wanted.name
    session.flush()
    return row


def open_rate_cards(session: Session, project_id: int, pool_id: int, now: datetime) -> list[RateCardRow]:
    """The project's prices for a pool that hold now or later, the earliest first."""
    return list(
        session.scalars(
            select(RateCardRow)
            .where(
                RateCardRow.project_id == project_id,
                RateCardRow.pool_id == pool_id,
                or_(RateCardRow.valid_to.is_(None), RateCardRow.valid_to > now),
            )
            .order_by(RateCardRow.valid_from, RateCardRow.id)
        )
    )


def add_rate_card(
    session: Session,
    *,
    project_id: int,
    pool: PoolRow,
    unit: str,
    price: Decimal,
    currency: str,
    valid_from: datetime,
    valid_to: datetime | None,
) -> None:
    """A price for a pool in a project, from one time to another."""
    session.add(
        RateCardRow(
            project_id=project_id,
            supplier_id=pool.supplier_id,
            pool_id=pool.id,
            skill=pool.skill,
            unit=unit,
            price=price,
            currency=currency,
            valid_from=valid_from,
            valid_to=valid_to,
        )
    )
    session.flush()
    works_on(session, pool.supplier_id, session.get_one(ProjectRow, project_id), valid_from)


def open_jobs(session: Session) -> list[JobRow]:
    """Every job that waits or runs, the oldest first."""
    return list(session.scalars(select(JobRow).where(JobRow.state.in_(OPEN)).order_by(JobRow.created_at)))


def newest_job_at(session: Session) -> datetime | None:
    """When the newest job was asked for."""
    return session.scalar(select(func.max(JobRow.created_at)))
