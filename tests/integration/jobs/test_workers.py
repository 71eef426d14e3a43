"""Several workers on one PostgreSQL: whatever is killed, stopped or cut off, all is done and nothing twice."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.integration.jobs.team import Team, make_team, until
from tests.postgresql_server import PostgreSQLServer, running_server, schema_on
from workbench.db.locks import lock_number
from workbench.jobs.tables import JobRow, WorkerRow

pytestmark = pytest.mark.database("postgresql")
ITEMS = 2000


@pytest.fixture
def team(tmp_path: Path, database_kind: str, new_postgresql: str) -> Iterator[Team]:
    made = make_team(tmp_path, new_postgresql)
    yield made
    made.end()


def all_resolved(team: Team, n: int = ITEMS, *, within_s: float = 90) -> float:
    def told() -> str:
        return f"{team.resolved()} of {n}; {team.owners()}; {[(j.id, j.state, j.problem) for j in team.rows(JobRow)]}"

    return until(lambda: team.resolved() == n, told, within_s=within_s)


def busy(team: Team, kind: str) -> str:
    """The worker that runs a job of this kind, once one does and has got somewhere."""
    found: list[str] = []

    def look() -> bool:
        rows = team.rows(JobRow, JobRow.kind == kind, JobRow.state == "running", JobRow.done > 0)
        found[:] = [row.worker_id for row in rows]
        return bool(found)

    until(look, f"a job of kind {kind}")
    return found[0]


def test_a_killed_workers_jobs_go_on_elsewhere(team: Team) -> None:
    for name in ("one", "two", "three"):
        team.begin(name)
    until(lambda: team.is_live("one", "two", "three"), "three workers")
    team.bring_in(ITEMS)
    for kind in ("import", "prelabel"):
        victim = busy(team, kind)
        left = len(team.rows(WorkerRow, WorkerRow.state == "live"))
        team.signal(victim, signal.SIGKILL)
        taken = until(lambda victim=victim: victim not in team.owners().values(), team.owners, within_s=60)
        print(f"{kind}: killed {victim}; its jobs had other owners after {taken:.1f} s")
        assert left - len(team.rows(WorkerRow, WorkerRow.state == "live")) <= 1
    all_resolved(team)
    assert team.doubled_or_missing(ITEMS) == {}
    until(lambda: all(one.healed_at for one in team.incidents()), "the incidents are healed", within_s=20)
    assert len(team.incidents()) == 2


def test_a_zombie_commits_nothing(team: Team) -> None:
    team.begin("one")
    until(lambda: team.leader() == "one", "a leader")
    team.begin("two")
    until(lambda: team.is_live("two"), "two workers")
    team.bring_in(ITEMS)
    victim = busy(team, "prelabel")
    team.signal(victim, signal.SIGSTOP)
    before = team.rows(WorkerRow, WorkerRow.id == victim)[0].epoch
    try:
        declared = until(lambda: not team.is_live(victim), "it counts as dead", within_s=60)
        taken = until(lambda: victim not in team.owners().values(), team.owners, within_s=60)
        print(f"stopped {victim}: dead after {declared:.1f} s, its jobs elsewhere {taken:.1f} s later")
    finally:
        team.signal(victim, signal.SIGCONT)
    all_resolved(team)
    # It learns what happened, begins a new life in the same process, and is of use again.
    until(lambda: team.is_live(victim), "the zombie lives again", within_s=60)
    assert team.rows(WorkerRow, WorkerRow.id == victim)[0].epoch == before + 1
    assert team.workers[victim].poll() is None
    assert "declared dead" in team.log(victim)
    assert team.doubled_or_missing(ITEMS) == {}


def test_the_lead_moves(team: Team) -> None:
    team.begin("one")
    until(lambda: team.leader() == "one", "a leader")
    team.begin("two")
    until(lambda: team.is_live("two"), "two workers")
    team.signal("one", signal.SIGTERM)
    told = until(lambda: team.leader() == "two", team.leader)
    assert team.workers["one"].wait(30) == 0
    team.begin("three")
    until(lambda: team.is_live("three"), "three")
    team.signal("two", signal.SIGKILL)
    silent = until(lambda: team.leader() == "three", team.leader)
    print(f"lead after a goodbye {told:.1f} s, after a kill {silent:.1f} s")
    team.bring_in(100)
    all_resolved(team, 100)


def test_two_of_one_name_do_not_work_at_once(team: Team) -> None:
    first = team.begin("one")
    until(lambda: team.is_live("one"), "it lives")
    process = team.workers["one"]
    team.begin("one")
    assert team.workers["one"].wait(60) == 1
    assert "already runs" in team.log("one")
    assert [row.pid for row in team.rows(WorkerRow)] == [first]
    process.kill()
    process.wait()


def test_connections_cut_again_and_again(team: Team, postgresql_server: PostgreSQLServer) -> None:
    team.begin("one")
    team.begin("two")
    until(lambda: team.is_live("one", "two"), "two workers")
    team.bring_in(ITEMS)
    name = team.outside.db.address.database
    cut = 0
    for _ in range(6):
        time.sleep(0.7)
        [(n,)] = postgresql_server.run(
            f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{name}'"
        )
        cut += n
    assert cut > 6
    all_resolved(team)
    assert team.doubled_or_missing(ITEMS) == {}
    assert {row.state for row in team.rows(JobRow)} == {"done"}


def test_one_connection_is_enough(tmp_path: Path, database_kind: str, new_postgresql: str) -> None:
    team = make_team(tmp_path, new_postgresql)
    team.more["WORKBENCH_DATABASE_CONNECTIONS"] = "1"
    try:
        team.begin("one")
        team.bring_in(500)
        all_resolved(team, 500)
        assert team.doubled_or_missing(500) == {}
    finally:
        team.end()


@pytest.fixture
def own_server(database_kind: str) -> Iterator[PostgreSQLServer]:
    yield from running_server()


def test_postgresql_killed_in_the_middle(tmp_path: Path, own_server: PostgreSQLServer) -> None:
    team = make_team(tmp_path, schema_on(own_server))
    try:
        team.begin("one")
        team.begin("two")
        until(lambda: team.is_live("one", "two"), "two workers")
        team.bring_in(ITEMS)
        for kind in ("import", "prelabel"):
            busy(team, kind)
            own_server.kill()
            own_server.wait_until_down()
            time.sleep(3)
            own_server.start()
        took = all_resolved(team)
        print(f"all done {took:.1f} s after the second restart")
        assert team.doubled_or_missing(ITEMS) == {}
        # The last item is resolved a moment before its job says that it is done.
        until(
            lambda: {row.state for row in team.rows(JobRow)} == {"done"},
            lambda: str([(row.id, row.state, row.worker_id) for row in team.rows(JobRow)]),
        )
    finally:
        team.end()


def test_a_hung_workers_locks_are_taken_from_it(team: Team) -> None:
    """A process stopped within a transaction holds its project; whoever declares it dead ends its connections."""
    team.begin("one")
    until(lambda: team.leader() == "one", "a leader")
    dead = make_dead_worker(team)
    try:
        team.bring_in(50)
        all_resolved(team, 50)
    finally:
        dead.close()


def make_dead_worker(team: Team) -> psycopg.Connection[Any]:
    """A worker of another host that spoke for the last time, in the middle of a write to the project."""
    with team.outside.db.write() as session:
        [row] = team.rows(WorkerRow)
        values = {column.name: getattr(row, column.name) for column in WorkerRow.__table__.columns}
        session.add(WorkerRow(**values | {"id": "far", "host": "elsewhere", "client": "far"}))
    connection = psycopg.connect(team.outside.settings.database_url, application_name="far")
    number = lock_number(f"project:{team.project_id}")
    connection.execute("SELECT pg_advisory_xact_lock(%s)", [number])
    return connection
