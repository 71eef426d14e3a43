"""Runs a job in the test itself: steps one after the other, their arguments and results through JSON."""

from __future__ import annotations

from typing import Any

from workbench.jobs.definition import JobKind, checked_json
from workbench.outside import Outside


class Killed(BaseException):
    """The process dies here."""


class Run:
    """A job run; `results` are what a durable engine would have on record."""

    def __init__(
        self,
        outside: Outside,
        results: list[Any] | None = None,
        *,
        kill_after: int | None = None,
        twice: bool = False,
    ):
        self.job_id = "job"
        self.outside = outside
        self.results = results if results is not None else []
        self.kill_after = kill_after
        self.twice = twice
        self.steps = 0
        self.seen: list[tuple[int, int | None]] = []

    def step(self, function, *arguments):
        self.steps += 1
        if self.steps <= len(self.results):
            return self.results[self.steps - 1]
        arguments = checked_json(list(arguments), "arguments")
        result = checked_json(function(self.outside, *arguments), "result")
        if self.twice:
            result = checked_json(function(self.outside, *arguments), "result")
        if self.kill_after == self.steps:
            # Died after the step's work was committed and before its result was on record.
            raise Killed
        self.results.append(result)
        return result

    def progress(self, done: int, total: int | None = None, message: str = "") -> None:
        self.seen.append((done, total))


def run_through_kills(kind: JobKind, outside: Outside, arguments: dict[str, Any], kills: int) -> Any:
    """The job's result, though its process died once in each of the first steps."""
    results: list[Any] = []
    for step in range(1, kills + 1):
        try:
            kind.run(Run(outside, results, kill_after=step), arguments)
        except Killed:
            continue
        raise AssertionError(f"the job ended before step {step}")
    return kind.run(Run(outside, results), arguments)
