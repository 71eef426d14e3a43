"""Runs of the invariants: the second look, what is kept, what is told, what heals."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from tests.factories import make_pool, make_project, make_server
from workbench.errors import InvalidInput
from workbench.incidents.tables import IncidentRow
from workbench.invariants.service import INVARIANTS, check, compare_books, keep, last_results
from workbench.invariants.store import last_run
from workbench.invariants.tables import InvariantRunRow
from workbench.items.tables import ItemCountRow
from workbench.jobs.tables import JobRow


@pytest.fixture
def project(outside):
    with outside.db.write() as session:
        server = make_server(session, token=outside.vault.lock(b"0123456789012345678901234567890123456789"))
        row = make_project(session, server_id=server.id, pool_id=make_pool(session).id)
        session.add(ItemCountRow(project_id=row.id, state="imported", items=0))
        return row


def spoil(outside, project, items: int) -> None:
    with outside.db.write() as session:
        session.get_one(ItemCountRow, (project.id, "imported")).items = items


def incidents(outside) -> list[IncidentRow]:
    with outside.db.read() as session:
        return list(session.scalars(select(IncidentRow).where(IncidentRow.kind == "books_differ")))


def test_an_empty_installation_is_in_order(outside, project):
    results = check(outside)
    assert [one.key for one in results] == [one.key for one in INVARIANTS]
    assert not any(one.violations for one in results)


def test_what_settles_meanwhile_is_no_violation(outside, project):
    spoil(outside, project, 3)
    waited: list[float] = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        spoil(outside, project, 0)

    assert not any(one.violations for one in check(outside, settle_s=7, wait=wait))
    assert waited == [7]


def test_what_stays_is_kept_told_and_healed(outside, project, clock):
    spoil(outside, project, 3)
    results = check(outside, ("I15",), settle_s=7, wait=lambda _: None)
    [wrong] = results[0].violations
    assert "item_counts of project" in wrong.sentence
    assert "says 3 for imported; counted anew it is 0" in wrong.sentence
    keep(outside, results)
    [told] = incidents(outside)
    assert (told.severity, told.about, told.healed_at) == ("bad", "installation:I15", None)
    clock.forward(hours=1)
    spoil(outside, project, 0)
    assert compare_books(outside, settle_s=0)["violations"] == {}
    [healed] = incidents(outside)
    assert healed.healed_at == clock.at
    with outside.db.read() as session:
        assert {row["key"]: row["violations"] for row in last_results(session)}["I15"] == 0
        kept = session.scalars(select(InvariantRunRow.violations).where(InvariantRunRow.invariant == "I15"))
        assert list(kept) == [1, 0]


def test_runs_are_kept_for_three_months(outside, clock):
    compare_books(outside, settle_s=0)
    clock.forward(days=91)
    compare_books(outside, settle_s=0)
    with outside.db.read() as session:
        assert len(last_run(session)) == len(INVARIANTS)
        assert len(session.scalars(select(InvariantRunRow)).all()) == len(INVARIANTS)


def test_an_unknown_invariant_is_refused(outside):
    with pytest.raises(InvalidInput, match="there is no invariant I99"):
        check(outside, ("I99",))


def test_a_job_without_a_worker_and_a_token_in_clear_are_found(outside, project, clock):
    with outside.db.write() as session:
        session.add(
            JobRow(
                id="job", kind="import", engine_id="job", project_id=project.id, arguments={}, state="running",
                done=0, total=0, unit="rows", message="", result=None, created_at=clock.at, created_by="t",
                problem="refused 0123456789012345678901234567890123456789",
            )
        )  # fmt: skip
    clock.forward(minutes=3)
    found = {one.key: [v.what for v in one.violations] for one in check(outside, ("I17", "I19"), settle_s=0)}
    assert found == {"I17": ["no_worker"], "I19": ["secret_in_clear"]}
