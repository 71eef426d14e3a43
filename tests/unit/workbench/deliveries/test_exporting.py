from __future__ import annotations

import csv
import hashlib
import json
import shutil
import zipfile
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import datasets
import pyarrow.parquet as pq
import pytest
from sqlalchemy import select, update

from tests.factories import NOW, make_project
from tests.unit.workbench.deliveries.world import DANGEROUS, World, build, ledger_line
from tests.unit.workbench.items.running import Run, run_through_kills
from workbench.deliveries.corrections import count_changed
from workbench.deliveries.domain import COLUMNS, Format, digest
from workbench.deliveries.jobs import JOB as EXPORT
from workbench.deliveries.service import start_delivery
from workbench.deliveries.store import delivery_of_job
from workbench.deliveries.tables import CorrectionRow, DeliveredItemRow
from workbench.deliveries.verifying import verify_delivery, verify_folder
from workbench.errors import InvalidInput, NotFound, WrongState
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
    if path.suffix == ".zip":
        folder = path.with_name("unpacked-by-test")
        with zipfile.ZipFile(path) as packed:
            packed.extractall(folder)
        dataset = datasets.load_from_disk(str(folder / "labels"))
        names = dataset.features["label"].names
        rows = [
            row | {"label": names[row["label"]], "metadata": json.loads(row["metadata"])} for row in dataset
        ]
        del dataset
        shutil.rmtree(folder)
        return rows
    if path.suffix == ".json":
        return [row_of_task(task) for task in json.loads(path.read_text(encoding="utf-8"))]
    if path.suffix == ".csv":
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    for row in rows:
        row["resolved_at"] = datetime.fromisoformat(row["resolved_at"])
        for answer in row["answers"]:
            answer["at"] = datetime.fromisoformat(answer["at"])
    return rows


def row_of_task(task):
    """The row that a task for Label Studio says."""
    row = dict.fromkeys(column.name for column in COLUMNS)
    row |= {"language": "", "region": "", "metadata": {}, "answers": [], "annotations": 0}
    row |= task["meta"]
    (annotation,) = task["annotations"]
    assert not annotation["ground_truth"]
    row |= {
        "external_id": task["data"]["external_id"],
        "item_id": task["data"]["wb_item_id"],
        "text": task["data"]["text"],
        "label": annotation["result"][0]["value"]["choices"][0],
        "resolved_at": datetime.fromisoformat(row["resolved_at"]),
    }
    row["answers"] = [answer | {"at": datetime.fromisoformat(answer["at"])} for answer in row["answers"]]
    for prediction in task.get("predictions", []):
        assert (row["source"], prediction["score"]) == ("machine", row["confidence"])
        assert prediction["result"][0]["value"] == annotation["result"][0]["value"]
    return row


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


@pytest.mark.parametrize("form", ["jsonl", "parquet", "datasets", "ls-json"])
def test_what_is_read_back_is_what_the_database_holds(outside: Outside, world: World, form: str):
    row = made(outside, world, form)
    assert (row.state, row.rows) == ("done", 8)
    assert read(Path(row.path)) == expected(outside, world)
    if form != "ls-json":
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
        {"name": f"labels.{form.ending}", "rows": 8, "bytes": Path(row.path).stat().st_size, "sha256": sha256}
    ]
    assert row.sha256 == sha256
    for line in (folder / "SHA256SUMS").read_text().splitlines():
        wanted, name = line.split("  ")
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == wanted
    assert manifest["rows_by_source"] == {"machine": 5, "people": 3}
    assert manifest["items_by_state"]["resolved"] == 8
    assert manifest["left_out"][0]["items"] == 1
    assert manifest["project"]["specification_sha256"] == digest({"a": {"ü": 2}, "b": 1})
    if form is not Format.LABEL_STUDIO:
        assert [column["name"] for column in manifest["columns"]] == list(read(Path(row.path))[0])
    # Nothing of the lottery leaves.
    assert "drawn" not in Path(row.path).read_bytes().decode("latin-1")
    assert {path.name for path in folder.parent.iterdir()} == {row.public_id}


@pytest.mark.parametrize("form", [Format.JSONL, Format.DATASETS])
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
        with pytest.raises(InvalidInput, match="jsonl, csv, parquet, datasets, ls-json"):
            start_delivery(outside, session, world.project_id, "xml", "t")
        empty = make_project(session, "empty")
        with pytest.raises(WrongState, match="no item"):
            start_delivery(outside, session, empty.id, "csv", "t")


def test_times_are_utc(outside: Outside, world: World):
    found = pq.read_table(made(outside, world, "parquet").path)
    assert found["resolved_at"].to_pylist()[0].tzinfo is not None
    assert found["resolved_at"].to_pylist()[0].astimezone(UTC) == NOW - timedelta(minutes=1)
    assert found.schema.field("cost").metadata[b"description"]


def superseded(outside: Outside, item_id: int, label: str) -> None:
    """The item gets another label, as when a person looked again."""
    with outside.db.write() as session:
        old = session.scalars(
            select(LabelRow).where(LabelRow.item_id == item_id, LabelRow.superseded_at.is_(None))
        ).one()
        values = {c.name: getattr(old, c.name) for c in LabelRow.__table__.columns if c.name != "id"}
        session.execute(update(LabelRow).where(LabelRow.id == old.id).values(superseded_at=outside.now()))
        more = {"revision": old.revision + 1, "label": label, "resolved_at": outside.now()}
        session.add(LabelRow(**values | more))
        session.execute(update(ItemRow).where(ItemRow.id == item_id).values(state="resolved"))


def test_what_was_delivered_stays_and_changes_are_told_once(outside: Outside, world: World, clock):
    first = made(outside, world, "jsonl", mark_delivered=True)
    clock.forward(minutes=1)
    superseded(outside, world.people[0], "Neutral")
    with outside.db.read() as session:
        assert count_changed(session, world.project_id) == 1
    clock.forward(minutes=1)
    # An export that delivers nothing lists the change too, and leaves it to be told.
    looked = made(outside, world, "csv")
    second = made(outside, world, "jsonl", mark_delivered=True)
    for row in (looked, second):
        corrected = Path(row.path).with_name("corrections.jsonl")
        (entry,) = [json.loads(line) for line in corrected.read_text(encoding="utf-8").splitlines()]
        assert (entry["delivered_in"], entry["label"]) == (first.public_id, "Neutral")
        assert row.manifest["files"][1]["rows"] == 1
        assert corrected.name in corrected.with_name("SHA256SUMS").read_text()
    with outside.db.read() as session:
        (kept,) = session.scalars(select(CorrectionRow)).all()
        assert (kept.item_id, kept.delivery_id, kept.delivered_in) == (world.people[0], second.id, first.id)
        delivered = session.execute(select(DeliveredItemRow.delivery_id, DeliveredItemRow.item_id)).all()
        assert sorted(delivered) == sorted(
            [(first.id, item) for item in [*world.machine, *world.people]] + [(second.id, world.people[0])]
        )
        assert count_changed(session, world.project_id) == 0
    assert verify_delivery(first) == verify_delivery(second) == []
    clock.forward(minutes=1)
    assert len(made(outside, world, "jsonl", mark_delivered=True).manifest["files"]) == 1


def test_a_changed_file_is_found(outside: Outside, world: World):
    row = made(outside, world, "csv")
    assert verify_delivery(row) == verify_folder(Path(row.path).parent) == []
    with Path(row.path).open("ab") as file:
        file.write(b"more")
    assert any("labels.csv is not the file" in one for one in verify_delivery(row))
    Path(row.path).unlink()
    assert any("labels.csv is missing" in one for one in verify_folder(Path(row.path).parent))
    manifest = Path(row.path).with_name("manifest.json")
    manifest.write_text(
        manifest.read_text(encoding="utf-8").replace('"rows": 8', '"rows": 9'), encoding="utf-8"
    )
    assert "manifest.json is not the one the database knows" in verify_delivery(row)
    shutil.rmtree(manifest.parent)
    with pytest.raises(NotFound):
        verify_delivery(row)


def test_equal_labels_are_equal_files(outside: Outside, world: World):
    assert made(outside, world, "datasets").sha256 == made(outside, world, "datasets").sha256
