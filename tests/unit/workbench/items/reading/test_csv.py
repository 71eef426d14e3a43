from __future__ import annotations

from pathlib import Path

import pytest

from workbench.errors import InvalidInput
from workbench.items.reading.csv import read_csv


def table(tmp_path: Path, content: bytes | str):
    path = tmp_path / "file"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_csv(path)


def values(found):
    return [row.values for row in found.rows]


def test_quoted_values_over_several_lines_keep_their_first_line(tmp_path: Path):
    found = table(tmp_path, 'id,text\r\n1,"one\r\ntwo, ""three"""\r\n2,four\r\n')
    rows = list(found.rows)
    assert [(row.line, row.values) for row in rows] == [
        (2, {"id": "1", "text": 'one\r\ntwo, "three"'}),
        (4, {"id": "2", "text": "four"}),
    ]
    assert found.notes == []


@pytest.mark.parametrize("delimiter", [";", "\t", "|", ","])
def test_delimiter_is_found(tmp_path: Path, delimiter: str):
    lines = [
        ["id", "text", "price"],
        ["1", "a, b; c" if delimiter not in ",;" else "a b", "3"],
        ["2", "d", "4"],
    ]
    found = table(tmp_path, "\n".join(delimiter.join(line) for line in lines))
    assert found.columns == ["id", "text", "price"]
    assert values(found)[1] == {"id": "2", "text": "d", "price": "4"}


@pytest.mark.parametrize(
    ("encoding", "text", "said"),
    [
        ("utf-8", "naïve 🎉 مرحبا 日本", ""),
        ("utf-8-sig", "naïve", ""),
        ("utf-16", "naïve 🎉 文本", ""),
        ("utf-16-le", "plain and naïve text, long enough to see", "UTF-16-LE"),
        ("gb18030", "这个产品非常好用。我很喜欢。质量不错。物流也快", "GB18030"),
        ("cp1252", "España y el niño: café “über”", "cp1252"),
        ("cp1252", "Fußgänger über die Straße", "cp1252"),
    ],
)
def test_encodings(tmp_path: Path, encoding: str, text: str, said: str):
    found = table(tmp_path, f'id,text\n1,"{text}"\n'.encode(encoding))
    assert found.columns == ["id", "text"]
    assert values(found) == [{"id": "1", "text": text}]
    assert said in " ".join(found.notes)
    assert bool(said) == bool(found.notes)


def test_a_broken_byte_in_utf8_rejects_its_row_alone(tmp_path: Path):
    content = "id,text\n1,größe\n".encode() + b"2,gr\xff\xe9\n" + "3,schön\n4,müde\n5,öfter äü\n".encode()
    rows = list(table(tmp_path, content).rows)
    assert [row.line for row in rows if row.problem] == [3]
    assert rows[3].values["text"] == "müde"


def test_nul_rejects_its_row_alone(tmp_path: Path):
    rows = list(table(tmp_path, "id,text\n1,a\x00b\n2,c\n").rows)
    assert [(row.line, bool(row.problem)) for row in rows] == [(2, True), (3, False)]
    assert "NUL" in rows[0].problem


def test_too_many_values_are_rejected_and_too_few_are_empty(tmp_path: Path):
    rows = list(table(tmp_path, "id,text\n1,a,b\n2\n3,c,,\n").rows)
    assert "3 values" in rows[0].problem
    assert rows[0].raw == "1,a,b"
    assert rows[1].values == {"id": "2"}
    assert rows[2].values == {"id": "3", "text": "c"}


def test_title_and_empty_lines_above_the_header(tmp_path: Path):
    found = table(tmp_path, "Feedback of March,,\n,,\nid,text,date\n\n1,good,2026-03-01\n")
    assert found.columns == ["id", "text", "date"]
    assert [(row.line, row.values["text"]) for row in found.rows] == [(5, "good")]
    assert "Line 1 above the header" in found.notes[0]


def test_no_header(tmp_path: Path):
    found = table(tmp_path, "1,good\n2,bad\n")
    assert found.columns == ["column_1", "column_2"]
    assert len(list(found.rows)) == 2
    assert "No header" in found.notes[0]


def test_one_column_of_sentences_has_no_header(tmp_path: Path):
    found = table(tmp_path, "I like it very much\nI do not\n")
    assert [row.values["column_1"] for row in found.rows] == ["I like it very much", "I do not"]


def test_same_and_missing_column_names(tmp_path: Path):
    found = table(tmp_path, "id,text,text,,x\n1,a,b,c,d\n")
    assert found.columns == ["id", "text", "text_2", "column_4", "x"]


def test_a_quote_never_closed_is_said(tmp_path: Path):
    rows = list(table(tmp_path, 'id,text\n1,fine\n2,"open\n3,lost\n').rows)
    assert rows[0].values["text"] == "fine"
    assert rows[1].line == 3
    assert "not closed" in rows[1].problem


def test_huge_values_are_rejected_and_the_rest_goes_on(tmp_path: Path):
    rows = list(table(tmp_path, f"id,text\n1,{'x' * 1_100_000}\n2,{'y' * 4_100_000}\n3,fine\n").rows)
    assert [(row.line, bool(row.problem)) for row in rows] == [(2, True), (3, True), (4, False)]


@pytest.mark.parametrize("content", [b"", b"\n\n\n", bytes(range(256)) * 20])
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes):
    with pytest.raises(InvalidInput):
        table(tmp_path, content)
