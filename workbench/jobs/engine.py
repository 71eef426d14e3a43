"""The durable job engine: DBOS, kept behind this one module.

A job row in our own database is the wish; the engine's workflow of the same id is the work. Steps that
finished are never run again after a crash, the step that was cut is. The engine's own tables live in a
database of their own, so that two writers never wait for each other.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer, SetWorkflowID, StepOptions
from dbos._error import DBOSAwaitedWorkflowCancelledError, DBOSWorkflowCancelledError
from sqlalchemy.exc import OperationalError

from integrations.errors import IntegrationError
from workbench.db.database import job_engine_database
from workbench.errors import Unavailable, WorkbenchError, WrongState
from workbench.jobs import store
from workbench.jobs.definition import JobKind, JobQueue, JobState, Json, checked_json
from workbench.jobs.tables import JobRow
from workbench.outside import Outside

log = structlog.get_logger(__name__)

# Bumped only when the order of steps in some job changes so that a half-done one could not go on.
PROTOCOL_VERSION = "1"

_LOOK_SECONDS = 0.3
_CONCURRENCY = {JobQueue.WORK: 2, JobQueue.LANES: 4}
_TRANSIENT = (Unavailable,)


class StepBroke(Exception):
    """A step met something nobody foresaw; the message is its kind alone."""


class Engine:
    """Runs jobs in this process until stopped.

    Args:
        outside: The outside world, handed to each step.
        kinds: All kinds of jobs that may be asked for.
        executor_id: This worker's name; after a crash a worker of the same name takes up its jobs.
    """

    def __init__(self, outside: Outside, kinds: Sequence[JobKind], *, executor_id: str = "worker-1") -> None:
        self.outside = outside
        self.kinds = {kind.name: kind for kind in kinds}
        self._stop = threading.Event()
        self._sent: set[str] = set()
        self._looker: threading.Thread | None = None
        config: DBOSConfig = {
            "name": "workbench",
            "application_version": PROTOCOL_VERSION,
            "executor_id": executor_id,
            "serializer": DBOSPortableJSONSerializer(),
            # Its own error lines carry tracebacks with the values of rows; ours say where, not what.
            "log_level": "CRITICAL",
            "console_log_level": "CRITICAL",
            "max_executor_threads": 16,
        }
        if outside.settings.engine_url.startswith("sqlite"):
            config["system_database_engine"] = job_engine_database(outside.settings.engine_url)
            config["system_database_url"] = outside.settings.engine_url
        else:
            config["system_database_url"] = outside.settings.engine_url
        logging.getLogger("dbos").setLevel(logging.CRITICAL)
        DBOS(config=config)

        @DBOS.workflow(name="job")
        def workflow(job_id: str, kind_name: str) -> Json:
            return self._run(job_id, kind_name)

        self._workflow: Callable[[str, str], Json] = workflow

    def start(self) -> None:
        """Take up what was cut off, then look for new jobs every moment."""
        DBOS.launch()
        for queue in JobQueue:
            DBOS.register_queue(
                queue.value, worker_concurrency=_CONCURRENCY[queue], polling_interval_sec=_LOOK_SECONDS
            )
        self._adopt_lost()
        self._looker = threading.Thread(target=self._look_for_jobs, name="jobs", daemon=True)
        self._looker.start()

    def stop(self, *, patience_s: int = 20) -> None:
        """Let running steps end, then leave; what is half done goes on at the next start."""
        self._stop.set()
        if self._looker:
            self._looker.join(timeout=10)
        DBOS.destroy(destroy_registry=True, workflow_completion_timeout_sec=patience_s)

    def _run(self, job_id: str, kind_name: str) -> Json:
        run = _Run(self.outside, job_id)
        try:
            arguments = run.step(_begin, job_id)
            kind = self._known(kind_name)
            result = checked_json(kind.run(run, arguments), f"result of job {kind_name}")
            run.step(_end, job_id, JobState.DONE.value, result, "")
        except (DBOSWorkflowCancelledError, DBOSAwaitedWorkflowCancelledError):
            raise
        except Exception as problem:
            log.warning("job failed", job=job_id, kind=kind_name, error=type(problem).__name__)
            _end(self.outside, job_id, JobState.FAILED.value, None, sentence(problem))
            raise
        return None

    def _known(self, name: str) -> JobKind:
        kind = self.kinds.get(name)
        if kind is None:
            raise WrongState(
                f"this release knows no job of kind {name}; upgrade the worker, then resume the job"
            )
        return kind

    def _look_for_jobs(self) -> None:
        while not self._stop.wait(_LOOK_SECONDS):
            try:
                self._look_once()
            except Exception as problem:  # noqa: BLE001 - the looker must outlive a database hiccup
                log.warning("looking for jobs failed", error=type(problem).__name__)

    def _look_once(self) -> None:
        with self.outside.db.read() as session:
            waiting = store.waiting_jobs(session)
        for row in waiting:
            try:
                self._take(row)
            except WorkbenchError as problem:
                _end(self.outside, row.id, JobState.FAILED.value, None, str(problem))

    def _take(self, row: JobRow) -> None:
        if row.state == JobState.CANCELLING:
            self._cancel(row)
        elif row.state == JobState.RESUMING:
            self._resume(row)
        elif row.engine_id not in self._sent:
            self._send(row)

    def _send(self, row: JobRow) -> None:
        kind = self._known(row.kind)
        with SetWorkflowID(row.engine_id):
            DBOS.enqueue_workflow(kind.queue.value, self._workflow, row.id, row.kind)
        self._sent.add(row.engine_id)

    def _cancel(self, row: JobRow) -> None:
        DBOS.cancel_workflow(row.engine_id)
        _end(self.outside, row.id, JobState.CANCELLED.value, None, "")
        self._sent.discard(row.engine_id)

    def _resume(self, row: JobRow) -> None:
        status = DBOS.get_workflow_status(row.engine_id)
        engine_id = row.engine_id
        goes_on = status is not None and status.status == "CANCELLED"
        kind = self._known(row.kind)
        state = JobState.RUNNING
        if not goes_on:
            # A failed one begins anew under another id; its finished work is there, so it goes fast.
            turn = int(engine_id.rpartition("~")[2]) if "~" in engine_id else 0
            engine_id = f"{row.id}~{turn + 1}"
            state = JobState.QUEUED
        # Written first: the work may end at any moment after the engine has it, and that must stand.
        with self.outside.db.write() as session:
            store.report(session, row.id, state=state, engine_id=engine_id, finished_at=None)
        if goes_on:
            DBOS.resume_workflow(engine_id, queue_name=kind.queue.value)

    def _adopt_lost(self) -> None:
        """Jobs that say they run but that the engine does not know (its file was lost) begin anew."""
        with self.outside.db.read() as session:
            running = store.running_jobs(session)
        for row in running:
            status = DBOS.get_workflow_status(row.engine_id)
            if status is None or status.status in {"SUCCESS", "ERROR", "CANCELLED"}:
                with self.outside.db.write() as session:
                    store.report(session, row.id, state=JobState.RESUMING)

    def forget(self, engine_ids: Sequence[str]) -> None:
        """Drop the engine's records of recurring jobs that have ended."""
        if engine_ids:
            DBOS.delete_workflows(list(engine_ids))
            self._sent.difference_update(engine_ids)


class _Run:
    """A job as its function sees it."""

    def __init__(self, outside: Outside, job_id: str) -> None:
        self.outside = outside
        self.job_id = job_id

    def step(self, function: Callable[..., Json], *arguments: Json) -> Any:
        name = getattr(function, "__name__", "step")
        checked_json(list(arguments), f"arguments of {name}")

        def work() -> Json:
            try:
                return checked_json(function(self.outside, *arguments), f"result of {name}")
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
        values: dict[str, Any] = {"done": done, "message": message, "seen_at": self.outside.now()}
        if total is not None:
            values["total"] = total
        with self.outside.db.write() as session:
            store.report(session, self.job_id, **values)


def _begin(outside: Outside, job_id: str) -> dict[str, Any]:
    with outside.db.write() as session:
        row = store.find_job(session, job_id)
        if row.state in {JobState.QUEUED, JobState.RESUMING}:
            row.state = JobState.RUNNING
        row.started_at = row.started_at or outside.now()
        row.problem = ""
        return dict(row.arguments)


def _end(outside: Outside, job_id: str, state: str, result: Json, problem: str) -> None:
    with outside.db.write() as session:
        row = store.find_job(session, job_id)
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
