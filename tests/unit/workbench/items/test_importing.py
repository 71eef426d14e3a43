from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from sqlalchemy import func, select

from tests.factories import make_project
from tests.unit.workbench.items.running import Killed, Run, run_through_kills
from workbench.errors import InvalidInput, WrongState
from workbench.items.domain import ItemState
from workbench.items.importing import finish_import, import_chunk, unfold
from workbench.items.jobs import JOB as IMPORT
from workbench.items.reading.detect import ColumnMapping
from workbench.items.service import save_upload, start_import
from workbench.items.store import counts_by_state
from workbench.items.tables import ImportRow, ItemMoveRow, ItemPartRow, ItemRow, ReferenceLabelRow
from workbench.items.uploads.store import find_import
from workbench.items.uploads.views import view_of
from workbench.jobs.store import find_job
from workbench.outside import Outside


@pytest.fixture
def small(outside: Outside):
    """Chunks of three rows, so that a few rows are several steps."""
    object.__setattr__(outside.settings, "chunk_items", 3)
    with outside.db.write() as session:
        project = make_project(session, specification={"language": "en"})
    return outside, project.id


def asked(outside: Outside, project_id: int, content: str | bytes, *, mapping=None, name="items.csv") -> int:
    data = content.encode() if isinstance(content, str) else content
    path = save_upload(outside, project_id, name, io.BytesIO(data))
    with outside.db.write() as session:
        import_id, job_id = start_import(outside, session, project_id, path, name, mapping, "pm@example.org")
        assert find_job(session, job_id).arguments == {"import_id": import_id}
    return import_id


def imported(outside: Outside, project_id: int, content: str | bytes, **given):
    import_id = asked(outside, project_id, content, **given)
    return IMPORT.run(Run(outside), {"import_id": import_id})


def state_of(outside: Outside):
    """Everything an import writes, without ids that chance gives."""
    with outside.db.read() as session:
        items = session.execute(
            select(
                ItemRow.external_id, ItemRow.content_hash, ItemRow.state, ItemRow.language, ItemRow.region
            ).order_by(ItemRow.external_id)
        ).all()
        parts = session.execute(
            select(
                ItemRow.external_id,
                ItemPartRow.position,
                ItemPartRow.kind,
                ItemPartRow.name,
                ItemPartRow.text,
                ItemPartRow.data,
            )
            .join(ItemRow, ItemRow.id == ItemPartRow.item_id)
            .order_by(ItemRow.external_id, ItemPartRow.position)
        ).all()
        moves = session.scalar(select(func.count()).select_from(ItemMoveRow))
        references = session.scalar(select(func.count()).select_from(ReferenceLabelRow))
        counts = [
            counts_by_state(session, row) for row in session.scalars(select(ItemRow.project_id).distinct())
        ]
        sums = session.execute(
            select(
                ImportRow.rows_read,
                ImportRow.rows_added,
                ImportRow.rows_known,
                ImportRow.rows_conflicting,
                ImportRow.rows_rejected,
            )
        ).all()
        rejects = [
            Path(path).read_text(encoding="utf-8-sig")
            for path in session.scalars(select(ImportRow.rejects_path))
            if path
        ]
    return items, parts, moves, references, counts, sums, rejects


MESSY = (
    "id,text,lang,place,gold,stars\n"
    + "".join(f"a{i},text {i},,DE,Positive,{i}\n" for i in range(7))
    + "a1,text 1,,DE,Positive,1\n"  # the same again
    "a2,other,,DE,Positive,2\n"  # the same id, other content
    "b1,,,,,\n"
    ",no id,,,,\n"
    "b2,=cmd|' /C calc'!A0,,,Wonderful,\n"
    f"b3,{'x' * 100_001},,,,\n"
    f"b4,fine,{'l' * 21},,,\n"
    f"{'i' * 201},fine,,,,\n"
    "b5,two,values,too,many,1,2\n"
    "c1,مرحبا 🎉,ar,EG,Negative,5\n"
)
MAPPING = ColumnMapping("text", "id", "lang", "place", "", "gold")


def test_rows_become_items_and_bad_rows_are_rejected(small):
    outside, project_id = small
    run = Run(outside)
    import_id = asked(outside, project_id, MESSY, mapping=MAPPING)
    result = IMPORT.run(run, {"import_id": import_id})
    assert result == {
        "read": 17, "added": 8, "known": 1, "conflicting": 1, "rejected": 7, "same_content": 0, "notes": [],
    }  # fmt: skip
    assert run.seen[0] == (0, 17)
    assert run.seen[-1] == (17, 17)
    items, parts, moves, references, counts, _, rejects = state_of(outside)
    assert len(items) == moves == references == 8
    assert counts[0][ItemState.IMPORTED] == 8
    assert [row.language for row in items] == ["en"] * 7 + ["ar"]
    assert [tuple(row) for row in parts if row.external_id == "c1"] == [
        ("c1", 0, "text", "text", "مرحبا 🎉", {}),
        ("c1", 1, "metadata", "metadata", "", {"stars": "5"}),
    ]
    lines = list(csv.DictReader(io.StringIO(rejects[0], newline="")))
    assert {line["line"]: line["reason"] for line in lines} == {
        "10": 'id "a2" is known with other content; it was not overwritten',
        "11": 'has no text in "text"',
        "12": 'has no id in "id"',
        "13": 'has the reference label "Wonderful", which is no label of the project',
        "14": "has a text of 100,001 characters (limit 100,000)",
        "15": 'has more than 20 characters in "lang"',
        "16": 'has more than 200 characters in "id"',
        "17": "has 7 values, but there are 6 columns; is a value with the delimiter in it not quoted?",
    }
    with outside.db.read() as session:
        move = session.scalars(select(ItemMoveRow).order_by(ItemMoveRow.id)).first()
        assert (move.from_state, move.to_state, move.actor) == ("", "imported", "pm@example.org")
        assert move.because == {"import_id": import_id, "line": 2}
        assert find_import(session, import_id).state == "done"


@pytest.mark.parametrize("kills", [1, 2, 4, 7, 8])
def test_a_kill_at_any_step_neither_doubles_nor_loses(small, kills: int):
    outside, project_id = small
    import_id = asked(outside, project_id, MESSY, mapping=MAPPING)
    result = run_through_kills(IMPORT, outside, {"import_id": import_id}, kills)
    assert (result["read"], result["added"], result["known"], result["conflicting"], result["rejected"]) == (
        17,
        8,
        1,
        1,
        7,
    )
    items, _, moves, _, counts, sums, rejects = state_of(outside)
    assert len(items) == moves == counts[0][ItemState.IMPORTED] == 8
    assert sums == [(17, 8, 1, 1, 7)]
    assert len(list(csv.reader(io.StringIO(rejects[0], newline="")))) == 9


def test_every_step_may_run_twice(small):
    outside, project_id = small
    import_id = asked(outside, project_id, MESSY, mapping=MAPPING)
    IMPORT.run(Run(outside, twice=True), {"import_id": import_id})
    assert state_of(outside)[5] == [(17, 8, 1, 1, 7)]


def test_a_rolled_back_chunk_is_done_again(small, monkeypatch: pytest.MonkeyPatch):
    outside, project_id = small
    import_id = asked(outside, project_id, MESSY, mapping=MAPPING)
    run = Run(outside)
    with monkeypatch.context() as broken:
        broken.setattr(
            "workbench.items.importing._write_rejects", lambda *_: (_ for _ in ()).throw(OSError("disk full"))
        )
        with pytest.raises(OSError, match="disk full"):
            IMPORT.run(run, {"import_id": import_id})
    IMPORT.run(Run(outside, run.results), {"import_id": import_id})
    assert state_of(outside)[5] == [(17, 8, 1, 1, 7)]


@pytest.mark.parametrize("first", [1, 2, 4, 20])
@pytest.mark.parametrize("then", [1, 3, 5, 20])
def test_begun_anew_with_another_chunk_size_no_row_is_lost(small, first: int, then: int):
    outside, project_id = small
    import_id = asked(outside, project_id, MESSY, mapping=MAPPING)
    object.__setattr__(outside.settings, "chunk_items", first)
    with pytest.raises(Killed):
        IMPORT.run(Run(outside, kill_after=2 if first == 20 else 4), {"import_id": import_id})
    object.__setattr__(outside.settings, "chunk_items", then)
    result = IMPORT.run(Run(outside), {"import_id": import_id})  # a failed job begins anew: nothing recorded
    assert result["read"] == 17
    assert state_of(outside)[5] == [(17, 8, 1, 1, 7)]
    assert len(list(csv.reader(io.StringIO(state_of(outside)[6][0], newline="")))) == 9


def test_an_import_that_did_not_read_every_row_is_never_done(small):
    outside, project_id = small
    import_id = asked(outside, project_id, MESSY, mapping=MAPPING)
    unfold(outside, import_id)
    import_chunk(outside, import_id, 0, 0)
    with pytest.raises(WrongState, match="3 of the file's 17 rows were read"):
        finish_import(outside, import_id, 17, [])
    with outside.db.read() as session:
        row = find_import(session, import_id)
        assert (row.state, row.finished_at is None) == ("failed", False)
        assert "upload the file again" in row.problem


def test_an_import_shows_the_state_of_its_job(small):
    outside, project_id = small
    import_id = asked(outside, project_id, MESSY, mapping=MAPPING)
    with pytest.raises(Killed):
        IMPORT.run(Run(outside, kill_after=2), {"import_id": import_id})
    for state in ("running", "cancelling", "cancelled", "failed", "resuming"):
        with outside.db.write() as session:
            row = find_import(session, import_id)
            job = find_job(session, row.job_id)
            job.state = state
            assert view_of(row, job).state == state
    with outside.db.write() as session:
        row = find_import(session, import_id)
        row.state, row.problem = "failed", "broke"
        job = find_job(session, row.job_id)
        job.state = "resuming"
        assert (view_of(row, job).state, view_of(row, job).problem) == ("resuming", "")


def test_the_same_file_again_is_all_known(small):
    outside, project_id = small
    imported(outside, project_id, MESSY, mapping=MAPPING)
    result = imported(outside, project_id, MESSY, mapping=MAPPING)
    assert (result["added"], result["known"], result["conflicting"], result["rejected"]) == (0, 9, 1, 7)
    assert len(state_of(outside)[0]) == 8


def test_without_id_the_content_names_the_item(small):
    outside, project_id = small
    rows = [
        {"text": "one"},
        {"text": "two", "n": 1},
        {"text": "one"},
        {"n": 1, "text": "two"},
        {"text": "two", "n": 2},
    ]
    result = imported(outside, project_id, "\n".join(json.dumps(row) for row in rows), name="items.jsonl")
    assert (result["added"], result["known"]) == (3, 2)
    items = state_of(outside)[0]
    assert all(row.external_id == row.content_hash.hex()[:40] for row in items)


def test_same_content_under_another_id_is_kept_and_counted(small):
    outside, project_id = small
    result = imported(outside, project_id, "id,text\n1,same\n2,same\n3,other\n4,same\n")
    assert (result["added"], result["same_content"]) == (4, 2)


def test_projects_do_not_share_ids(small):
    outside, project_id = small
    with outside.db.write() as session:
        other = make_project(session, "other").id
    imported(outside, project_id, "id,text\n1,a\n")
    assert imported(outside, other, "id,text\n1,b\n")["added"] == 1


def test_a_file_that_breaks_later_on_fails_in_one_sentence_and_adds_nothing(
    small, monkeypatch: pytest.MonkeyPatch
):
    outside, project_id = small
    import_id = asked(outside, project_id, "id,text\n1,a\n")
    with outside.db.read() as session:
        Path(find_import(session, import_id).path).unlink()
    with pytest.raises(InvalidInput, match="upload it again"):
        IMPORT.run(Run(outside), {"import_id": import_id})
    with outside.db.read() as session:
        row = find_import(session, import_id)
        assert (row.state, row.rows_read) == ("failed", 0)
        assert "upload it again" in row.problem


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        (ColumnMapping("txt"), 'no column "txt"'),
        (ColumnMapping("text", "text"), "two meanings"),
    ],
)
def test_a_mapping_that_cannot_be_is_refused(small, mapping, said):
    outside, project_id = small
    with pytest.raises(InvalidInput, match=said):
        asked(outside, project_id, "id,text\n1,a\n", mapping=mapping)


def test_left_out_columns_are_not_kept(small):
    outside, project_id = small
    mapping = ColumnMapping("text", "id", left_out=["secret"])
    imported(outside, project_id, "id,text,secret,n\n1,a,s,5\n", mapping=mapping)
    assert [row.data for row in state_of(outside)[1]] == [{}, {"n": "5"}]
