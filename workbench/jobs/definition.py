"""What a job is: a function of named JSON arguments that works in durable steps."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, TypeAlias

from workbench.outside import Outside

Json: TypeAlias = bool | int | float | str | list[Any] | dict[str, Any] | None


class JobState(StrEnum):
    """How far a job is."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    RESUMING = "resuming"


class JobQueue(StrEnum):
    """Which line a job waits in: long work must not hold up the lanes."""

    WORK = "work"
    LANES = "lanes"


class JobRun(Protocol):
    """A running job, as its function sees it."""

    job_id: str
    outside: Outside

    def step(self, function: Callable[..., Json], *arguments: Json) -> Any:
        """Result of `function(outside, *arguments)`, recorded: a resumed job gets what was recorded.

        The function may run twice when a process dies at the wrong moment, so it must leave the same
        state the second time. Arguments and result must survive JSON unchanged.

        Raises:
            NotJson: They would not.
        """

    def progress(self, done: int, total: int | None = None, message: str = "") -> None:
        """Show how far the job is (call it outside steps, in what counts in the job's unit)."""


@dataclass(frozen=True)
class JobKind:
    """A kind of job: its name, the function that runs it, and what its progress counts.

    `run` must do everything that reads or changes the world inside `JobRun.step`: a resumed job runs it
    again from the top, with recorded results.
    """

    name: str
    run: Callable[[JobRun, dict[str, Any]], Json]
    unit: str
    queue: JobQueue = JobQueue.WORK


class StepCancelled(Exception):
    """The job was cancelled during a step: it leaves no result, and runs anew when the job is resumed."""


class NotJson(TypeError):
    """An argument or result of a job would come back changed from JSON."""


def checked_json(value: Any, what: str) -> Json:
    """The value, if JSON gives it back unchanged.

    Raises:
        NotJson: A resumed job would see something else (a tuple as list, a Decimal as text …).

    >>> checked_json({"a": [1, None]}, "result")
    {'a': [1, None]}
    """
    try:
        again = json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as problem:
        raise NotJson(f"{what} cannot be written as JSON: {problem}") from None
    if not _same(value, again):
        raise NotJson(f"{what} comes back changed from JSON: {value!r:.200} becomes {again!r:.200}")
    result: Json = again
    return result


def _same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(_same(a, b) for a, b in zip(one, other, strict=True))
    return bool(one == other)
