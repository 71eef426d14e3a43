import pytest

from tests.factories import make_project
from workbench.errors import NotFound, WrongState
from workbench.jobs.definition import JobState, NotJson
from workbench.jobs.store import (
    cancel_job,
    find_job,
    finish,
    jobs_of,
    last_job,
    open_job,
    repeat_job,
    report,
    resume_job,
    start_job,
    waiting_jobs,
)


@pytest.fixture
def session(outside):
    with outside.db.write() as opened:
        make_project(opened)
        yield opened


@pytest.fixture
def start(session, clock):
    def start(job_id, kind="import", **arguments):
        clock.forward(seconds=1)
        return start_job(session, kind, arguments, job_id=job_id, project_id=1, by="t", now=clock.at)

    return start


def test_asking_twice_is_one_job(session, start):
    assert start("a", n=1) == start("a", n=2) == "a"
    row = find_job(session, "a")
    assert (row.state, row.arguments, row.engine_id) == ("queued", {"n": 1}, "a")


def test_arguments_must_survive_json(session, start):
    with pytest.raises(NotJson, match="arguments of job import"):
        start("a", pair=(1, 2))
    with pytest.raises(NotFound, match="no job a"):
        find_job(session, "a")


def test_cancel_and_resume_know_the_states(session, start, clock):
    start("a")
    with pytest.raises(WrongState, match="only a cancelled or failed job can be resumed"):
        resume_job(session, "a")
    assert cancel_job(session, "a").state == JobState.CANCELLING
    finish(session, "a", JobState.CANCELLED, now=clock.at)
    session.expire_all()
    with pytest.raises(WrongState, match=r"has ended \(cancelled\)"):
        cancel_job(session, "a")
    row = resume_job(session, "a")
    assert (row.state, row.finished_at, row.problem) == ("resuming", None, "")


def test_a_recurring_job_repeats_in_its_one_row(session, start, clock):
    def repeat(n):
        return repeat_job(session, "sync", {"n": n}, job_id="sync-1", project_id=1, now=clock.at)

    assert repeat(1)
    assert not repeat(2), "still under way"
    for turn in (1, 2):
        finish(session, "sync-1", JobState.DONE, now=clock.at)
        session.expire_all()
        assert repeat(turn + 2)
        row = find_job(session, "sync-1")
        assert (row.engine_id, row.state, row.arguments) == (f"sync-1~{turn}", "queued", {"n": turn + 2})
        assert (row.started_at, row.finished_at) == (None, None)
    assert [row.id for row in jobs_of(session, 1, hidden=())] == ["sync-1"]
    assert jobs_of(session, 1) == []


def test_lists_and_looks(session, start, clock):
    for job_id in ("a", "b", "c"):
        start(job_id)
    finish(session, "c", JobState.DONE, now=clock.at)
    report(session, "b", state=JobState.RUNNING)
    session.expire_all()
    assert [row.id for row in jobs_of(session, 1)] == ["b", "a", "c"], "open ones first, newest first"
    assert [row.id for row in waiting_jobs(session)] == ["a"]
    assert open_job(session, "import", 1).id == "a"
    assert last_job(session, "import", 1).id == "c"
    assert (open_job(session, "decide", 1), last_job(session, "import", 2)) == (None, None)
