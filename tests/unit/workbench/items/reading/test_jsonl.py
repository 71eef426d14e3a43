from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workbench.errors import InvalidInput
from workbench.items.reading.jsonl import read_jsonl


def rows(tmp_path: Path, content: str):
    path = tmp_path / "file"
    path.write_bytes(content.encode())
    return list(read_jsonl(path).rows)


def test_bad_lines_are_rejected_one_by_one(tmp_path: Path):
    found = rows(
        tmp_path,
        '{"id": 1, "text": "a"}\n\nnot json\n[1]\n{"text": "\\ud800"}\n{"text": {"deep": ["\\u0000"]}}\n'
        '{"text": "b", "score": NaN}\n'
        + "[" * 5000
        + '\n{"id": 2, "text": "\\\\u0000 is fine", "n": 0, "e": ""}\n',
    )
    assert [row.line for row in found] == [1, 3, 4, 5, 6, 7, 8, 9]
    assert [bool(row.problem) for row in found] == [False, True, True, True, True, True, True, False]
    assert found[-1].values == {"id": 2, "text": "\\u0000 is fine", "n": 0}


def test_an_array_is_streamed(tmp_path: Path):
    items = [{"id": i, "text": "x" * (i % 7) * 9000 + "ü"} for i in range(40)]
    found = rows(tmp_path, "  " + json.dumps(items, indent=1, ensure_ascii=False))
    assert [row.values for row in found] == items
    assert [row.line for row in found] == list(range(1, 41))


def test_a_broken_array_gives_what_stands_before(tmp_path: Path):
    found = rows(tmp_path, '[{"text": "a"}, {"text": "b"}, {"text": ')
    assert [bool(row.problem) for row in found] == [False, False, True]


@pytest.mark.parametrize("content", ["", "[]", "plain", "[1, 2]", "\n\n"])
def test_without_objects_it_is_refused(tmp_path: Path, content: str):
    with pytest.raises(InvalidInput):
        rows(tmp_path, content)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(
        st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1),
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1)
            | st.integers()
            | st.booleans(),
            min_size=1,
        ),
        min_size=1,
    ),
    st.booleans(),
    st.booleans(),
)
def test_what_was_written_is_read(tmp_path: Path, items, array: bool, escaped: bool):
    text = (
        json.dumps(items, ensure_ascii=escaped)
        if array
        else "\n".join(json.dumps(item, ensure_ascii=escaped) for item in items)
    )
    assert [row.values for row in rows(tmp_path, text)] == items
