"""A job as its function sees it: durable steps, and the moves of its row."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import structlog
from dbos import DBOS, StepOptions
from dbos._error import DBOSWorkflowCancelledError, DBOSWorkflowConflictIDError
from sqlalchemy.exc import OperationalError

from integrations.errors import IntegrationError
from workbench.db.database import DatabaseAway
from workbench.db.fence import Fenced
from workbench.errors import Unavailable, WorkbenchError
from workbench.jobs import store
from workbench.jobs.definition import JobState, Json, StepCancelled, checked_json
from workbench.outside import Outside

log = structlog.get_logger(__name__)

_TRANSIENT = (Unavailable,)
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 3.0


class StepBroke(Exception):
    """A step met something nobody foresaw; the message is its kind alone."""


class Run:
    """A job as its function sees it.

    Args:
        outside: Handed to each step.
        job_id: The job's row.
        stopping: Set when this process is about to end: nothing is waited for any more.
    """

    def __init__(self, outside: Outside, job_id: str, stopping: threading.Event) -> None:
        self.outside = outside
        self.job_id = job_id
        self._stopping = stopping

    def step(self, function: Callable[..., Json], *arguments: Json) -> Any:
        """The result of a step, recorded; see `JobRun.step`."""
        name = getattr(function, "__name__", "step")
        checked_json(list(arguments), f"arguments of {name}")

        def work() -> Json:
            try:
                done = self.surely(lambda: function(self.outside, *arguments))
                return checked_json(done, f"result of {name}")
            except StepCancelled:
                # Nothing is recorded, so the step runs anew when the job is resumed.
                raise DBOSWorkflowCancelledError(self.job_id) from None
            except Fenced:
                # Not an outcome of the step: whoever owns the job by now records that.
                log.warning("a step was dropped: the job has another owner", step=name, job=self.job_id)
                raise lost(self.job_id) from None
            except OperationalError as problem:
                log.warning("the database did not take a step", step=name, job=self.job_id, exc_info=problem)
                raise Unavailable("the database is busy or cannot be reached; tried again") from None
            except Exception as problem:
                if speaks_for_itself(problem):
                    raise
                log.error("a step broke", step=name, job=self.job_id, exc_info=problem)  # noqa: TRY400
                # The engine keeps and prints what is raised here: only the kind, never what rows hold.
                raise StepBroke(type(problem).__name__) from None

        options: StepOptions = {
            "name": name,
            "retries_allowed": True,
            "max_attempts": 4,
            "interval_seconds": 0.5,
            "backoff_rate": 2.0,
            "should_retry": lambda problem: isinstance(problem, _TRANSIENT),
        }
        return DBOS.run_step(options, work)

    def progress(self, done: int, total: int | None = None, message: str = "") -> None:
        """Show how far the job is; a database that is away just now does not hold it up."""
        values: dict[str, Any] = {"done": done, "message": message, "seen_at": self.outside.now()}
        if total is not None:
            values["total"] = total
        try:
            with self.outside.db.append() as session:
                store.report(session, self.job_id, **values)
        except Unavailable:
            log.warning("progress could not be told", job=self.job_id)

    def surely(self, function: Callable[[], Any]) -> Any:
        """What the function gives, tried again for as long as the database is away.

        Raises:
            Fenced: This process ends meanwhile: the job goes on elsewhere, or at the next start.
        """
        pause = _FIRST_PAUSE_S
        while True:
            try:
                return function()
            except DatabaseAway:
                if self._stopping.wait(pause):
                    raise Fenced from None
                pause = min(pause * 2, _LONGEST_PAUSE_S)


def lost(job_id: str) -> DBOSWorkflowConflictIDError:
    """What tells the job engine to drop this execution, recording nothing: another owns the job."""
    return DBOSWorkflowConflictIDError(job_id)


def begin_job(outside: Outside, job_id: str) -> dict[str, Any]:
    """The job's arguments; its row says that it runs."""
    with outside.db.append() as session:
        row = store.find_job(session, job_id, lock=True)
        if row.state in {JobState.QUEUED, JobState.RESUMING}:
            row.state = JobState.RUNNING
        row.started_at = row.started_at or outside.now()
        row.problem = ""
        return dict(row.arguments)


def end_job(outside: Outside, job_id: str, state: str, result: Json, problem: str) -> None:
    """Write how the job ended, unless somebody stopped it meanwhile."""
    with outside.db.append() as session:
        row = store.find_job(session, job_id, lock=True)
        if state == JobState.CANCELLED and row.state != JobState.CANCELLING:
            return  # It came to its end before it could be stopped.
        if state == JobState.FAILED and row.state in {JobState.CANCELLING, JobState.CANCELLED}:
            state, problem = JobState.CANCELLED.value, ""  # Its last step broke while it was being stopped.
        store.finish(session, job_id, JobState(state), now=outside.now(), result=result, problem=problem)


def sentence(problem: BaseException) -> str:
    """What to show of a problem: our own errors speak for themselves, others only by kind."""
    cause: BaseException | None = problem
    while cause is not None:
        if speaks_for_itself(cause):
            return str(cause)
        errors = getattr(cause, "errors", None)
        cause = errors[-1] if isinstance(errors, list) and errors else cause.__cause__
    kind = str(problem) if isinstance(problem, StepBroke) else type(problem).__name__
    return f"something unexpected broke ({kind}); the log has it. Resume the job to try again."


def speaks_for_itself(problem: BaseException) -> bool:
    """Whether a problem is one of ours, whose message may be shown."""
    ours = type(problem).__module__.startswith(("models.", "routing."))
    return ours or isinstance(problem, WorkbenchError | IntegrationError)
