from __future__ import annotations

import csv
import hashlib
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from sqlalchemy import select, update

from tests.factories import NOW, make_project
from tests.unit.workbench.deliveries.world import DANGEROUS, World, build, ledger_line
from tests.unit.workbench.items.running import Run, run_through_kills
from workbench.deliveries.domain import COLUMNS, Format, digest
from workbench.deliveries.jobs import JOB as EXPORT
from workbench.deliveries.service import start_delivery
from workbench.deliveries.store import delivery_of_job
from workbench.errors import InvalidInput, WrongState
from workbench.items.domain import ItemState
from workbench.items.store import counts_by_state
from workbench.items.tables import ItemMoveRow, ItemPartRow, ItemRow
from workbench.jobs.store import find_job
from workbench.labels.tables import LabelRow
from workbench.outside import Outside
from workbench.tallies.store import book
from workbench.tallies.tables import LedgerRow


@pytest.fixture
def world(outside: Outside) -> World:
    object.__setattr__(outside.settings, "chunk_items", 3)
    with outside.db.write() as session:
        return build(session)


def asked(outside: Outside, world: World, form: str, **given):
    with outside.db.write() as session:
        job_id = start_delivery(outside, session, world.project_id, form, "pm@example.org", **given)
        return find_job(session, job_id).arguments, job_id


def made(outside: Outside, world: World, form: str, **given):
    arguments, job_id = asked(outside, world, form, **given)
    EXPORT.run(Run(outside), arguments)
    return row_of(outside, job_id)


def row_of(outside: Outside, job_id: str):
    with outside.db.read() as session:
        return delivery_of_job(session, job_id)


def read(path: Path):
    """The rows of an export in one form, whatever its format."""
    if path.suffix == ".parquet":
        rows = pq.read_table(path).to_pylist()
        return [row | {"metadata": json.loads(row["metadata"])} for row in rows]
    if path.suffix == ".csv":
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    for row in rows:
        row["resolved_at"] = datetime.fromisoformat(row["resolved_at"])
        for answer in row["answers"]:
            answer["at"] = datetime.fromisoformat(answer["at"])
    return rows


def expected(outside: Outside, world: World):
    """What the database says, by a way of its own."""
    rows = []
    with outside.db.read() as session:
        for n, item_id in enumerate([*world.machine, *world.people]):
            item = session.get_one(ItemRow, item_id)
            label = session.scalars(
                select(LabelRow).where(LabelRow.item_id == item_id, LabelRow.superseded_at.is_(None))
            ).one()
            people = item_id in world.people
            rows.append(
                {
                    "external_id": item.external_id,
                    "item_id": item.public_id,
                    "text": session.get_one(ItemPartRow, (item_id, 0)).text,
                    "label": label.label,
                    "source": label.source,
                    "method": label.method,
                    "annotations": label.annotations,
                    "share": label.share,
                    "confidence": label.confidence,
                    "model_name": "encoder",
                    "model_version": 3,
                    "policy_version": 2,
                    "guideline_version": "v1.4" if people else None,
                    "rule": None if people else "confident",
                    "reason": f"reason {n}",
                    "resolved_at": label.resolved_at,
                    "cost": "0.160001" if people else "0.000003",  # by the ledger, not by the label
                    "currency": "USD",
                    "language": "en",
                    "region": "",
                    "metadata": {"n": 1, "π": [1]} if n == 0 else {},
                    "answers": [
                        {
                            "annotator": person,
                            "label": "Positive",
                            "lead_time_s": 2.5 + k,
                            "at": NOW - timedelta(minutes=5 - k),
                            "counted": k == 0,
                        }
                        for k, person in enumerate(world.persons)
                    ]
                    if people
                    else [],
                }
            )
    return rows


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_what_is_read_back_is_what_the_database_holds(outside: Outside, world: World, form: str):
    row = made(outside, world, form)
    assert (row.state, row.rows) == ("done", 8)
    assert read(Path(row.path)) == expected(outside, world)
    assert list(read(Path(row.path))[0]) == [column.name for column in COLUMNS]


def test_csv_is_the_same_but_for_lists_and_runs_in_no_spreadsheet(outside: Outside, world: World):
    found = read(Path(made(outside, world, "csv").path))
    wanted = expected(outside, world)
    assert [row["external_id"] for row in found] == [row["external_id"] for row in wanted]
    assert found[0]["text"] == "'" + DANGEROUS
    assert json.loads(found[0]["metadata"]) == {"n": 1, "π": [1]}
    assert [Decimal(row["cost"]) for row in found] == [Decimal(row["cost"]) for row in wanted]
    assert [datetime.fromisoformat(row["resolved_at"]) for row in found] == [
        row["resolved_at"] for row in wanted
    ]
    assert "answers" not in found[0]


@pytest.mark.parametrize("form", list(Format))
def test_manifest_and_sums(outside: Outside, world: World, form: Format):
    row = made(outside, world, form)
    folder = Path(row.path).parent
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest == row.manifest
    sha256 = hashlib.sha256(Path(row.path).read_bytes()).hexdigest()
    assert manifest["files"] == [
        {"name": f"labels.{form}", "rows": 8, "bytes": Path(row.path).stat().st_size, "sha256": sha256}
    ]
    assert row.sha256 == sha256
    for line in (folder / "SHA256SUMS").read_text().splitlines():
        wanted, name = line.split("  ")
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == wanted
    assert manifest["rows_by_source"] == {"machine": 5, "people": 3}
    assert manifest["items_by_state"]["resolved"] == 8
    assert manifest["left_out"][0]["items"] == 1
    assert manifest["project"]["specification_sha256"] == digest({"a": {"ü": 2}, "b": 1})
    assert [column["name"] for column in manifest["columns"]] == list(read(Path(row.path))[0])
    # Nothing of the lottery leaves.
    assert "drawn" not in Path(row.path).read_bytes().decode("latin-1")
    assert {path.name for path in folder.parent.iterdir()} == {row.public_id}


@pytest.mark.parametrize("form", list(Format))
@pytest.mark.parametrize("kills", [1, 3, 5, 6, 7])
def test_a_kill_at_any_step_neither_doubles_nor_loses(
    outside: Outside, world: World, form: Format, kills: int
):
    arguments, job_id = asked(outside, world, form, mark_delivered=True)
    run_through_kills(EXPORT, outside, arguments, kills)
    row = row_of(outside, job_id)
    found = read(Path(row.path))
    assert [one["external_id"] for one in found] == [one["external_id"] for one in expected(outside, world)]
    with outside.db.read() as session:
        assert counts_by_state(session, world.project_id)[ItemState.DELIVERED] == 8


def test_every_step_may_run_twice(outside: Outside, world: World):
    arguments, job_id = asked(outside, world, "jsonl", mark_delivered=True)
    EXPORT.run(Run(outside, twice=True), arguments)
    assert read(Path(row_of(outside, job_id).path)) == expected(outside, world)


def test_labels_are_those_of_the_moment_it_was_asked_for(outside: Outside, world: World, clock):
    arguments, job_id = asked(outside, world, "jsonl", mark_delivered=True)
    before = expected(outside, world)
    clock.forward(minutes=1)
    with outside.db.write() as session:
        old = session.scalars(select(LabelRow).where(LabelRow.item_id == world.people[0])).one()
        values = {c.name: getattr(old, c.name) for c in LabelRow.__table__.columns if c.name != "id"}
        session.execute(update(LabelRow).where(LabelRow.id == old.id).values(superseded_at=clock()))
        session.add(LabelRow(**values | {"revision": 2, "label": "Neutral", "resolved_at": clock()}))
    EXPORT.run(Run(outside), arguments)
    assert read(Path(row_of(outside, job_id).path)) == before
    with outside.db.read() as session:
        # Its newer label has not left yet.
        assert session.get_one(ItemRow, world.people[0]).state == "resolved"
        assert counts_by_state(session, world.project_id)[ItemState.DELIVERED] == 7
    clock.forward(minutes=1)
    labels = [one["label"] for one in read(Path(made(outside, world, "jsonl").path))]
    assert len(labels) == 8
    assert labels[5] == "Neutral"


def test_marking_is_a_choice_and_each_move_says_which_export(outside: Outside, world: World):
    made(outside, world, "csv")
    with outside.db.read() as session:
        assert counts_by_state(session, world.project_id)[ItemState.DELIVERED] == 0
    row = made(outside, world, "csv", mark_delivered=True)
    with outside.db.read() as session:
        moves = session.scalars(select(ItemMoveRow).where(ItemMoveRow.to_state == "delivered")).all()
    assert len(moves) == 8
    assert {(move.actor, move.reason) for move in moves} == {
        ("pm@example.org", f"delivered in export {row.public_id}")
    }
    # What was delivered can be exported again.
    assert made(outside, world, "csv", mark_delivered=True).rows == 8


def test_costs_are_the_ledgers_and_add_up_to_it(outside: Outside, world: World):
    arguments, job_id = asked(outside, world, "jsonl")
    with outside.db.write() as session:
        # A late answer and a correction are booked after the item got its label.
        book(session, [ledger_line(world.project_id, world.people[0], "0.08", source="late")])
        book(session, [ledger_line(world.project_id, world.machine[0], "-0.000001", source="corrected")])
    EXPORT.run(Run(outside), arguments)
    found = read(Path(row_of(outside, job_id).path))
    assert [row["cost"] for row in found] == ["0.000002", *["0.000003"] * 4, "0.240001", *["0.160001"] * 2]
    with outside.db.read() as session:
        spent = session.scalars(
            select(LedgerRow.amount).where(LedgerRow.item_id.in_([*world.machine, *world.people]))
        )
        assert sum(Decimal(row["cost"]) for row in found) == sum(spent)


def test_what_cannot_be_asked_for(outside: Outside, world: World):
    with outside.db.write() as session:
        with pytest.raises(InvalidInput, match="jsonl, csv, parquet"):
            start_delivery(outside, session, world.project_id, "xml", "t")
        empty = make_project(session, "empty")
        with pytest.raises(WrongState, match="no item"):
            start_delivery(outside, session, empty.id, "csv", "t")


def test_times_are_utc(outside: Outside, world: World):
    found = pq.read_table(made(outside, world, "parquet").path)
    assert found["resolved_at"].to_pylist()[0].tzinfo is not None
    assert found["resolved_at"].to_pylist()[0].astimezone(UTC) == NOW - timedelta(minutes=1)
    assert found.schema.field("cost").metadata[b"description"]
