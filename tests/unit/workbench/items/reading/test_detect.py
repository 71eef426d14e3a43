from __future__ import annotations

from pathlib import Path

import pytest

from workbench.errors import InvalidInput
from workbench.items.reading.detect import ColumnMapping, file_format, guess_mapping, preview


@pytest.mark.parametrize(
    ("content", "name", "expected"),
    [
        (b'{"text": "a"}', "x.csv", "jsonl"),
        (b'\xef\xbb\xbf[{"text": "a"}]', "x", "jsonl"),
        ('{"text": "a"}'.encode("utf-16"), "x", "jsonl"),
        (b"[note] a,b\n", "x.csv", "csv"),
        (b"PK\x03\x04", "x.csv", "xlsx"),
        (b"id,text\n", "x.txt", "csv"),
        (b"broken", "x.jsonl", "jsonl"),
    ],
)
def test_format_is_told_by_content(tmp_path: Path, content: bytes, name: str, expected: str):
    path = tmp_path / "file"
    path.write_bytes(content)
    assert file_format(path, name) == expected


@pytest.mark.parametrize("head", [b"\xd0\xcf\x11\xe0", b"%PDF-1.7", b"\x1f\x8b\x08", b"SQLite format 3"])
def test_other_kinds_are_refused_by_name(tmp_path: Path, head: bytes):
    path = tmp_path / "file"
    path.write_bytes(head + b"0" * 100)
    with pytest.raises(InvalidInput, match=r"save it as|upload CSV|unpack it"):
        file_format(path, "items.csv")


def test_meaning_is_guessed_by_name_and_by_length():
    rows = [{"编号": i, "内容": "好", "Lang": "zh", "Country": "CN", "gold": "Positive"} for i in range(5)]
    assert guess_mapping(["编号", "内容", "Lang", "Country", "gold"], rows) == ColumnMapping(
        text="内容", external_id="编号", language="Lang", region="Country", reference="gold"
    )
    rows = [{"a": "x", "b": "much longer here", "id": "same"} for _ in range(5)]
    assert guess_mapping(["id", "a", "b"], rows) == ColumnMapping(text="b")


def test_preview(tmp_path: Path):
    path = tmp_path / "file"
    path.write_text("ID;Comment\n" + "".join(f"{i};fine {i}\n" for i in range(500)))
    found = preview(path, "items.csv")
    assert (found.format, found.columns, len(found.rows)) == ("csv", ["ID", "Comment"], 20)
    assert found.mapping == ColumnMapping(text="Comment", external_id="ID")


def test_a_header_alone_is_refused(tmp_path: Path):
    path = tmp_path / "file"
    path.write_text("id,text\n")
    with pytest.raises(InvalidInput, match="no row"):
        preview(path, "items.csv")


def test_unknown_meanings_are_refused():
    with pytest.raises(InvalidInput, match="colour"):
        ColumnMapping.of({"text": "a", "colour": "b"})
