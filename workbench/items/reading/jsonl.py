"""Rows of JSON Lines, or of one JSON array of objects, without holding the file."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any, NoReturn

from workbench.errors import InvalidInput
from workbench.items.reading.encoding import bounded_lines, broken, open_text, text_encoding
from workbench.items.reading.rows import Row, Table

RAW_CHARACTERS = 2000
_COLUMN_ROWS = 200
_BLOCK = 1 << 16
_ELEMENT_CHARACTERS = 4_000_000
MAX_DEPTH = 40


def read_jsonl(path: Path) -> Table:
    """The file as a table; columns are the keys of its first 200 objects.

    Raises:
        InvalidInput: It is empty, no text, or holds no object.
    """
    encoding, notes = text_encoding(path)
    if _is_array(path, encoding):
        rows = _array_rows(path, encoding)
        notes.append("Read as one JSON array; lines count its elements.")
    else:
        rows = _line_rows(path, encoding)
    first = list(islice(rows, _COLUMN_ROWS))
    columns = list(dict.fromkeys(name for row in first for name in row.values))
    if not columns:
        why = f" (line {first[0].line} {first[0].problem})" if first else ""
        raise InvalidInput(f"no JSON object was found in the file{why}; expected one object on each line")
    return Table("jsonl", columns, chain(first, rows), notes)


def _is_array(path: Path, encoding: str) -> bool:
    with open_text(path, encoding) as file:
        while block := file.read(_BLOCK):
            if block.strip():
                return block.lstrip().startswith("[")
    return False


def _line_rows(path: Path, encoding: str) -> Iterator[Row]:
    with open_text(path, encoding) as file:
        for number, line in enumerate(bounded_lines(file), start=1):
            if line is None:
                yield Row(number, {}, "is longer than 4 million characters", "")
            elif line.strip():
                yield _parsed(number, line)


def _parsed(number: int, text: str) -> Row:
    shown = text.strip()[:RAW_CHARACTERS]
    try:
        return row_of(number, json.loads(text, parse_constant=_refused), shown)
    except json.JSONDecodeError as error:
        return Row(number, {}, f"is not JSON: {error.msg} at character {error.pos + 1}", shown)
    except (ValueError, RecursionError) as error:
        return Row(number, {}, f"cannot be read as JSON: {error}", shown)


def row_of(number: int, value: Any, shown: str) -> Row:
    """The row of one JSON value; one that is no flat enough object carries a problem."""
    if not isinstance(value, dict):
        return Row(number, {}, "is JSON, but no object with named values", shown)
    if _depth(value) > MAX_DEPTH:
        return Row(number, {}, f"is nested deeper than {MAX_DEPTH} levels", shown)
    # A dump without escapes shows half characters wherever they are nested, and NULs as \\u0000.
    dumped = json.dumps(value, ensure_ascii=False)
    problem = broken(dumped)
    if not problem and "\\u0000" in dumped:
        problem = next((why for why in map(broken, _strings(value)) if why), "")
    if problem:
        return Row(number, {}, problem, shown)
    return Row(number, {key: item for key, item in value.items() if item not in (None, "", [], {})})


def _depth(value: Any) -> int:
    """How deep lists and objects stand in one another."""
    depth, layer = 0, [value]
    while layer := [one for one in layer if isinstance(one, dict | list)]:
        depth += 1
        layer = [inner for one in layer for inner in (one.values() if isinstance(one, dict) else one)]
    return depth


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


def _refused(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON number")


def _array_rows(path: Path, encoding: str) -> Iterator[Row]:
    decoder = json.JSONDecoder(parse_constant=_refused)
    with open_text(path, encoding) as file:
        buffer = _Buffer(file)
        buffer.skip("[")
        number = 0
        while not buffer.at_end("]"):
            number += 1
            try:
                value, length = buffer.decode(decoder)
            except (ValueError, RecursionError) as error:
                # Without a parsed element there is no telling where the next one starts.
                yield Row(
                    number,
                    {},
                    f"cannot be read as JSON, so reading stopped here: {error}",
                    buffer.text[:RAW_CHARACTERS],
                )
                return
            shown = buffer.text[: min(length, RAW_CHARACTERS)]
            buffer.drop(length)
            yield row_of(number, value, shown)
            buffer.skip(",")


class _Buffer:
    """The not yet parsed head of a file."""

    def __init__(self, file: io.TextIOWrapper) -> None:
        self._file = file
        self.text = ""
        self._more()

    def _more(self) -> bool:
        # Doubling keeps the repeated tries on one long element linear in its length.
        block = self._file.read(max(_BLOCK, len(self.text)))
        self.text += block
        return bool(block)

    def drop(self, length: int) -> None:
        self.text = self.text[length:].lstrip()
        while not self.text and self._more():
            self.text = self.text.lstrip()

    def skip(self, mark: str) -> None:
        self.drop(0)
        if self.text.startswith(mark):
            self.drop(1)

    def at_end(self, mark: str) -> bool:
        return not self.text or self.text.startswith(mark)

    def decode(self, decoder: json.JSONDecoder) -> tuple[Any, int]:
        while True:
            try:
                return decoder.raw_decode(self.text)
            except json.JSONDecodeError:
                if len(self.text) > _ELEMENT_CHARACTERS:
                    raise ValueError("one element is longer than 4 million characters") from None
                if not self._more():
                    raise
