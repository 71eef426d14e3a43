"""The durable job engine: DBOS, kept behind this one module.

A job row in our own database is the wish; the engine's workflow of the same id is the work. Steps that
finished are never run again after a crash, the step that was cut is. The engine's own tables live in a
database of their own, so that two writers never wait for each other.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

import structlog
from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer, SetWorkflowID
from dbos._error import DBOSAwaitedWorkflowCancelledError, DBOSWorkflowCancelledError
from sqlalchemy import Engine as SqlEngine
from sqlalchemy.exc import DBAPIError

from workbench.db.engines import SCHEMA, job_engine_database, postgresql_engine
from workbench.db.fence import Fenced, fenced_by
from workbench.db.urls import database_address
from workbench.errors import WorkbenchError, WrongState
from workbench.incidents.store import heal_incident, report_incident
from workbench.jobs import store, workers
from workbench.jobs.definition import JobKind, JobQueue, JobState, Json, checked_json
from workbench.jobs.presence import Presence
from workbench.jobs.running import Run, begin_job, end_job, lost, sentence
from workbench.jobs.tables import JobRow
from workbench.outside import Outside

log = structlog.get_logger(__name__)

# Bumped only when the order of steps in some job changes so that a half-done one could not go on.
PROTOCOL_VERSION = "1"

_LOOK_SECONDS = 0.3
_CONCURRENCY = {JobQueue.WORK: 2, JobQueue.LANES: 4}
_ENGINE_CONNECTIONS = 6
# A worker is also cut off by deployments and power cuts: never so often in a row.
_DEADLY = 10
_PENDING = "PENDING"
_ENDED = frozenset({"SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"})
# A row and the engine disagree for a moment whenever one of them was just written.
_LOST_AFTER_S = 5.0


class Engine:
    """Runs jobs in this process until stopped, beside other workers where the database is PostgreSQL.

    Args:
        outside: The outside world, handed to each step.
        kinds: All kinds of jobs that may be asked for.
        name: This worker's name, unique among workers; after a crash one of the same name takes up its
            jobs at once, and others do when it stays silent.
    """

    def __init__(self, outside: Outside, kinds: Sequence[JobKind], *, name: str = "worker-1") -> None:
        self.outside = outside
        self.kinds = {kind.name: kind for kind in kinds}
        self.presence = Presence(outside, name, self._tend)
        self._odd: dict[str, float] = {}
        self._stop = threading.Event()
        self._sent: set[str] = set()
        self._looker: threading.Thread | None = None
        config: DBOSConfig = {
            "name": "workbench",
            "application_version": PROTOCOL_VERSION,
            "executor_id": name,
            "serializer": DBOSPortableJSONSerializer(),
            # Its own error lines carry tracebacks with the values of rows; ours say where, not what.
            "log_level": "CRITICAL",
            "console_log_level": "CRITICAL",
            "max_executor_threads": 16,
        }
        config["system_database_url"] = outside.settings.engine_url
        self._database = _engine_database(outside)
        config["system_database_engine"] = self._database
        config["dbos_system_schema"] = SCHEMA
        logging.getLogger("dbos").setLevel(logging.CRITICAL)
        DBOS(config=config)

        @DBOS.workflow(name="job")
        def workflow(job_id: str, kind_name: str) -> Json:
            return self._run(job_id, kind_name)

        self._workflow: Callable[[str, str], Json] = workflow

    def start(self, *, patience_s: float = 0.0) -> None:
        """Take this worker's name and what was cut off under it, then look for new jobs every moment.

        Args:
            patience_s: How long to wait for another process of the name to be gone.

        Raises:
            Conflict: Another worker of this name lives.
        """
        self.presence.enter(patience_s=patience_s)
        DBOS.launch()
        for queue in JobQueue:
            DBOS.register_queue(
                queue.value, worker_concurrency=_CONCURRENCY[queue], polling_interval_sec=_LOOK_SECONDS
            )
        with self.outside.db.read() as session:
            is_alone = workers.names_of(workers.live_workers(session)) == {self.presence.me.name}
        if is_alone:
            self._adopt_lost(after_s=0.0)
        self._looker = threading.Thread(target=self._look_for_jobs, name="jobs", daemon=True)
        self._looker.start()

    def stop(self, *, patience_s: int = 20) -> None:
        """Let running steps end, then leave; what is half done goes on elsewhere, or at the next start."""
        self._stop.set()
        if self._looker:
            self._looker.join(timeout=10)
        DBOS.destroy(destroy_registry=True, workflow_completion_timeout_sec=patience_s)
        self._database.dispose()
        self.presence.leave()

    def _run(self, job_id: str, kind_name: str) -> Json:
        run = Run(self.outside, job_id, self._stop)
        try:
            engine_id = DBOS.workflow_id or job_id
            fence = run.surely(lambda: self._claim(job_id, engine_id))
            with fenced_by(lambda session: workers.owns_job(session, job_id, fence)):
                self._work(run, kind_name)
        except Fenced:
            log.warning("a job was dropped: it has another owner", job=job_id, kind=kind_name)
            raise lost(job_id) from None
        return None

    def _claim(self, job_id: str, engine_id: str) -> int:
        with self.outside.db.beside() as session:
            me = self.presence
            fence = workers.claim_job(session, job_id, engine_id, me.me.name)
            if fence is None or not workers.lives(session, me.me.name, me.epoch):
                raise Fenced
            return fence

    def _work(self, run: Run, kind_name: str) -> None:
        try:
            run.surely(lambda: self._refuse_if_deadly(run.job_id))
            arguments = run.step(begin_job, run.job_id)
            kind = self._known(kind_name)
            result = checked_json(kind.run(run, arguments), f"result of job {kind_name}")
            run.step(end_job, run.job_id, JobState.DONE.value, result, "")
            run.surely(lambda: self._heal(run.job_id))
        except (DBOSWorkflowCancelledError, DBOSAwaitedWorkflowCancelledError):
            raise
        except Exception as problem:
            if isinstance(problem, DBAPIError):
                # The engine's database failed it, not the work: that begins anew, past what is done.
                log.warning("the job engine was cut off", job=run.job_id, error=type(problem).__name__)
                run.surely(lambda: self._begin_anew(run.job_id))
                raise
            said = sentence(problem)
            log.warning("job failed", job=run.job_id, kind=kind_name, error=type(problem).__name__)
            run.surely(lambda: end_job(self.outside, run.job_id, JobState.FAILED.value, None, said))
            raise

    def _refuse_if_deadly(self, job_id: str) -> None:
        """Ends a job that takes worker after worker with it (out of memory, a broken library).

        Raises:
            WrongState: It did so too often in a row.
        """
        with self.outside.db.append() as session:
            row = store.find_job(session, job_id)
            if row.cut_off < _DEADLY:
                return
            said = (
                f"{row.cut_off} workers in a row ended in the middle of this job, so it was stopped. Look "
                "at the machine's memory and the workers' log, then resume the job"
            )
            report_incident(
                session,
                "deadly_job",
                f"job:{job_id}",
                said,
                now=self.outside.now(),
                severity="bad",
                project_id=row.project_id,
            )
        raise WrongState(said)

    def _heal(self, job_id: str) -> None:
        with self.outside.db.append() as session:
            heal_incident(session, "deadly_job", f"job:{job_id}", "the job was done", now=self.outside.now())

    def _begin_anew(self, job_id: str) -> None:
        with self.outside.db.append() as session:
            if store.find_job(session, job_id, lock=True).state == JobState.RUNNING:
                store.report(session, job_id, state=JobState.RESUMING)

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
                end_job(self.outside, row.id, JobState.FAILED.value, None, str(problem))

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
        end_job(self.outside, row.id, JobState.CANCELLED.value, None, "")
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
        with self.outside.db.append() as session:
            now = store.find_job(session, row.id, lock=True)
            if (now.state, now.engine_id) != (JobState.RESUMING, row.engine_id):
                return  # Another worker was faster.
            store.report(session, row.id, state=state, engine_id=engine_id, finished_at=None)
        if goes_on:
            DBOS.resume_workflow(engine_id, queue_name=kind.queue.value)

    def _tend(self, living: set[str]) -> None:
        """Nobody's work goes on here or elsewhere (done by the leader)."""
        for status in DBOS.list_workflows(status=_PENDING, load_input=False, load_output=False):
            if status.executor_id not in living:
                log.warning(
                    "a job goes on with another worker", job=status.workflow_id, was=status.executor_id
                )
                DBOS.resume_workflow(status.workflow_id, queue_name=self._queue_of(status.workflow_id))
        self._adopt_lost()

    def _queue_of(self, engine_id: str) -> str:
        with self.outside.db.read() as session:
            row = store.job_of_engine(session, engine_id)
        kind = self.kinds.get(row.kind) if row else None
        return (kind.queue if kind else JobQueue.WORK).value

    def _adopt_lost(self, *, after_s: float = _LOST_AFTER_S) -> None:
        """Jobs that say they run or wait but that the engine lost, or counts as ended, begin anew.

        They are looked at twice, some seconds apart, where others work: the one is always written a moment
        before the other.
        """
        with self.outside.db.read() as session:
            open_jobs = store.jobs_under_way(session)
        odd: dict[str, float] = {}
        for row in open_jobs:
            status = DBOS.get_workflow_status(row.engine_id)
            if status is not None and status.status not in _ENDED:
                continue
            if row.state == JobState.QUEUED and status is None:
                self._sent.discard(row.engine_id)
                continue
            since = self._odd.get(row.engine_id, time.monotonic())
            odd[row.engine_id] = since
            if time.monotonic() - since >= after_s:
                self._adopt(row)
        self._odd = odd

    def _adopt(self, row: JobRow) -> None:
        with self.outside.db.append() as session:
            now = store.find_job(session, row.id, lock=True)
            if (now.state, now.engine_id) == (row.state, row.engine_id):
                log.warning("a job that the engine lost begins anew", job=row.id)
                store.report(session, row.id, state=JobState.RESUMING)

    def forget(self, engine_ids: Sequence[str]) -> None:
        """Drop the engine's records of recurring jobs that have ended."""
        if engine_ids:
            DBOS.delete_workflows(list(engine_ids))
            self._sent.difference_update(engine_ids)


def _engine_database(outside: Outside) -> SqlEngine:
    address = database_address(outside.settings.engine_url)
    if address.get_backend_name() == "sqlite":
        return job_engine_database(address)
    return postgresql_engine(address, client=outside.db.client, pool_size=_ENGINE_CONNECTIONS, patient=True)
