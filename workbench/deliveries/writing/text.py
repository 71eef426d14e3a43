"""Rows as JSON Lines and as CSV; pieces are joined byte by byte."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from workbench.deliveries.domain import Format, columns_of
from workbench.deliveries.writing.context import Screen
from workbench.items.spreadsheets import formula_safe

_BLOCK = 1 << 20


def write_jsonl(path: Path, rows: Sequence[Mapping[str, Any]], screen: Screen) -> None:  # noqa: ARG001 - every format's form
    """One JSON object a line."""
    encode = json.JSONEncoder(ensure_ascii=False, default=_json).encode
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(encode(row))
            file.write("\n")


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]], screen: Screen) -> None:  # noqa: ARG001 - every format's form
    """Lines without header."""
    names = [column.name for column in columns_of(Format.CSV)]
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([_cell(row[name]) for name in names] for row in rows)


def join_jsonl(pieces: Sequence[Path], target: Path, screen: Screen) -> None:  # noqa: ARG001 - every format's form
    """The pieces, one after the other."""
    _join(pieces, target, b"")


def join_csv(pieces: Sequence[Path], target: Path, screen: Screen) -> None:  # noqa: ARG001 - every format's form
    """The pieces below a header; the mark at the start lets Excel see UTF-8."""
    names = ",".join(column.name for column in columns_of(Format.CSV))
    _join(pieces, target, b"\xef\xbb\xbf" + names.encode() + b"\r\n")


def _join(pieces: Sequence[Path], target: Path, head: bytes) -> None:
    with target.open("wb") as file:
        file.write(head)
        for piece in pieces:
            with piece.open("rb") as source:
                shutil.copyfileobj(source, file, _BLOCK)


def _json(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return formula_safe(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return value
