"""Rows of a delimited text file: any usual encoding and delimiter, quoted values over several lines."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from workbench.errors import InvalidInput
from workbench.items.reading.encoding import bounded_lines, broken, open_text, text_encoding
from workbench.items.reading.rows import Cells, Table, named_rows

DELIMITERS = ",;\t|"
RAW_CHARACTERS = 2000
_FIELD_CHARACTERS = 1_000_000
_SAMPLE_LINES = 60
_LONGEST_VALUE_LINES = 1000


def read_csv(path: Path) -> Table:
    """The file as a table.

    Raises:
        InvalidInput: It is empty, or no text.
    """
    encoding, notes = text_encoding(path)
    delimiter = _delimiter(path, encoding)
    if delimiter != ",":
        names = {";": "semicolons", "\t": "tabs", "|": "bars"}
        notes.append(f"Values are separated by {names[delimiter]}.")
    columns, rows, more = named_rows(_cells(path, encoding, delimiter), what="line")
    if not columns:
        raise InvalidInput("the file holds only empty lines; choose one with a header and at least one row")
    return Table("csv", columns, rows, [*notes, *more])


def _delimiter(path: Path, encoding: str) -> str:
    """The delimiter that cuts most of the first rows into the same number of values."""
    with open_text(path, encoding) as file:
        sample = [line for line in islice(bounded_lines(file), _SAMPLE_LINES) if line and line.strip()]
    best, best_score = ",", (0.0, 0)
    for delimiter in DELIMITERS:
        try:
            widths = Counter(len(row) for row in csv.reader(sample, delimiter=delimiter) if row)
        except csv.Error:
            continue
        # Title lines of one value above the table do not speak against a delimiter.
        wide = {width: n for width, n in widths.items() if width > 1}
        if not wide:
            continue
        width, rows = max(wide.items(), key=lambda pair: (pair[1], pair[0]))
        score = (rows / sum(widths.values()), width)
        if score > best_score:
            best, best_score = delimiter, score
    return best


class _Lines:
    """Lines for the reader, remembering those of the row that is being read."""

    def __init__(self, lines: Iterator[str | None]) -> None:
        self._lines = lines
        self.number = 0
        self.first = 0
        self.seen: list[str] = []
        self.too_long: list[int] = []
        self.ended = False

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            self.number += 1
            if line is None:
                self.too_long.append(self.number)
                continue
            if not self.seen:
                self.first = self.number
            self.seen.append(line)
            yield line
        self.ended = True

    def take(self) -> str:
        """The lines since the last call."""
        text = "".join(self.seen)
        self.seen.clear()
        return text


def _cells(path: Path, encoding: str, delimiter: str) -> Iterator[Cells]:
    # The limit is the module's own and the same for all readers here.
    csv.field_size_limit(_FIELD_CHARACTERS)
    with open_text(path, encoding) as file:
        lines = _Lines(bounded_lines(file))
        reader = csv.reader(lines, delimiter=delimiter)
        while True:
            problem, cells = "", []
            try:
                cells = next(reader)
            except StopIteration:
                yield from _too_long(lines)
                return
            except csv.Error as error:
                problem = f"cannot be read as CSV: {error}"
            raw = lines.take()
            if problem and len(raw) > _FIELD_CHARACTERS and lines.number - lines.first > _LONGEST_VALUE_LINES:
                # What follows stands within that value: taken for rows, it would become items.
                problem = "opens a quote that is not closed in a million characters, so reading stopped here"
                yield _checked(lines.first, [], problem, raw)
                return
            if lines.ended and not problem:
                # The reader asks for more lines within a row only while a quote is open.
                problem = "opens a quote that is not closed before the end of the file"
            yield from _too_long(lines)
            yield _checked(lines.first, cells, problem, raw)


def _too_long(lines: _Lines) -> Iterator[Cells]:
    for number in lines.too_long:
        yield Cells(number, [], "is longer than 4 million characters", "")
    lines.too_long.clear()


def _checked(line: int, cells: list[str], problem: str, raw: str) -> Cells:
    shown = raw[:RAW_CHARACTERS].rstrip("\r\n")
    problem = problem or broken(raw)
    return Cells(line, [cell if cell.strip() else "" for cell in cells], problem, shown)
