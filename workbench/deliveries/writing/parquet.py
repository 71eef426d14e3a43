"""Rows as Parquet with a fixed schema; pieces become row groups of one file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from workbench.deliveries.domain import COLUMNS
from workbench.deliveries.writing.context import Screen

_TIME = pa.timestamp("us", tz="UTC")
_ANSWER = pa.struct(
    [
        ("annotator", pa.string()),
        ("label", pa.string()),
        ("lead_time_s", pa.float64()),
        ("at", _TIME),
        ("counted", pa.bool_()),
    ]
)
_TYPES: dict[str, Any] = {
    "annotations": pa.int32(),
    "share": pa.float64(),
    "confidence": pa.float64(),
    "model_version": pa.int32(),
    "policy_version": pa.int32(),
    "resolved_at": _TIME,
    "answers": pa.list_(_ANSWER),
}
SCHEMA = pa.schema(
    [pa.field(c.name, _TYPES.get(c.name, pa.string()), metadata={"description": c.meaning}) for c in COLUMNS]
)


def write_parquet(path: Path, rows: Sequence[Mapping[str, Any]], screen: Screen) -> None:  # noqa: ARG001 - every format's form
    """One file of these rows; metadata as JSON text, since its keys differ from row to row."""
    plain = [dict(row) | {"metadata": json.dumps(row["metadata"], ensure_ascii=False)} for row in rows]
    pq.write_table(pa.Table.from_pylist(plain, schema=SCHEMA), path, compression="zstd")


def join_parquet(pieces: Sequence[Path], target: Path, screen: Screen) -> None:  # noqa: ARG001 - every format's form
    """The pieces as row groups of one file, one in memory at a time."""
    with pq.ParquetWriter(target, SCHEMA, compression="zstd") as writer:
        for piece in pieces:
            writer.write_table(pq.read_table(piece, schema=SCHEMA))
