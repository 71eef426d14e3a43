"""What who sets up suppliers sees of them."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from workbench.auth.leads import leads_of
from workbench.auth.tables import UserRow
from workbench.labeling.tables import LaneRow
from workbench.people.tables import PersonRow, PoolRow, ServerRow, SupplierProjectRow, SupplierRow
from workbench.projects.tables import ProjectRow


@dataclass(frozen=True)
class SupplierLine:
    """One supplier in the list; `shares`: it works on a server where others work too."""

    row: SupplierRow
    server: str
    pools: int
    people: int
    projects: int
    shares: bool


@dataclass(frozen=True)
class SupplierView:
    """One supplier with everything that can be set."""

    row: SupplierRow
    server: ServerRow | None
    servers: list[ServerRow]
    pools: list[PoolRow]
    people: list[PersonRow]
    projects: list[tuple[SupplierProjectRow, ProjectRow]]
    leads: list[UserRow]
    shares: bool


def suppliers_view(session: Session) -> list[SupplierLine]:
    """Every supplier, by name."""
    rows = session.scalars(select(SupplierRow).order_by(SupplierRow.name)).all()
    servers = {row.id: row.name for row in session.scalars(select(ServerRow))}
    counts = {table: _counted(session, table) for table in (PoolRow, PersonRow, SupplierProjectRow)}
    return [
        SupplierLine(
            row=row,
            server=servers.get(row.server_id or 0, ""),
            pools=counts[PoolRow].get(row.id, 0),
            people=counts[PersonRow].get(row.id, 0),
            projects=counts[SupplierProjectRow].get(row.id, 0),
            shares=shares_a_server(session, row.id),
        )
        for row in rows
    ]


def _counted(
    session: Session, table: type[PoolRow | PersonRow | SupplierProjectRow]
) -> dict[int | None, int]:
    found = session.execute(select(table.supplier_id, func.count()).group_by(table.supplier_id))
    return {row[0]: row[1] for row in found}


def shares_a_server(session: Session, supplier_id: int) -> bool:
    """Whether some server shows this supplier's people the names and work of others."""
    own = select(LaneRow.server_id).where(LaneRow.supplier_id == supplier_id)
    found = session.scalar(
        select(LaneRow.id).where(LaneRow.server_id.in_(own), LaneRow.supplier_id != supplier_id).limit(1)
    )
    return found is not None


def supplier_view(session: Session, row: SupplierRow) -> SupplierView:
    """One supplier."""
    free = select(ServerRow).where((ServerRow.supplier_id.is_(None)) | (ServerRow.supplier_id == row.id))
    works = session.execute(
        select(SupplierProjectRow, ProjectRow)
        .join(ProjectRow, ProjectRow.id == SupplierProjectRow.project_id)
        .where(SupplierProjectRow.supplier_id == row.id)
        .order_by(ProjectRow.title)
    )
    people = select(PersonRow).where(PersonRow.supplier_id == row.id).order_by(PersonRow.name).limit(500)
    return SupplierView(
        row=row,
        server=session.get(ServerRow, row.server_id) if row.server_id is not None else None,
        servers=list(session.scalars(free.order_by(ServerRow.name))),
        pools=list(
            session.scalars(select(PoolRow).where(PoolRow.supplier_id == row.id).order_by(PoolRow.name))
        ),
        people=list(session.scalars(people)),
        projects=[(work, project) for work, project in works],
        leads=leads_of(session, row.id),
        shares=shares_a_server(session, row.id),
    )
