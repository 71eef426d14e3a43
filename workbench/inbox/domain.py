"""What a delivery hints at: which lane and which tasks are worth reading again. Never an answer itself."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

MOST_TRIES = 5
MOST_IDS = 1_000
"""Ids taken from one delivery; where there are more, the whole lane is read."""

ACTIONS = (
    "ANNOTATION_CREATED",
    "ANNOTATIONS_CREATED",
    "ANNOTATION_UPDATED",
    "ANNOTATIONS_DELETED",
    "TASKS_DELETED",
    "PROJECT_UPDATED",
)
"""What servers are asked to tell. Not TASKS_CREATED: those are our own, and the bodies are the largest."""

# Label Studio puts the project's own token into every delivery.
_TOKEN = re.compile(rb'\s*:\s*"((?:[^"\\]|\\.)*)"')
_LATER_S = (5, 15, 45, 90)


class ReceiverState(StrEnum):
    """Whether a server tells us what happens there."""

    NEW = "new"
    READY = "ready"
    POLLED = "polled"
    """It does not take our address: it is asked instead."""


@dataclass(frozen=True)
class Hint:
    """What a delivery is about, all of it unproved.

    Attributes:
        ls_project_id: The Label Studio project it names.
        task_ids: Tasks worth reading again.
        annotation_ids: Annotations that are said to be deleted; their tasks are worth reading again.
        is_deletion: Tasks are said to be gone: the lane is worth comparing.
        is_about_lane: The project itself changed: its settings are worth checking.
    """

    action: str
    ls_project_id: int
    task_ids: tuple[int, ...] = ()
    annotation_ids: tuple[int, ...] = ()
    is_deletion: bool = False
    is_about_lane: bool = False


class NotAHint(ValueError):
    """A delivery of no known form; the message says what is odd, without its content."""


def without_tokens(body: bytes) -> bytes:
    """The body with the values of its tokens cut out.

    >>> without_tokens(b'{"project": {"id": 3, "token": "secret"}}')
    b'{"project": {"id": 3, "token": ""}}'
    """
    # Searched by hand: a pattern over the whole body costs as much as storing it.
    parts, kept, found = [], 0, body.find(b'token"')
    while found >= 0:
        value = _TOKEN.match(body, found + 6)
        if value:
            parts.append(body[kept : value.start(1)])
            kept = value.end(1)
        found = body.find(b'token"', found + 6)
    return b"".join((*parts, body[kept:])) if parts else body


def digest_of(body: bytes) -> bytes:
    """SHA-256 of a delivery as it came; the same delivery twice is one row."""
    return hashlib.sha256(body).digest()


def action_of(body: bytes) -> str:
    """The action that a delivery names near its beginning; empty where it does not."""
    found = re.search(rb'"action"\s*:\s*"([A-Z_]{1,40})"', body[:400])
    return found[1].decode() if found else ""


def read_hint(body: bytes) -> Hint:
    """What a delivery hints at.

    Raises:
        NotAHint: It is not JSON, or not of a known form.
    """
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        raise NotAHint("it is not JSON") from None
    if not isinstance(told, dict):
        raise NotAHint("it is not an object")
    action = told.get("action")
    if action not in ACTIONS:
        raise NotAHint("its action is not one we asked for")
    project = told.get("project")
    ls_project_id = _id(project.get("id") if isinstance(project, dict) else project)
    if not ls_project_id:
        raise NotAHint("it names no project")
    annotations = _each(told.get("annotation")) + _each(told.get("annotations"))
    tasks = _ids(_each(told.get("task")) + _each(told.get("tasks")))
    tasks += [task for one in annotations if isinstance(one, dict) and (task := _id(one.get("task")))]
    deleted = _ids(annotations) if action == "ANNOTATIONS_DELETED" else []
    return Hint(
        action=action,
        ls_project_id=ls_project_id,
        task_ids=tuple(dict.fromkeys(tasks))[:MOST_IDS] if action != "TASKS_DELETED" else (),
        annotation_ids=tuple(dict.fromkeys(deleted))[:MOST_IDS],
        is_deletion=action == "TASKS_DELETED",
        is_about_lane=action == "PROJECT_UPDATED",
    )


def try_again_after(tries: int) -> timedelta:
    """How long a delivery that could not be handled waits; after `MOST_TRIES` it is a dead letter."""
    return timedelta(seconds=_LATER_S[min(max(tries, 1), len(_LATER_S)) - 1])


def _each(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _ids(values: list[Any]) -> list[int]:
    found = (_id(one.get("id") if isinstance(one, dict) else one) for one in values)
    return [one for one in found if one]


def _id(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**53 else 0
