"""The engine in a process of its own, so that it can be killed."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.integration.jobs.worker import no_label_studio
from tests.postgresql_server import TEMPLATE
from workbench.db.tables import all_tables
from workbench.incidents.store import open_incidents
from workbench.jobs.definition import JobState
from workbench.jobs.engine import SCHEMA
from workbench.jobs.store import cancel_job, find_job, repeat_job, report, resume_job, start_job
from workbench.jobs.tables import JobRow
from workbench.outside import Outside, outside_of, system_now
from workbench.settings import load_settings

PATIENCE_S = 30
Sites = Callable[[str], "Site"]
ENDED = {"done", "failed", "cancelled"}


class Site:
    """A data folder, and the worker that serves it."""

    def __init__(self, folder: Path, url: str = "") -> None:
        settings = load_settings(data_dir=folder, database_url=url)
        self.outside: Outside = outside_of(settings, label_studio=no_label_studio)
        if not url:
            all_tables().create_all(self.outside.db.writer)
        with self.outside.db.write() as session:
            session.execute(text("DROP TABLE IF EXISTS effects"))
            session.execute(text("CREATE TABLE effects (job TEXT, n INTEGER, PRIMARY KEY (job, n))"))
        self.process: subprocess.Popen[str] | None = None

    def begin(self) -> None:
        command = [sys.executable, "-m", "tests.integration.jobs.worker", str(self.outside.settings.data_dir)]
        environment = os.environ | {"WORKBENCH_DATABASE_URL": self.outside.settings.database_url}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert self.process.stdout is not None
        while self.process.stdout.readline() != "ready\n":
            assert self.process.poll() is None

    def end(self, *, kill: bool = False) -> int | None:
        if self.process is None:
            return None
        if kill:
            self.process.kill()
        else:
            self.process.terminate()
        code = self.process.wait(PATIENCE_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process = None
        return code

    def ask(self, kind: str, job_id: str, **arguments: object) -> str:
        with self.outside.db.write() as session:
            now = system_now()
            return start_job(session, kind, arguments, job_id=job_id, project_id=None, by="t", now=now)

    def row(self, job_id: str) -> JobRow:
        with self.outside.db.read() as session:
            return find_job(session, job_id)

    def until(self, job_id: str, true_of: Callable[[JobRow], bool]) -> JobRow:
        ends = time.monotonic() + PATIENCE_S
        while time.monotonic() < ends:
            row = self.row(job_id)
            if true_of(row):
                return row
            time.sleep(0.02)
        raise AssertionError(f"{job_id} is {row.state}, {row.done} of {row.total}: {row.problem}")

    def ended(self, job_id: str) -> JobRow:
        return self.until(job_id, lambda row: row.state in ENDED)

    def cancel(self, job_id: str) -> None:
        with self.outside.db.write() as session:
            cancel_job(session, job_id)

    def resume(self, job_id: str) -> None:
        with self.outside.db.write() as session:
            resume_job(session, job_id)

    def effects(self, job_id: str) -> list[int]:
        with self.outside.db.read() as session:
            found = session.execute(
                text("SELECT n FROM effects WHERE job = :job ORDER BY n"), {"job": job_id}
            )
            return [n for (n,) in found]

    def runs(self, job_id: str) -> Counter[str]:
        path = self.outside.settings.data_dir / "notes.txt"
        lines = path.read_text().splitlines() if path.exists() else []
        return Counter(line for line in lines if line.split()[0] == job_id)


@pytest.fixture
def site(tmp_path: Path, database_url: str) -> Iterator[Site]:
    made = Site(tmp_path, database_url)
    yield made
    made.end(kill=True)
    made.outside.db.close()


@pytest.fixture(scope="module")
def sites(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sites]:
    made: dict[str, Site] = {}

    def serve(kind: str) -> Site:
        if kind not in made:
            is_postgresql = kind == "postgresql"
            server = request.getfixturevalue("postgresql_server") if is_postgresql else None
            made[kind] = Site(tmp_path_factory.mktemp("site"), server.new(TEMPLATE) if server else "")
            made[kind].begin()
        return made[kind]

    yield serve
    codes = [one.end() for one in made.values()]
    for one in made.values():
        one.outside.db.close()
    assert set(codes) <= {0}


@pytest.fixture
def served(sites: Sites, database_kind: str) -> Site:
    """One worker for all tests of the module, on each kind of database."""
    return sites(database_kind)


def test_killed_again_and_again_each_effect_is_there_once(site: Site) -> None:
    rng = random.Random(5)
    steps, kills = 26, 4
    site.ask("count", "a", n=steps, pause_s=0.03)
    site.begin()
    for turn in range(kills):
        least = turn * 5 + rng.randint(1, 5)
        site.until("a", lambda row, least=least: row.done >= least)
        time.sleep(rng.random() * 0.05)
        site.end(kill=True)
        site.begin()
    row = site.ended("a")
    assert (row.state, row.result) == ("done", {"total": sum(n * n for n in range(steps))})
    assert site.effects("a") == list(range(steps))
    runs = site.runs("a")
    assert len(runs) == steps
    assert sum(runs.values()) <= steps + kills, "only the step that was cut may run again"


def test_a_worker_that_is_asked_to_stop_lets_the_step_end_and_goes_on_later(site: Site) -> None:
    site.ask("count", "a", n=8, pause_s=0.3)
    site.begin()
    site.until("a", lambda row: row.done >= 2)
    assert site.end() == 0
    row = site.row("a")
    assert row.state in {"running", "done"}
    site.begin()
    assert site.ended("a").state == "done"
    assert site.effects("a") == list(range(8))


def test_jobs_go_on_when_the_engine_has_lost_everything(site: Site, database_kind: str) -> None:
    site.ask("count", "running", n=6, pause_s=0.1)
    site.begin()
    site.until("running", lambda row: row.done >= 2)
    site.end(kill=True)
    if database_kind == "postgresql":
        with site.outside.db.write() as session:
            session.execute(text(f"DROP SCHEMA {SCHEMA} CASCADE"))
    for path in site.outside.settings.data_dir.glob("*-jobs.sqlite3*"):
        path.unlink()
    site.ask("count", "waiting", n=1, pause_s=0)
    site.ask("count", "stopping", n=1, pause_s=0)
    site.cancel("stopping")
    site.begin()
    assert site.ended("running").result == {"total": 55}
    assert site.ended("waiting").state == "done"
    assert site.ended("stopping").state == "cancelled"
    assert site.effects("running") == list(range(6))


def test_progress_is_told_and_the_result_kept(served: Site) -> None:
    served.ask("count", "told", n=4, pause_s=0.05)
    row = served.ended("told")
    assert (row.state, row.done, row.total, row.message) == ("done", 4, 4, "step 3")
    assert row.result == {"total": 14}
    assert row.started_at <= row.seen_at <= row.finished_at


def test_a_cancelled_job_keeps_what_it_did_and_goes_on_when_resumed(served: Site) -> None:
    served.ask("count", "halted", n=12, pause_s=0.1)
    served.until("halted", lambda row: row.done >= 3)
    served.cancel("halted")
    done = served.ended("halted")
    assert done.state == "cancelled"
    time.sleep(0.5)
    stood = served.effects("halted")
    assert 3 <= len(stood) < 12
    assert served.row("halted").state == "cancelled"
    served.resume("halted")
    assert served.ended("halted").state == "done"
    assert served.effects("halted") == list(range(12))
    assert max(served.runs("halted").values()) <= 2
    assert sum(served.runs("halted").values()) <= 13, "what was done is not done again"


def test_cancelled_and_resumed_at_once_while_its_step_still_runs(served: Site) -> None:
    served.ask("count", "hasty", n=3, pause_s=1.2)
    served.until("hasty", lambda row: row.state == JobState.RUNNING and bool(served.runs("hasty")))
    served.cancel("hasty")
    served.until("hasty", lambda row: row.state == "cancelled")
    served.resume("hasty")
    row = served.ended("hasty")
    assert (row.state, row.result) == ("done", {"total": 5})
    time.sleep(1.5)
    assert served.row("hasty").state == "done"
    assert served.effects("hasty") == [0, 1, 2]


def test_a_job_cancelled_before_it_began_does_nothing_until_resumed(served: Site) -> None:
    with served.outside.db.write() as session:
        start_job(
            session, "count", {"n": 2, "pause_s": 0}, job_id="early", project_id=None, by="t", now=system_now()
        )  # fmt: skip
        cancel_job(session, "early")
    assert served.ended("early").state == "cancelled"
    assert served.effects("early") == []
    served.resume("early")
    assert served.ended("early").state == "done"
    assert served.effects("early") == [0, 1]


def test_a_cancel_that_comes_too_late_leaves_the_job_done(served: Site) -> None:
    from workbench.jobs.running import end_job

    served.ask("count", "late", n=1, pause_s=0)
    served.ended("late")
    # What the worker does when the job ends between its look and its word.
    end_job(served.outside, "late", "cancelled", None, "")
    assert served.row("late").state == "done"


def test_a_failed_job_says_why_and_goes_on_when_mended(served: Site) -> None:
    served.ask("broken", "b")
    row = served.ended("b")
    assert (row.state, row.problem) == ("failed", "the file has no column text; choose another column")
    assert served.runs("b") == {"b 0": 1, "b tried": 1}, "what a person must mend is not tried again"
    (served.outside.settings.data_dir / "mended").touch()
    served.resume("b")
    row = served.ended("b")
    assert (row.state, row.problem, row.result) == ("done", "", "mended")


def test_what_may_pass_is_tried_again_by_itself(served: Site) -> None:
    served.ask("shaky", "s")
    row = served.ended("s")
    assert (row.state, row.result, served.runs("s")["s"]) == ("done", "fine", 3)


def test_an_unforeseen_error_is_told_without_its_text(served: Site) -> None:
    served.ask("wild", "w")
    row = served.ended("w")
    assert row.state == "failed"
    assert "ValueError" in row.problem
    assert "secret" not in row.problem


@pytest.mark.parametrize("kind", ["pair", "pair-argument"])
def test_what_json_would_change_fails_the_job(served: Site, kind: str) -> None:
    served.ask(kind, kind)
    row = served.ended(kind)
    assert (row.state, "NotJson" in row.problem) == ("failed", True)
    assert served.effects(kind) == []


def test_an_unknown_kind_says_what_to_do_and_holds_up_nobody(served: Site) -> None:
    served.ask("from-the-future", "x")
    row = served.ended("x")
    assert (row.state, "upgrade the worker, then resume" in row.problem) == ("failed", True)
    served.resume("x")
    served.ask("count", "behind", n=1, pause_s=0)
    assert served.ended("behind").state == "done"
    assert served.ended("x").state == "failed"


def test_a_recurring_job_runs_again_in_its_row(served: Site) -> None:
    for turn in range(3):
        with served.outside.db.write() as session:
            assert repeat_job(
                session, "lanes", {"n": turn + 1, "pause_s": 0}, job_id="again", project_id=None, now=system_now()  # type: ignore[arg-type]
            )  # fmt: skip
        row = served.until("again", lambda row: row.state in ENDED)
        assert row.result == {"total": sum(n * n for n in range(turn + 1))}
    with served.outside.db.read() as session:
        assert session.query(JobRow).filter(JobRow.kind == "lanes").count() == 1
    assert served.runs("again") == {"again 0": 3, "again 1": 2, "again 2": 1}


def test_lanes_do_not_wait_behind_long_work(served: Site) -> None:
    for n in range(3):
        served.ask("count", f"long-{n}", n=1, pause_s=2.0)
    served.ask("lanes", "quick", n=1, pause_s=0)
    assert served.ended("quick").state == "done"
    assert served.row("long-2").state == "queued"
    for n in range(3):
        assert served.ended(f"long-{n}").state == "done"


def test_a_resumed_job_whose_worker_died_in_between_goes_on(site: Site) -> None:
    """The row says it runs, the engine says it was cancelled: the worker died between the two."""
    site.ask("count", "a", n=10, pause_s=0.1)
    site.begin()
    site.until("a", lambda row: row.done >= 2)
    site.cancel("a")
    site.ended("a")
    site.end(kill=True)
    with site.outside.db.write() as session:
        report(session, "a", state=JobState.RUNNING, finished_at=None)
    site.begin()
    assert site.ended("a").state == "done"
    assert site.effects("a") == list(range(10))
    assert sum(site.runs("a").values()) <= 11


def test_a_job_that_kills_its_worker_is_stopped_after_a_while(site: Site) -> None:
    site.ask("deadly", "a")
    for times in (0, 1):
        site.begin()
        assert site.process is not None
        assert site.process.wait(PATIENCE_S) == -9
        assert site.row("a").cut_off == times
        site.end()
    with site.outside.db.write() as session:
        report(session, "a", cut_off=9)
    site.begin()
    row = site.ended("a")
    assert row.state == JobState.FAILED
    assert "10 workers in a row ended in the middle of this job" in row.problem
    with site.outside.db.read() as session:
        assert [one.kind for one in open_incidents(session)] == ["deadly_job"]
    assert site.process is not None
    assert site.process.poll() is None
