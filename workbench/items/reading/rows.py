"""What every format gives: a table of named columns whose rows are streamed, and how a header is found."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

HEADER_ROWS = 20
_HEADER_CELL_CHARACTERS = 120
_NUMBER = re.compile(r"[+-]?[\d.,]+(e[+-]?\d+)?%?", re.IGNORECASE)


@dataclass(frozen=True)
class Row:
    """One row of a file.

    Attributes:
        line: Line (CSV, JSON Lines), row (XLSX) or element (JSON array) it starts at, from 1.
        values: By column name; empty cells are left out.
        problem: Why it cannot be used; empty where it can.
        raw: What stood there, shortened, for a row with a problem.
    """

    line: int
    values: dict[str, Any] = field(default_factory=dict)
    problem: str = ""
    raw: str = ""


@dataclass(frozen=True)
class Table:
    """A file opened as rows; `rows` can be walked once.

    Attributes:
        format: `csv`, `jsonl`, `xlsx`, `parquet` or `datasets`.
        columns: Names in the file's order; a JSON file may bring more later on.
        rows: Streamed.
        notes: What was guessed or passed over, one sentence each.
        splits: Names of the parts that can be chosen from; empty where there is but one.
    """

    format: str
    columns: list[str]
    rows: Iterator[Row]
    notes: list[str]
    splits: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Cells:
    """A row before its columns are known: `cells` in order, empty ones as ""."""

    line: int
    cells: list[Any]
    problem: str = ""
    raw: str = ""


def named_rows(raw_rows: Iterator[Cells], *, what: str) -> tuple[list[str], Iterator[Row], list[str]]:
    """Column names, rows and notes of a sheet whose header may stand below a title.

    The header is the first row with at least three quarters as many filled cells as the fullest of the
    first rows (a lone one does not count); what stands above is passed over. Where that row holds
    numbers or long text it is data, and the columns are named by number.

    Args:
        raw_rows: All rows, empty ones too.
        what: What a row is called in notes: "line" or "row".
    """
    first = list(islice(raw_rows, HEADER_ROWS))
    filled = [0 if row.problem else sum(cell != "" for cell in row.cells) for row in first]
    width = _width(filled)
    if not width:
        return [], chain(iter(()), _rest(first, raw_rows, [])), []
    at = next(i for i, n in enumerate(filled) if n >= math.ceil(0.75 * width))
    header, notes = first[at], []
    above = [row for row, n in zip(first[:at], filled, strict=False) if n]
    if above:
        lines = ", ".join(str(row.line) for row in above)
        notes.append(f"{what.capitalize()} {lines} above the header passed over as a title.")
    if _looks_like_header(header.cells):
        columns, more = _column_names(header.cells)
        body = first[at + 1 :]
        notes += more
    else:
        columns = [f"column_{i + 1}" for i in range(len(header.cells))]
        body = first[at:]
        notes.append("No header was found, so the columns are named by number.")
    problems = [row for row in first[:at] if row.problem]
    return columns, _rest([*problems, *body], raw_rows, columns), notes


def _width(filled: Sequence[int]) -> int:
    """The largest number of filled cells that more than one row has, else the largest."""
    repeated = [n for n in filled if filled.count(n) > 1]
    return max(repeated, default=0) or max(filled, default=0)


def _rest(first: Sequence[Cells], rows: Iterator[Cells], columns: list[str]) -> Iterator[Row]:
    for row in chain(first, rows):
        if row.problem:
            yield Row(row.line, {}, row.problem, row.raw)
        elif any(cell != "" for cell in row.cells):
            yield _named(row, columns)


def _named(row: Cells, columns: list[str]) -> Row:
    cells = row.cells
    if len(cells) > len(columns):
        extra = [cell for cell in cells[len(columns) :] if cell != ""]
        if extra and row.raw:
            return Row(
                row.line,
                {},
                f"has {len(cells)} values, but there are {len(columns)} columns; is a value with the "
                "delimiter in it not quoted?",
                row.raw,
            )
        columns = columns + [f"column_{i + 1}" for i in range(len(columns), len(cells))]
    return Row(
        row.line, {name: cell for name, cell in zip(columns, cells, strict=False) if cell != ""}, "", ""
    )


def _looks_like_header(cells: Sequence[Any]) -> bool:
    filled = [cell.strip() if isinstance(cell, str) else cell for cell in cells if cell != ""]
    if not all(isinstance(cell, str) for cell in filled):
        return False
    if any(len(cell) > _HEADER_CELL_CHARACTERS or _NUMBER.fullmatch(cell) for cell in filled):
        return False
    # A lone column of sentences has no header; a header is rarely more than three words.
    return not (len(filled) == 1 and len(filled[0].split()) > 3)  # noqa: PLR2004


def _column_names(cells: Sequence[Any]) -> tuple[list[str], list[str]]:
    names: list[str] = []
    notes: list[str] = []
    for position, cell in enumerate(cells, start=1):
        name = " ".join(str(cell).split())[:_HEADER_CELL_CHARACTERS] or f"column_{position}"
        if name in names:
            n = next(i for i in range(2, len(cells) + 2) if f"{name}_{i}" not in names)
            notes.append(f'Two columns are named "{name}"; the later one is read as "{name}_{n}".')
            name = f"{name}_{n}"
        names.append(name)
    return names, notes
