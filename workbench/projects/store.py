"""Queries on projects, their labels and guidelines."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from workbench.errors import Conflict, NotFound
from workbench.projects.problems import closest
from workbench.projects.specification import Label
from workbench.projects.tables import GuidelineVersionRow, ProjectLabelRow, ProjectRow


def list_projects(session: Session) -> list[ProjectRow]:
    """Every project, the newest first."""
    return list(
        session.scalars(select(ProjectRow).order_by(ProjectRow.created_at.desc(), ProjectRow.id.desc()))
    )


def project_with_key(session: Session, key: str) -> ProjectRow | None:
    """The project of that key, if there is one."""
    return session.scalar(select(ProjectRow).where(ProjectRow.key == key))


def find_project(session: Session, key: str) -> ProjectRow:
    """The project of that key.

    Raises:
        NotFound: There is none; names the nearest.
    """
    row = project_with_key(session, key)
    if row is None:
        near = closest(key, session.scalars(select(ProjectRow.key)).all())
        hint = f"; did you mean `{near}`?" if near else "; `workbench project list` shows all"
        raise NotFound(f"there is no project `{key}`{hint}")
    return row


def labels_of_project(session: Session, project_id: int) -> list[ProjectLabelRow]:
    """The project's labels, in the order annotators see."""
    return list(
        session.scalars(
            select(ProjectLabelRow)
            .where(ProjectLabelRow.project_id == project_id)
            .order_by(ProjectLabelRow.position)
        )
    )


def write_labels(session: Session, project_id: int, labels: Sequence[Label]) -> None:
    """Make the project's labels these, in this order; rows of labels that stay keep their id."""
    rows = {row.value: row for row in labels_of_project(session, project_id)}
    wanted = {label.value for label in labels}
    session.execute(
        delete(ProjectLabelRow).where(
            ProjectLabelRow.project_id == project_id, ProjectLabelRow.value.in_(set(rows) - wanted)
        )
    )
    # Positions are unique, so those that stay step aside before they take their new place.
    for offset, row in enumerate(rows[value] for value in rows if value in wanted):
        row.position = -1 - offset
    session.flush()
    for position, label in enumerate(labels):
        row = rows.get(label.value) or ProjectLabelRow(project_id=project_id, value=label.value)
        row.position = position
        row.title = dict(label.title)
        row.hotkey = label.hotkey
        row.severity = label.severity
        row.miss_cost = label.miss_cost
        row.sensitive = label.sensitive
        session.add(row)
    session.flush()


def guideline_of_project(session: Session, project_id: int) -> GuidelineVersionRow | None:
    """The guideline version that was given last, if there is one."""
    return session.scalar(
        select(GuidelineVersionRow)
        .where(GuidelineVersionRow.project_id == project_id)
        .order_by(GuidelineVersionRow.effective_at.desc(), GuidelineVersionRow.id.desc())
        .limit(1)
    )


def write_guideline(
    session: Session,
    project_id: int,
    *,
    version: str,
    uri: str,
    text: str,
    effective_at: datetime,
    now: datetime,
) -> None:
    """Put a guideline version on record; a version that is there stays as it was.

    Raises:
        Conflict: That version is on record with another text or address.
    """
    row = session.scalar(
        select(GuidelineVersionRow).where(
            GuidelineVersionRow.project_id == project_id, GuidelineVersionRow.version == version
        )
    )
    if row is None:
        session.add(
            GuidelineVersionRow(
                project_id=project_id,
                version=version,
                uri=uri,
                text=text,
                effective_at=effective_at,
                created_at=now,
            )
        )
        session.flush()
    elif (row.uri, row.text) != (uri, text):
        raise Conflict(
            f"guideline {version} is on record with another text or address; give the new one a new version"
        )


def project_by_id(session: Session, project_id: int) -> ProjectRow:
    """The project of that id.

    Raises:
        NotFound: There is none.
    """
    row = session.get(ProjectRow, project_id)
    if row is None:
        raise NotFound(f"there is no project {project_id}")
    return row


def label_values(session: Session, project_id: int) -> tuple[str, ...]:
    """The values of the project's labels, in order."""
    return tuple(row.value for row in labels_of_project(session, project_id))


def guideline_at(session: Session, project_id: int, now: datetime) -> GuidelineVersionRow | None:
    """The guideline in force at a moment, if any."""
    return session.scalar(
        select(GuidelineVersionRow)
        .where(GuidelineVersionRow.project_id == project_id, GuidelineVersionRow.effective_at <= now)
        .order_by(GuidelineVersionRow.effective_at.desc(), GuidelineVersionRow.id.desc())
        .limit(1)
    )
