"""Rows of the first filled sheet of an XLSX workbook, opened only after its sizes were counted."""

from __future__ import annotations

import math
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import openpyxl
from defusedxml import DefusedXmlException

from workbench.errors import InvalidInput
from workbench.items.reading.encoding import broken
from workbench.items.reading.rows import Cells, Table, named_rows

MAX_MEMBERS = 2000
MAX_BYTES = 600_000_000
MAX_SHARED_BYTES = 200_000_000
MAX_RATIO = 150
_RATIO_FROM_BYTES = 20_000_000
_MAX_ROWS = 1_048_576
_MAX_COLUMNS = 1000
_ERRORS = {"#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NULL!", "#NUM!"}
_DAMAGES = (DefusedXmlException, SyntaxError, ValueError, KeyError, IndexError, zipfile.BadZipFile, EOFError)
_SPLIT = "split it, or save it as CSV"


def read_xlsx(path: Path) -> Table:
    """The first sheet with any value as a table: dates as ISO text, formulas by their saved values.

    Raises:
        InvalidInput: It is damaged, no workbook, without values, or would unfold to too much.
    """
    check_sizes(path)
    notes: list[str] = []
    columns, rows, more = named_rows(_first_filled(path, notes), what="row")
    if not columns:
        raise InvalidInput("the workbook has no filled sheet; choose one with a header and at least one row")
    return Table("xlsx", columns, rows, [*notes, *more])


def check_sizes(path: Path) -> None:
    """Nothing, if the workbook unfolds to a size that can be read; only its directory is looked at.

    Python's reader never unpacks more of a member than the directory states, so the count holds.

    Raises:
        InvalidInput: Too many members, too large unfolded, or packed too tightly to be honest.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        raise InvalidInput("the file is no XLSX workbook, or is damaged; save it again as .xlsx") from None
    if "xl/workbook.xml" not in {member.filename for member in members}:
        raise InvalidInput("the file is a ZIP archive but no XLSX workbook; save the sheet as .xlsx or CSV")
    if len(members) > MAX_MEMBERS:
        raise InvalidInput(f"the workbook has {len(members)} parts (limit {MAX_MEMBERS}); {_SPLIT}")
    total = sum(member.file_size for member in members)
    packed = max(1, path.stat().st_size)
    if total > MAX_BYTES:
        raise InvalidInput(
            f"the workbook unfolds to {total // 1_000_000} MB (limit {MAX_BYTES // 1_000_000} MB); {_SPLIT}"
        )
    if total > _RATIO_FROM_BYTES and total / packed > MAX_RATIO:
        raise InvalidInput(
            f"the workbook unfolds to {total // packed} times its size (limit {MAX_RATIO}), which no "
            "ordinary sheet does; save it as CSV"
        )
    shared = sum(member.file_size for member in members if member.filename.lower().endswith("strings.xml"))
    if shared > MAX_SHARED_BYTES:
        raise InvalidInput(
            f"the workbook holds {shared // 1_000_000} MB of text in one part "
            f"(limit {MAX_SHARED_BYTES // 1_000_000} MB); {_SPLIT}"
        )


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    # A file of ours, because openpyxl leaves its own open when a part is damaged.
    with path.open("rb") as file:
        try:
            with warnings.catch_warnings():
                # openpyxl warns of styles and extensions it leaves out; values are all that is read here.
                warnings.simplefilter("ignore")
                book = openpyxl.load_workbook(file, read_only=True, data_only=True, keep_links=False)
        except Exception as problem:  # noqa: BLE001 - openpyxl raises whatever a damaged part leads to
            raise _damaged(problem) from None
        try:
            yield book
        except _DAMAGES as problem:
            raise _damaged(problem) from None
        finally:
            book.close()


def _damaged(problem: Exception) -> InvalidInput:
    # openpyxl raises its own error while it handles the one of the parser.
    if isinstance(problem, DefusedXmlException) or isinstance(problem.__context__, DefusedXmlException):
        return InvalidInput("the workbook declares XML entities, which no spreadsheet needs; save it as CSV")
    return InvalidInput(
        f"the workbook is damaged or protected by a password ({type(problem).__name__}); open it, save it "
        "again as .xlsx without password, or save it as CSV"
    )


def _first_filled(path: Path, notes: list[str]) -> Iterator[Cells]:
    """Rows of the first sheet with any value; says in `notes` which one, before the first row."""
    with _opened(path) as book:
        sheets = book.worksheets
        found = next((sheet for sheet in sheets if _is_filled(sheet)), None)
        if found is None:
            return
        if len(sheets) > 1:
            notes.append(
                f'The workbook has {len(sheets)} sheets; read is the first filled one, "{found.title}".'
            )
        yield from _sheet_cells(found)


def _sheet_cells(sheet: Any) -> Iterator[Cells]:
    # Many writers state a wrong dimension; rows are taken as they come.
    sheet.reset_dimensions()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number, row in enumerate(sheet.iter_rows(values_only=True, max_row=_MAX_ROWS), start=1):
            cells = [_value(cell) for cell in row[:_MAX_COLUMNS]]
            while cells and cells[-1] == "":
                cells.pop()
            problem = next((why for why in (broken(c) for c in cells if isinstance(c, str)) if why), "")
            yield Cells(number, cells, problem, "")


def _is_filled(sheet: Any) -> bool:
    return any(row.cells for row in _sheet_cells(sheet))


def _value(cell: Any) -> Any:
    """A cell as JSON: text, whole numbers without ".0", dates in ISO form; "" when empty or an error."""
    if isinstance(cell, str):
        return "" if not cell.strip() or cell in _ERRORS else cell
    if isinstance(cell, float):
        return _number(cell)
    if isinstance(cell, datetime) and cell.time() == time(0):
        return cell.date().isoformat()
    if isinstance(cell, date | time):
        return cell.isoformat()
    if cell is None or isinstance(cell, bool | int):
        return "" if cell is None else cell
    return str(cell)


def _number(cell: float) -> float | int | str:
    if not math.isfinite(cell):
        return ""
    return int(cell) if cell.is_integer() else cell
