"""Queries on model versions."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from workbench.errors import NotFound
from workbench.model_versions.tables import ModelVersionRow


def live_version(session: Session, project_id: int) -> ModelVersionRow | None:
    """The version that pre-labels the project's items now, if any."""
    return session.scalar(
        select(ModelVersionRow).where(
            ModelVersionRow.project_id == project_id, ModelVersionRow.stage == "live"
        )
    )


def versions_of(session: Session, project_id: int) -> list[ModelVersionRow]:
    """All versions of a project, newest first."""
    return list(
        session.scalars(
            select(ModelVersionRow)
            .where(ModelVersionRow.project_id == project_id)
            .order_by(ModelVersionRow.id.desc())
        )
    )


def find_version(session: Session, project_id: int, version_id: int) -> ModelVersionRow:
    """One version of a project.

    Raises:
        NotFound: The project has none of that id.
    """
    row = session.get(ModelVersionRow, version_id)
    if row is None or row.project_id != project_id:
        raise NotFound(f"this project has no model version {version_id}")
    return row


def next_number(session: Session, project_id: int, name: str) -> int:
    """The number that the next version of this name gets."""
    highest = session.scalar(
        select(func.max(ModelVersionRow.version)).where(
            ModelVersionRow.project_id == project_id, ModelVersionRow.name == name
        )
    )
    return (highest or 0) + 1
