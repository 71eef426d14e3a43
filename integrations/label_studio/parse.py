"""Label Studio's JSON as our dataclasses; anything of another form is `LabelStudioConfused`."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn

from integrations.label_studio.errors import LabelStudioConfused
from integrations.label_studio.interface import Member, RawAnnotation, TaskAnswers, TaskStamp


def as_object(value: Any, what: str) -> Mapping[str, Any]:
    """The value, if it is a JSON object."""
    return value if isinstance(value, Mapping) else _odd(what)


def as_list(value: Any, what: str) -> list[Any]:
    """The value, if it is a JSON list."""
    return value if isinstance(value, list) else _odd(what)


def as_int(value: Any, what: str) -> int:
    """The value, if it is a whole number."""
    return value if isinstance(value, int) and not isinstance(value, bool) else _odd(what)


def as_time(value: Any, what: str) -> datetime:
    """The value as a moment in UTC, if it is an ISO time with a zone."""
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        _odd(what)
    return moment.astimezone(UTC) if moment.tzinfo else _odd(what)


def as_person(value: Any, what: str) -> int:
    """An account's id, given as a number or as an object with an id; 0 for none."""
    if value is None:
        return 0
    return as_int(value.get("id") if isinstance(value, Mapping) else value, what)


def as_text(value: Any) -> str:
    """The value if it is text, else nothing."""
    return value if isinstance(value, str) else ""


def visit_key(task: Mapping[str, Any]) -> str | None:
    """The key that our push wrote into the task."""
    data = task.get("data")
    found = data.get("wb_visit") if isinstance(data, Mapping) else None
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
    )


def annotation(value: Any, task_id: int) -> RawAnnotation:
    """An annotation; what a person or a client may have written is kept, odd results become an empty list."""
    raw = as_object(value, "an annotation")
    result = raw.get("result")
    lead_time = raw.get("lead_time")
    unique_id = raw.get("unique_id")
    updated_by = raw.get("updated_by")
    return RawAnnotation(
        annotation_id=as_int(raw.get("id"), "an annotation's id"),
        task_id=task_id,
        completed_by=as_person(raw.get("completed_by"), "an annotation's completed_by"),
        updated_by=None if updated_by is None else as_person(updated_by, "an annotation's updated_by"),
        was_cancelled=raw.get("was_cancelled") is True,
        lead_time_s=float(lead_time)
        if isinstance(lead_time, int | float) and not isinstance(lead_time, bool)
        else None,
        result=[dict(region) for region in result if isinstance(region, Mapping)]
        if isinstance(result, list)
        else [],
        created_at=as_time(raw.get("created_at"), "an annotation's created_at"),
        updated_at=as_time(raw.get("updated_at"), "an annotation's updated_at"),
        ground_truth=raw.get("ground_truth") is True,
        unique_id=unique_id if isinstance(unique_id, str) else None,
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


def _odd(what: str) -> NoReturn:
    raise LabelStudioConfused(
        f"Label Studio's answer has {what} of an unexpected form; check that its version is supported (1.23)"
    )
