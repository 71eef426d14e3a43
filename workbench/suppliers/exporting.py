"""A supplier's own answers as a file."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell

from workbench.items.spreadsheets import formula_safe
from workbench.outside import Outside
from workbench.suppliers import store
from workbench.suppliers.domain import Column

MOST_ROWS = 200_000


def csv_lines(outside: Outside, supplier_id: int, project_id: int, person: str = "") -> Iterator[bytes]:
    """The answers as CSV that spreadsheets open: a thousand rows at a time."""
    yield b"\xef\xbb\xbf" + ",".join(Column).encode() + b"\r\n"
    with outside.db.read(tenant=supplier_id) as session:
        for rows in store.all_answers(session, project_id, person):
            text = io.StringIO(newline="")
            csv.writer(text).writerows([_cell(row[column]) for column in Column] for row in rows)
            yield text.getvalue().encode()


def xlsx(outside: Outside, supplier_id: int, project_id: int, person: str = "") -> bytes:
    """The answers as a workbook of one sheet; texts are texts, whatever they begin with."""
    book = Workbook(write_only=True)
    sheet = book.create_sheet("Answers")
    sheet.append(list(map(str, Column)))
    count = 0
    with outside.db.read(tenant=supplier_id) as session:
        for rows in store.all_answers(session, project_id, person):
            for row in rows:
                sheet.append(_typed(sheet, [row[column] for column in Column]))
            count += len(rows)
            if count >= MOST_ROWS:
                break
    written = io.BytesIO()
    book.save(written)
    return written.getvalue()


def _typed(sheet: Any, values: Sequence[Any]) -> list[Any]:
    cells = []
    for value in values:
        cell = WriteOnlyCell(sheet, value=_cell(value))
        if isinstance(cell.value, str):
            cell.data_type = "s"
        cells.append(cell)
    return cells


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return formula_safe(value)
    return value.isoformat() if isinstance(value, datetime) else value
