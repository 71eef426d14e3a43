"""A project's items, found by what is known of them, page by page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from workbench.errors import InvalidInput
from workbench.items.domain import ItemState
from workbench.items.tables import ItemPartRow, ItemRow
from workbench.labeling.recalling import WITH_PEOPLE
from workbench.labeling.tables import AnnotationRow
from workbench.labels.tables import LabelRow
from workbench.people.tables import PersonRow
from workbench.prelabeling.tables import PredictionRow
from workbench.projects.tables import ProjectLabelRow

PAGE = 50
HARMLESS = frozenset({"", "none", "no", "low"})
"""Sensitivities whose items are shown to everybody who may read items."""
SEARCHED = 100_000
"""Text search looks through no more than this many of the newest items."""
_LONGEST_SEARCH = 200
_LONGEST_ID = 18
_NO_SUCH_PAGE = "this page of the list does not exist; go back to the first page"
_LONGEST_TEXT = 400


class Sort(StrEnum):
    """Order of the list."""

    NEWEST = "newest"
    LEAST_CONFIDENT = "least-confident"


class Disagreement(StrEnum):
    """Who disagrees on an item."""

    PEOPLE = "people"
    MODEL = "model"


@dataclass(frozen=True)
class ItemFilter:
    """What is asked for; empty values ask for nothing."""

    search: str = ""
    state: str = ""
    label: str = ""
    source: str = ""
    predicted: str = ""
    confidence_from: float | None = None
    confidence_to: float | None = None
    language: str = ""
    person: str = ""
    disagreement: str = ""
    sort: Sort = Sort.NEWEST

    @property
    def active(self) -> bool:
        """Whether it leaves anything out."""
        return self != ItemFilter(sort=self.sort)


@dataclass(frozen=True)
class FoundItem:
    """One line of the list; `text` is None where it is withheld until opened.

    Nothing here says why an item is with people. Its state and its confidence stay visible: who knows the
    threshold can tell from them that an item above it was drawn, as they can for any item they look up.
    """

    item_id: int
    public_id: str
    external_id: str
    state: str
    language: str
    text: str | None
    predicted: str
    confidence: float | None
    label: str
    source: str
    created_at: datetime


@dataclass(frozen=True)
class FoundPage:
    """One page, and where the next begins (empty on the last)."""

    items: tuple[FoundItem, ...]
    after: str
    limited: bool


def is_sensitive(sensitivity: str, labels: Sequence[str], sensitive_labels: frozenset[str]) -> bool:
    """Whether an item's content is withheld until somebody opens it."""
    return sensitivity.lower() not in HARMLESS or bool(sensitive_labels & set(labels))


def sensitive_labels(session: Session, project_id: int) -> frozenset[str]:
    """Labels whose items are withheld until opened."""
    return frozenset(
        session.scalars(
            select(ProjectLabelRow.value).where(
                ProjectLabelRow.project_id == project_id, ProjectLabelRow.sensitive
            )
        )
    )


def languages_of(session: Session, project_id: int) -> list[str]:
    """Languages of the project's items."""
    found = session.scalars(
        select(ItemRow.language)
        .where(ItemRow.project_id == project_id, ItemRow.language != "")
        .distinct()
        .order_by(ItemRow.language)
    )
    return list(found)


def people_in(session: Session, project_id: int) -> list[tuple[str, str]]:
    """Public id and name of everybody who answered in the project."""
    answered = select(AnnotationRow.person_id).where(AnnotationRow.project_id == project_id)
    rows = session.execute(
        select(PersonRow.public_id, PersonRow.name).where(PersonRow.id.in_(answered)).order_by(PersonRow.name)
    )
    return [(public_id, name) for public_id, name in rows]


def find_items(session: Session, project_id: int, wanted: ItemFilter, after: str = "") -> FoundPage:
    """One page of items.

    Args:
        session: Any session.
        project_id: The project.
        wanted: What to look for.
        after: `FoundPage.after` of the page before.

    Raises:
        InvalidInput: `after` is not from such a page, or the search text is too long.
    """
    blurred = sensitive_labels(session, project_id)
    statement, limited = _filtered(session, _statement(project_id), project_id, wanted, blurred)
    statement = _ordered(statement, wanted.sort, after)
    rows = session.execute(statement.limit(PAGE + 1)).all()
    items = tuple(_found(row, blurred) for row in rows[:PAGE])
    return FoundPage(items, _after(items[-1], wanted.sort) if len(rows) > PAGE else "", limited)


def keys_with_people(session: Session, project_id: int, wanted: ItemFilter, most: int) -> list[str]:
    """Opaque ids of the items that fit and are with people or on their way to them, the newest first."""
    blurred = sensitive_labels(session, project_id)
    statement, _ = _filtered(session, _statement(project_id), project_id, wanted, blurred)
    statement = statement.with_only_columns(ItemRow.public_id).where(ItemRow.state.in_(WITH_PEOPLE))
    return list(session.scalars(statement.order_by(ItemRow.id.desc()).limit(most)))


def _filtered(
    session: Session, statement: Select[Any], project_id: int, wanted: ItemFilter, blurred: frozenset[str]
) -> tuple[Select[Any], bool]:
    """The statement for what is wanted, and whether it looks through the newest items only."""
    if len(wanted.search) > _LONGEST_SEARCH:
        raise InvalidInput(f"the search text is longer than {_LONGEST_SEARCH} characters; shorten it")
    oldest = _oldest_searched(session, project_id) if wanted.search else None
    if oldest is not None:
        statement = statement.where(ItemRow.id >= oldest)
    return statement.where(*_conditions(wanted, blurred)), oldest is not None


def _statement(project_id: int) -> Select[Any]:
    newest = (
        select(func.max(PredictionRow.model_version_id))
        .where(PredictionRow.item_id == ItemRow.id)
        .correlate(ItemRow)
        .scalar_subquery()
    )
    return (
        select(
            ItemRow,
            PredictionRow.label,
            PredictionRow.confidence,
            LabelRow.label,
            LabelRow.source,
            func.substr(ItemPartRow.text, 1, _LONGEST_TEXT),
        )
        .outerjoin(
            PredictionRow,
            and_(PredictionRow.item_id == ItemRow.id, PredictionRow.model_version_id == newest),
        )
        .outerjoin(LabelRow, and_(LabelRow.item_id == ItemRow.id, LabelRow.superseded_at.is_(None)))
        .outerjoin(ItemPartRow, and_(ItemPartRow.item_id == ItemRow.id, ItemPartRow.position == 0))
        .where(ItemRow.project_id == project_id)
    )


def _conditions(wanted: ItemFilter, blurred: frozenset[str]) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.search:
        pattern = f"%{_escaped(wanted.search)}%"
        part = aliased(ItemPartRow)
        found.append(
            or_(
                ItemRow.external_id.ilike(pattern, escape="\\"),
                # What is withheld until somebody opens it cannot be read by searching for it either.
                and_(
                    _is_open(blurred),
                    exists().where(part.item_id == ItemRow.id, part.text.ilike(pattern, escape="\\")),
                ),
            )
        )
    equal: list[tuple[InstrumentedAttribute[str], str]] = [
        (ItemRow.state, wanted.state),
        (LabelRow.label, wanted.label),
        (LabelRow.source, wanted.source),
        (PredictionRow.label, wanted.predicted),
        (ItemRow.language, wanted.language),
    ]
    found.extend(column == value for column, value in equal if value)
    if wanted.confidence_from is not None:
        found.append(PredictionRow.confidence >= wanted.confidence_from)
    if wanted.confidence_to is not None:
        found.append(PredictionRow.confidence <= wanted.confidence_to)
    if wanted.person:
        found.append(_answered_by(wanted.person))
    if wanted.disagreement:
        found.append(_disagreement(Disagreement(wanted.disagreement)))
    return found


def _is_open(blurred: frozenset[str]) -> ColumnElement[bool]:
    """The opposite of `is_sensitive`, for the database."""
    return and_(
        func.lower(ItemRow.sensitivity).in_(HARMLESS),
        func.coalesce(PredictionRow.label, "").not_in(blurred),
        func.coalesce(LabelRow.label, "").not_in(blurred),
    )


def _answered_by(public_id: str) -> ColumnElement[bool]:
    person = select(PersonRow.id).where(PersonRow.public_id == public_id).scalar_subquery()
    return exists().where(AnnotationRow.item_id == ItemRow.id, AnnotationRow.person_id == person)


def _disagreement(between: Disagreement) -> ColumnElement[bool]:
    one, other = aliased(AnnotationRow), aliased(AnnotationRow)
    given = and_(one.item_id == ItemRow.id, one.deleted_at.is_(None), one.label != "")
    if between is Disagreement.MODEL:
        return exists().where(given, PredictionRow.label != "", one.label != PredictionRow.label)
    return exists().where(
        given,
        other.item_id == ItemRow.id,
        other.deleted_at.is_(None),
        other.label != "",
        other.label != one.label,
        other.id > one.id,
    )


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _oldest_searched(session: Session, project_id: int) -> int | None:
    return session.scalar(
        select(ItemRow.id)
        .where(ItemRow.project_id == project_id)
        .order_by(ItemRow.id.desc())
        .offset(SEARCHED)
        .limit(1)
    )


def _ordered(statement: Select[Any], sort: Sort, after: str) -> Select[Any]:
    if sort is Sort.NEWEST:
        if after:
            statement = statement.where(ItemRow.id < _marked_id(after))
        return statement.order_by(ItemRow.id.desc())
    statement = statement.where(PredictionRow.confidence.is_not(None))
    if after:
        confidence, _, item_id = after.partition("_")
        statement = statement.where(
            tuple_(PredictionRow.confidence, ItemRow.id) > (_marked_share(confidence), _marked_id(item_id))
        )
    return statement.order_by(PredictionRow.confidence, ItemRow.id)


def _marked_id(text: str) -> int:
    """The id in a page's marker; ids are 64-bit numbers, and nothing else reaches the database."""
    if not (text.isascii() and text.isdecimal() and len(text) <= _LONGEST_ID):
        raise InvalidInput(_NO_SUCH_PAGE)
    return int(text)


def _marked_share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise InvalidInput(_NO_SUCH_PAGE)
    return share


def _after(item: FoundItem, sort: Sort) -> str:
    return str(item.item_id) if sort is Sort.NEWEST else f"{item.confidence!r}_{item.item_id}"


def _found(row: Any, blurred: frozenset[str]) -> FoundItem:
    item, predicted, confidence, label, source, text = row
    withheld = is_sensitive(item.sensitivity, [predicted or "", label or ""], blurred)
    return FoundItem(
        item_id=item.id,
        public_id=item.public_id,
        external_id=item.external_id,
        state=item.state,
        language=item.language,
        text=None if withheld else (text or ""),
        predicted=predicted or "",
        confidence=confidence,
        label=label or "",
        source=source or "",
        created_at=item.created_at,
    )


def known_states() -> list[str]:
    """States to choose from."""
    return [state.value for state in ItemState]
