from __future__ import annotations

import zipfile
from datetime import datetime, time
from pathlib import Path

import openpyxl
import pytest

from workbench.errors import InvalidInput
from workbench.items.reading import xlsx
from workbench.items.reading.xlsx import read_xlsx


def saved(tmp_path: Path, rows, *, merged=(), sheets=()):
    book = openpyxl.Workbook()
    sheet = book.active
    for name in sheets:
        sheet = book.create_sheet(name)
    for row in rows:
        sheet.append(row)
    for area in merged:
        sheet.merge_cells(area)
    path = tmp_path / "book.xlsx"
    book.save(path)
    return path


def test_a_messy_sheet(tmp_path: Path):
    path = saved(
        tmp_path,
        [
            ["Customer feedback, March 2026", None, None, None, None],
            [],
            ["Item", None, "Feedback", None, None],
            ["id", "text", "date", "stars", None],
            [],
            [1001.0, "很好 👍", datetime(2026, 3, 1), 4.5, None],  # noqa: DTZ001
            [],
            [1002, "=1+1", datetime(2026, 3, 1, 12, 30), True, None],  # noqa: DTZ001
            ["x-3", "מצוין", time(8, 0), "#N/A", None],
        ],
        merged=["A1:E1", "A3:B3", "C3:E3"],
    )
    found = read_xlsx(path)
    assert found.columns == ["id", "text", "date", "stars"]
    assert [(row.line, row.values) for row in found.rows] == [
        (6, {"id": 1001, "text": "很好 👍", "date": "2026-03-01", "stars": 4.5}),
        # A formula that was never calculated has no value.
        (8, {"id": 1002, "date": "2026-03-01T12:30:00", "stars": True}),
        (9, {"id": "x-3", "text": "מצוין", "date": "08:00:00"}),
    ]
    assert found.notes == ["Row 1, 3 above the header passed over as a title."]


def test_the_first_filled_sheet_is_read_and_named(tmp_path: Path):
    found = read_xlsx(saved(tmp_path, [["id", "text"], [1, "a"]], sheets=["notes", "données"]))
    assert "3 sheets" in found.notes[0]
    assert '"données"' in found.notes[0]
    assert len(list(found.rows)) == 1


def test_values_right_of_the_header_get_a_name(tmp_path: Path):
    found = read_xlsx(saved(tmp_path, [["id", "text"], [1, "a"], [2, "b", "extra"]]))
    assert [row.values for row in found.rows][1] == {"id": 2, "text": "b", "column_3": "extra"}


def test_empty_workbook_is_refused(tmp_path: Path):
    with pytest.raises(InvalidInput, match="no filled sheet"):
        read_xlsx(saved(tmp_path, []))


def _zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_a_bomb_is_refused_before_it_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = _zip(
        tmp_path / "bomb.xlsx", {"xl/workbook.xml": b"", "xl/worksheets/sheet1.xml": b"0" * 40_000_000}
    )
    monkeypatch.setattr(xlsx, "_opened", lambda _: pytest.fail("opened"))
    with pytest.raises(InvalidInput, match="times its size"):
        read_xlsx(path)


@pytest.mark.parametrize(
    ("name", "members", "said"),
    [
        ("a.docx", {"word/document.xml": b"<x/>"}, "no XLSX"),
        ("b.xlsx", {"xl/workbook.xml": b"<x/>", **{f"x{i}": b"" for i in range(2000)}}, "2001 parts"),
        ("c.xlsx", {"xl/workbook.xml": b"<x/>"}, "damaged"),
    ],
)
def test_other_archives_are_refused(tmp_path: Path, name: str, members, said: str):
    with pytest.raises(InvalidInput, match=said):
        read_xlsx(_zip(tmp_path / name, members))


def test_entities_are_refused(tmp_path: Path):
    path = saved(tmp_path, [["id", "text"], [1, "a"]])
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    sheet = members["xl/worksheets/sheet1.xml"]
    members["xl/worksheets/sheet1.xml"] = (
        b'<!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;&lol;">]>' + sheet
    )
    with pytest.raises(InvalidInput, match="entities"):
        read_xlsx(_zip(path, members))


def test_a_row_number_out_of_bounds_ends_the_sheet(tmp_path: Path):
    path = saved(tmp_path, [["id", "text"], [1, "a"], [2, "b"]])
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    sheet = members["xl/worksheets/sheet1.xml"].replace(b'<row r="3"', b'<row r="2000000000"')
    members["xl/worksheets/sheet1.xml"] = sheet
    assert [row.values["text"] for row in read_xlsx(_zip(path, members)).rows] == ["a"]
