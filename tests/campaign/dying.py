"""A worker that dies at a named point: `STEP.PLACE`, the n-th time it gets there.

The points are put in from outside, around every step, transaction and call of Label Studio, so that the
product itself holds no switch that kills it. Places: `begin` and `end` of a step's work, `commit` before a
transaction is committed and `committed` after it, `call` before a call of Label Studio and `called` after.
"""

from __future__ import annotations

import functools
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import Session

from workbench.jobs.definition import JobKind
from workbench.outside import Outside

_step: ContextVar[str] = ContextVar("step", default="engine")


class Points:
    """Counts where the process gets to; dies where it is told to.

    Args:
        target: A point, or empty.
        turn: Which time.
        survey: Where points are noted; None: nowhere.
    """

    def __init__(self, target: str = "", turn: int = 1, survey: Path | None = None) -> None:
        self.target, self.turn, self.survey = target, turn, survey
        self.seen: Counter[str] = Counter()
        self._lock = threading.Lock()

    def reached(self, place: str) -> None:
        """The process is at this place of the step it is in."""
        name = f"{_step.get()}.{place}"
        with self._lock:
            self.seen[name] += 1
            is_new = self.seen[name] == 1
            if self.survey and is_new:
                with self.survey.open("a") as file:
                    file.write(name + "\n")
            if name == self.target and self.seen[name] >= self.turn:
                os.kill(os.getpid(), signal.SIGKILL)

    def watch_database(self, outside: Outside) -> None:
        """Points around every commit."""
        event.listen(outside.db.writer, "commit", lambda _: self.reached("commit"))
        event.listen(Session, "after_commit", lambda _: self.reached("committed"))

    def watched(self, kind: JobKind) -> JobKind:
        """The same kind of job with points around its steps."""

        def run(job: Any, arguments: dict[str, Any]) -> Any:
            return kind.run(_Job(job, self), arguments)

        return replace(kind, run=run)

    def client(self, real: Any) -> Any:
        """A client of Label Studio with points around its calls."""
        return _Client(real, self)


class _Job:
    def __init__(self, job: Any, points: Points) -> None:
        self._job, self._points = job, points
        self.job_id, self.outside, self.progress = job.job_id, job.outside, job.progress

    def step(self, function: Callable[..., Any], *arguments: Any) -> Any:
        name = function.__name__
        if arguments and isinstance(arguments[0], str):
            name = f"{name}-{arguments[0]}"

        @functools.wraps(function)
        def work(outside: Outside, *given: Any) -> Any:
            token = _step.set(name)
            try:
                self._points.reached("begin")
                found = function(outside, *given)
                self._points.reached("end")
                return found
            finally:
                _step.reset(token)

        return self._job.step(work, *arguments)


class _Client:
    def __init__(self, real: Any, points: Points) -> None:
        self._real, self._points = real, points

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._real, name)

        def call(*arguments: Any, **named: Any) -> Any:
            self._points.reached("call")
            found = real(*arguments, **named)
            self._points.reached("called")
            return found

        return call
