"""Making projects from documents, changing them, and letting them rest."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from integrations.label_studio.safe_config import is_same
from workbench.errors import AlreadyExists, Conflict, WrongState
from workbench.projects.domain import STATE_MOVES, Change, ProjectState, changes_between
from workbench.projects.label_config import labels_of, screen_of
from workbench.projects.reading import read_document
from workbench.projects.specification import ProjectSpecification
from workbench.projects.store import (
    find_project,
    labels_of_project,
    project_with_key,
    write_guideline,
    write_labels,
)
from workbench.projects.tables import ProjectRow


def create_project(
    session: Session,
    specification: ProjectSpecification,
    *,
    by: str,
    now: datetime,
    server_id: int | None = None,
) -> ProjectRow:
    """A new project as the document says; pools, prices and routing are the caller's to add.

    Raises:
        AlreadyExists: There is a project of that id.
        LabelConfigInvalid: Its labels cannot be shown.
    """
    if project_with_key(session, specification.id) is not None:
        raise AlreadyExists(
            f"there is a project `{specification.id}` already; choose another id, or apply the document to it"
        )
    project = ProjectRow(
        key=specification.id,
        state=ProjectState.ACTIVE,
        created_at=now,
        created_by=by,
        specification_version=1,
        adjudication_pool_id=None,
    )
    _write(project, specification, server_id)
    session.add(project)
    session.flush()
    write_labels(session, project.id, labels_of(specification))
    _write_guideline(session, project, specification, now)
    return project


def change_project(
    session: Session,
    project: ProjectRow,
    specification: ProjectSpecification,
    *,
    now: datetime,
    in_use: Collection[str],
    screen_kept_because: str,
    server_id: int | None,
    has_items: bool = False,
) -> list[Change]:
    """Make a project what the document says; returns what changed, nothing where it is so already.

    Args:
        session: An open write transaction.
        project: The project.
        specification: What it shall be.
        now: The time of the change.
        in_use: Labels that predictions, answers or final labels carry; they cannot go.
        screen_kept_because: Why the annotators' screen cannot change any more; empty while it can.
        server_id: The Label Studio server it shall use.
        has_items: Whether it has items; they keep their text under the field they were imported for.

    Raises:
        Conflict: A label in use would go, a screen would change that people work on, or the field would
            change whose text models and people are shown.
    """
    changes = changes_between(specification_of(project).document(), specification.document())
    if not changes:
        return []
    wanted = labels_of(specification)
    values = [label.value for label in wanted]
    gone = [row.value for row in labels_of_project(session, project.id) if row.value not in values]
    used = [value for value in gone if value in in_use]
    if used:
        raise Conflict(
            f"label `{used[0]}` is in use and cannot be removed; "
            "keep it, or make a new project with other labels"
        )
    screen = screen_of(specification)
    if has_items and screen.text_field != project.text_field:
        raise Conflict(
            f"text_field: the text that is shown cannot change from `{project.text_field}` to "
            f"`{screen.text_field}` any more, because the project has items, which keep theirs under "
            f"`{project.text_field}`. Keep the field, or make a new project and import the items there"
        )
    if screen_kept_because and not is_same(screen.xml, project.label_config):
        raise Conflict(
            f"the labels, their titles and keys, and the question cannot change any more: "
            f"{screen_kept_because}. Make a new project with the new screen"
        )
    _write(project, specification, server_id)
    project.specification_version += 1
    write_labels(session, project.id, wanted)
    _write_guideline(session, project, specification, now)
    return changes


def set_state(session: Session, key: str, state: ProjectState) -> ProjectRow:
    """Pause, resume or close a project; nothing happens where it is so already.

    Raises:
        NotFound: There is no such project.
        WrongState: It is closed and can only be opened again.
    """
    project = find_project(session, key)
    now_in = ProjectState(project.state)
    if state is not now_in:
        if state not in STATE_MOVES[now_in]:
            raise WrongState(f"project `{key}` is {now_in}; open it again first (resume)")
        project.state = state
    return project


def specification_of(project: ProjectRow) -> ProjectSpecification:
    """The document a project was last applied from."""
    return read_document(project.specification)


def start_of_day(day: date, zone: str) -> datetime:
    """The moment at which a day begins in a time zone, in UTC."""
    return datetime.combine(day, time(0, 0), ZoneInfo(zone)).astimezone(UTC)


def _write(project: ProjectRow, one: ProjectSpecification, server_id: int | None) -> None:
    screen = screen_of(one)
    project.title = one.title
    project.modality = one.modality
    project.time_zone = one.zone
    # Lanes show the config as it was first written; another spelling of the same is no change.
    if not is_same(screen.xml, project.label_config or ""):
        project.label_config = screen.xml
    project.control = screen.control
    project.text_field = screen.text_field
    project.instruction = one.instruction
    project.server_id = server_id
    project.currency = one.budget.currency
    project.baseline_price = one.budget.all_human_baseline_per_label
    project.baseline_overlap = one.budget.baseline_overlap
    project.lead_time_cap_s = one.lead_time_cap_s
    project.retention_days = one.retention_days
    project.lane_limit = one.lane_limit
    project.overlap_limit = one.routing.overlap_limit
    project.without_model = one.without_model
    project.note = one.note
    project.due_at = start_of_day(one.sla.due, one.zone) if one.sla and one.sla.due else None
    project.specification = one.document()


def _write_guideline(session: Session, project: ProjectRow, one: ProjectSpecification, now: datetime) -> None:
    if one.guideline is None:
        return
    effective = one.guideline.effective
    write_guideline(
        session,
        project.id,
        version=one.guideline.version,
        uri=one.guideline.uri,
        text=one.guideline.text,
        effective_at=start_of_day(effective, one.zone) if effective else now,
        now=now,
    )
