"""Label Studio's JSON as our dataclasses; anything of another form is `LabelStudioConfused`."""

import math
import re
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NoReturn

from integrations.label_studio.errors import LabelStudioConfused
from integrations.label_studio.interface import Member, RawAnnotation, TaskAnswers, TaskStamp

LARGEST_ID = 2**63 - 1
DEEPEST = 40
_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")


def as_object(value: Any, what: str) -> Mapping[str, Any]:
    """The value, if it is a JSON object."""
    return value if isinstance(value, Mapping) else _odd(what)


def as_list(value: Any, what: str) -> list[Any]:
    """The value, if it is a JSON list."""
    return value if isinstance(value, list) else _odd(what)


def as_int(value: Any, what: str) -> int:
    """The value, if it is a whole number that a database can hold."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= LARGEST_ID:
        _odd(what)
    return value


def as_time(value: Any, what: str) -> datetime:
    """The value as a moment in UTC, if it is an ISO time with a zone."""
    try:
        moment = datetime.fromisoformat(value)
        return moment.astimezone(UTC) if moment.tzinfo else _odd(what)
    except (TypeError, ValueError, OverflowError):
        _odd(what)


def as_person(value: Any, what: str) -> int:
    """An account's id, given as a number or as an object with an id; 0 for none."""
    if value is None:
        return 0
    return as_int(value.get("id") if isinstance(value, Mapping) else value, what)


def as_text(value: Any) -> str:
    """The value if it is text, else nothing; characters that no database takes are replaced."""
    return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", value) if isinstance(value, str) else ""


def as_seconds(value: Any) -> float | None:
    """The value if it is a finite number, else None."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if abs(value) <= LARGEST_ID else None


def as_regions(value: Any) -> list[dict[str, Any]]:
    """An annotation's regions: those that are objects; none at all where they are nested beyond sense."""
    if not isinstance(value, list):
        return []
    try:
        return [_storable(region, DEEPEST) for region in value if isinstance(region, Mapping)]
    except _TooDeep:
        return []


class _TooDeep(Exception):
    """Nested deeper than any editor of Label Studio makes it."""


def _storable(value: Any, depth: int) -> Any:
    if depth == 0:
        raise _TooDeep
    if isinstance(value, str):
        return as_text(value)
    if isinstance(value, Mapping):
        return {as_text(name): _storable(one, depth - 1) for name, one in value.items()}
    if isinstance(value, list):
        return [_storable(one, depth - 1) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def visit_key(task: Mapping[str, Any]) -> str | None:
    """The key that our push wrote into the task."""
    data = task.get("data")
    found = data.get("wb_visit") if isinstance(data, Mapping) else None
    return found if isinstance(found, str) else None


def item_key(task: Mapping[str, Any]) -> str | None:
    """The item's key that our push wrote into the task."""
    data = task.get("data")
    found = data.get("wb_item_id") if isinstance(data, Mapping) else None
    return found if isinstance(found, str) else None


def task_stamp(value: Any) -> TaskStamp:
    """A task's id and last change."""
    task = as_object(value, "a task")
    return TaskStamp(
        task_id=as_int(task.get("id"), "a task's id"),
        updated_at=as_time(task.get("updated_at"), "a task's updated_at"),
        visit_key=visit_key(task),
    )


def task_answers(value: Any) -> TaskAnswers:
    """A task with its annotations."""
    task = as_object(value, "a task")
    task_id = as_int(task.get("id"), "a task's id")
    annotations = as_list(task.get("annotations"), "a task's annotations")
    return TaskAnswers(
        task_id=task_id,
        visit_key=visit_key(task),
        updated_at=as_time(task.get("updated_at"), "a task's updated_at"),
        is_labeled=task.get("is_labeled") is True,
        annotations=tuple(
            sorted((annotation(one, task_id) for one in annotations), key=lambda a: a.annotation_id)
        ),
        item_key=item_key(task),
    )


def answers_of(rows: Sequence[Any], wanted: Collection[int]) -> list[TaskAnswers]:
    """The tasks with their annotations, if they are among those that were asked for, each once."""
    found = [task_answers(row) for row in rows]
    ids = [one.task_id for one in found]
    if len(set(ids)) != len(ids) or not set(ids) <= set(wanted):
        raise LabelStudioConfused(
            "Label Studio answered with tasks that were not asked for; "
            "check that its version is supported (1.23)"
        )
    return found


def annotation(value: Any, task_id: int) -> RawAnnotation:
    """An annotation; what a person or a client may have written is kept, odd results become an empty list."""
    raw = as_object(value, "an annotation")
    unique_id = as_text(raw.get("unique_id"))
    updated_by = raw.get("updated_by")
    return RawAnnotation(
        annotation_id=as_int(raw.get("id"), "an annotation's id"),
        task_id=task_id,
        completed_by=as_person(raw.get("completed_by"), "an annotation's completed_by"),
        updated_by=None if updated_by is None else as_person(updated_by, "an annotation's updated_by"),
        was_cancelled=raw.get("was_cancelled") is True,
        lead_time_s=as_seconds(raw.get("lead_time")),
        result=as_regions(raw.get("result")),
        created_at=as_time(raw.get("created_at"), "an annotation's created_at"),
        updated_at=as_time(raw.get("updated_at"), "an annotation's updated_at"),
        ground_truth=raw.get("ground_truth") is True,
        unique_id=unique_id or None,
    )


def member(value: Any) -> Member:
    """An account."""
    user = as_object(value, "an account")
    return Member(
        user_id=as_int(user.get("id"), "an account's id"),
        email=as_text(user.get("email")),
        first_name=as_text(user.get("first_name")),
        last_name=as_text(user.get("last_name")),
    )


def no_end(what: str) -> NoReturn:
    """The error for a list that goes on and on."""
    raise LabelStudioConfused(
        f"Label Studio's list of {what} repeats itself and has no end; check what stands in front of it"
    )


def _odd(what: str) -> NoReturn:
    raise LabelStudioConfused(
        f"Label Studio's answer has {what} of an unexpected form; check that its version is supported (1.23)"
    )
