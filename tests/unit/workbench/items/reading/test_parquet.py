from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from workbench.errors import InvalidInput
from workbench.items.reading.detect import file_format, open_table, preview


def written(tmp_path: Path, columns: dict[str, pa.Array] | pa.Table, **options) -> Path:
    path = tmp_path / "items.csv"  # told by content
    pq.write_table(columns if isinstance(columns, pa.Table) else pa.table(columns), path, **options)
    return path


def values_of(path: Path, **options) -> list[dict]:
    return [row.values for row in open_table(path, path.name, **options).rows]


def test_types_become_json(tmp_path: Path):
    at = dt.datetime(2026, 3, 2, 9, 0, 1, tzinfo=dt.UTC)
    path = written(
        tmp_path,
        {
            "text": pa.array(["a", "b", None]),
            "large": pa.array(["x", "", "  "], pa.large_string()),
            "dictionary": pa.array(["p", "q", "p"]).dictionary_encode(),
            "bytes": pa.array([b"\xc3\xa4", None, b"z"]),
            "decimal": pa.array([Decimal("1.50"), None, Decimal("-0.01")], pa.decimal128(10, 2)),
            "ns": pa.array([1, 2, 3], pa.timestamp("ns")),
            "zoned": pa.array([at] * 3, pa.timestamp("ms", "Asia/Tokyo")),
            "day": pa.array([dt.date(2026, 1, 2)] * 3),
            "nan": pa.array([float("nan"), 1.5, float("inf")]),
            "flag": pa.array([True, False, None]),
            "list": pa.array([[1, 2], [], None]),
            "struct": pa.array([{"a": "b", "n": None}, None, {"a": None, "n": 1}]),
            "big": pa.array([2**62, 1, 2]),
        },
    )
    first, second, third = values_of(path)
    assert first == {
        "text": "a", "large": "x", "dictionary": "p", "bytes": "ä", "decimal": "1.50",
        "ns": "1970-01-01T00:00:00", "zoned": "2026-03-02T09:00:01+00:00", "day": "2026-01-02",
        "flag": True, "list": [1, 2], "struct": {"a": "b"}, "big": 2**62,
    }  # fmt: skip
    assert second["nan"] == 1.5
    assert second["flag"] is False
    assert "large" not in second
    assert third["struct"] == {"n": 1}
    assert "text" not in third


def test_columns_left_out_are_not_read(tmp_path: Path):
    path = written(tmp_path, {"text": pa.array(["a"]), "blob": pa.array([b"\xff"])})
    (row,) = open_table(path, "x").rows
    assert row.problem == 'holds bytes that are no UTF-8 text in "blob"'
    assert values_of(path, leave=["blob"]) == [{"text": "a"}]


def test_rows_with_nul_are_refused_one_by_one(tmp_path: Path):
    path = written(tmp_path, {"text": pa.array(["a\x00b", "c"])})
    rows = list(open_table(path, "x").rows)
    assert [bool(row.problem) for row in rows] == [True, False]


def test_labels_of_the_datasets_library_get_their_names(tmp_path: Path):
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])}
    )
    datasets.disable_progress_bars()
    made = datasets.Dataset.from_dict({"text": ["a", "b"], "label": [1, -1]}, features=features)
    path = tmp_path / "x"
    made.to_parquet(path)
    assert file_format(path, "x") == "parquet"
    assert values_of(path) == [{"text": "a", "label": "yes"}, {"text": "b"}]


@pytest.mark.parametrize(
    "options", [{"data_page_version": "2.0"}, {"compression": "zstd"}, {"row_group_size": 7}]
)
def test_any_usual_layout(tmp_path: Path, options: dict):
    path = written(tmp_path, {"text": pa.array([f"text {i}" for i in range(5000)])}, **options)
    assert [one["text"] for one in values_of(path)] == [f"text {i}" for i in range(5000)]


def test_preview(tmp_path: Path):
    seen = preview(written(tmp_path, {"id": pa.array([1, 2]), "comment": pa.array(["a", "b"])}), "x")
    assert (seen.format, seen.mapping.text, seen.mapping.external_id) == ("parquet", "comment", "id")


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (pa.table({"a": pa.array([], pa.string())}), "no rows"),
        (pa.table([pa.array(["a"]), pa.array(["b"])], names=["a", "a"]), 'two columns are named "a"'),
        (pa.table([pa.array(["a"])], names=[" "]), "no name that can be shown"),
        (pa.table({f"c{i}": ["x"] for i in range(1001)}), "1,001 columns"),
    ],
)
def test_refused(tmp_path: Path, table: pa.Table, words: str):
    with pytest.raises(InvalidInput, match=words):
        list(open_table(written(tmp_path, table), "x").rows)
