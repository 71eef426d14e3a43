"""What keeps work flowing: sees what each project needs next and asks for the job."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from sqlalchemy.orm import Session

from workbench.decisions.jobs import DECIDE
from workbench.decisions.store import active_policy
from workbench.errors import Unavailable
from workbench.items.domain import ItemState
from workbench.items.store import counts_by_state
from workbench.jobs import store as jobs
from workbench.jobs.definition import JobState
from workbench.jobs.engine import Engine
from workbench.jobs.tables import JobRow
from workbench.labeling.hints import drain, hinted_projects
from workbench.labeling.jobs import SYNC
from workbench.labeling.store import lanes_of
from workbench.labels.jobs import RESOLVE
from workbench.model_versions.store import live_version
from workbench.outside import Outside
from workbench.people.belonging import has_server
from workbench.prelabeling.jobs import PRELABEL
from workbench.projects.store import list_projects
from workbench.projects.tables import ProjectRow
from workbench.upkeep.jobs import ask_for_chores

log = structlog.get_logger(__name__)

RETRY_AFTER = timedelta(seconds=30)
LONGEST_PAUSE_S = 30.0
BEAT_SECONDS = 0.5
CHORES_EVERY = timedelta(seconds=30)


@dataclass
class _Rhythm:
    """When a project's lanes are looked at again."""

    due: datetime | None = None
    quiet_rounds: int = 0
    failures: int = 0
    seen: str = ""
    ended: list[str] = field(default_factory=list)


class Pump:
    """Asks for jobs; call `beat` about every second."""

    def __init__(self, outside: Outside) -> None:
        self.outside = outside
        self._rhythms: dict[int, _Rhythm] = {}
        self._hinted: set[int] = set()
        self._since = outside.now()
        self._looked = outside.now() - CHORES_EVERY

    def beat(self) -> list[str]:
        """One look at all projects; returns the engine ids of recurring jobs that can be forgotten."""
        drain(self.outside)
        self._ask_for_chores()
        with self.outside.db.read() as session:
            projects = list_projects(session)
            self._hinted = hinted_projects(session)
            wanted = {project.id: self._wants(session, project) for project in projects}
        for project in projects:
            if any(wanted[project.id]):
                with self.outside.db.write(project=project.id) as session:
                    self._ask(session, project, wanted[project.id])
        return self._forgettable()

    def _ask_for_chores(self) -> None:
        now = self.outside.now()
        if now - self._looked < CHORES_EVERY:
            return
        with self.outside.db.write() as session:
            ask_for_chores(session, self.outside, self._since)
        self._looked = now

    def _wants(self, session: Session, project: ProjectRow) -> list[str]:
        counts = counts_by_state(session, project.id)
        live = live_version(session, project.id)
        now = self.outside.now()
        # Of a paused or closed project only what people still answer is read and counted.
        is_active = project.state == "active"
        wants = []
        if (
            is_active
            and counts[ItemState.IMPORTED]
            and live
            and self._may_start(session, PRELABEL, project.id)
        ):
            wants.append(PRELABEL)
        to_decide = counts[ItemState.PREDICTED] or (
            counts[ItemState.IMPORTED] and live is None and project.without_model == "people"
        )
        if (
            is_active
            and to_decide
            and active_policy(session, project.id) is not None
            and self._may_start(session, DECIDE, project.id)
        ):
            wants.append(DECIDE)
        to_resolve = counts[ItemState.ACCEPTED] or counts[ItemState.ANNOTATED]
        if to_resolve and self._may_start(session, RESOLVE, project.id):
            wants.append(RESOLVE)
        rhythm = self._rhythms.setdefault(project.id, _Rhythm())
        self._listen(session, project, rhythm)
        has_lane_work = counts[ItemState.QUEUED] or lanes_of(session, project.id)
        if (
            has_lane_work
            and has_server(session, project)
            and (
                rhythm.due is None
                or now >= rhythm.due
                or (project.id in self._hinted and not rhythm.failures)
            )
        ):
            wants.append(SYNC)
        return wants

    def _may_start(self, session: Session, kind: str, project_id: int) -> bool:
        """No job of this kind is open, and the last one did not fail a moment ago or was not cancelled."""
        last = jobs.last_job(session, kind, project_id)
        if last is None:
            return True
        if last.state == JobState.FAILED:
            return self.outside.now() - (last.finished_at or last.created_at) > RETRY_AFTER
        return last.state == JobState.DONE

    def _ask(self, session: Session, project: ProjectRow, wants: list[str]) -> None:
        now = self.outside.now()
        for kind in wants:
            if kind in {SYNC, RESOLVE}:
                self._repeat(session, kind, project, now)
                continue
            if not self._may_start(session, kind, project.id):
                continue  # Somebody else asked since we looked.
            arguments: dict[str, object] = {"project_id": project.id}
            if kind == DECIDE:
                arguments["without_model"] = (
                    project.without_model == "people" and live_version(session, project.id) is None
                )
            jobs.start_job(
                session,
                kind,
                arguments,
                job_id=self.outside.new_id(),
                project_id=project.id,
                by="machine",
                now=now,
            )

    def _repeat(self, session: Session, kind: str, project: ProjectRow, now: datetime) -> None:
        job_id = f"{kind}-{project.id}"
        before = session.get(JobRow, job_id)
        earlier = before.engine_id if before else ""
        arguments: dict[str, object] = {"project_id": project.id}
        if kind == SYNC and project.id in self._hinted:
            # Told that something happened: read that at once, and look often for a while.
            rhythm = self._rhythms[project.id]
            arguments["hinted"] = rhythm.due is not None and now < rhythm.due
            rhythm.quiet_rounds = 0
        if jobs.repeat_job(session, kind, arguments, job_id=job_id, project_id=project.id, now=now):
            if earlier:
                self._rhythms[project.id].ended.append(earlier)
            if kind == SYNC:
                self._rhythms[project.id].due = now + timedelta(seconds=self.outside.settings.poll_seconds)

    def _listen(self, session: Session, project: ProjectRow, rhythm: _Rhythm) -> None:
        """What the last round over the lanes found sets the pace of the next."""
        row = session.get(JobRow, f"{SYNC}-{project.id}")
        if row is None or row.engine_id == rhythm.seen or row.state not in {JobState.DONE, JobState.FAILED}:
            return
        rhythm.seen = row.engine_id
        settings = self.outside.settings
        if row.state == JobState.FAILED:
            rhythm.failures += 1
            pause = min(settings.poll_seconds * 2**rhythm.failures, LONGEST_PAUSE_S)
        else:
            moved = any((row.result or {}).get(name) for name in ("read", "pushed", "visits"))
            rhythm.quiet_rounds = 0 if moved else rhythm.quiet_rounds + 1
            busy = rhythm.quiet_rounds * settings.poll_seconds < settings.idle_poll_seconds * 4
            pause = settings.poll_seconds if busy else settings.idle_poll_seconds
            rhythm.failures = 0
        rhythm.due = self.outside.now() + timedelta(seconds=pause)

    def _forgettable(self) -> list[str]:
        ended: list[str] = []
        for rhythm in self._rhythms.values():
            if len(rhythm.ended) > 40:  # noqa: PLR2004 - some are kept to look at when something is odd
                ended.extend(rhythm.ended[:20])
                rhythm.ended = rhythm.ended[20:]
        return ended


def beat_until(stop: threading.Event, outside: Outside, engine: Engine) -> None:
    """Let the pump beat while this worker leads, until told to stop or until others count it as dead.

    A beat that fails is logged and the next one tried.
    """
    pump = Pump(outside)
    while not stop.wait(BEAT_SECONDS) and not engine.presence.lost.is_set():
        if not engine.presence.leads():
            pump = Pump(outside)
            continue
        try:
            with engine.presence.leading():
                engine.forget(pump.beat())
        except Unavailable as problem:
            log.warning("a beat failed", problem=str(problem))
        except Exception as problem:
            log.exception("a beat failed", error=type(problem).__name__)
