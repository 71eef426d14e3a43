"""Sizes that the pages of a Parquet file state, counted before a reader makes room for them.

A page's header names the bytes to set aside for it. A few hundred bytes of file can so ask for two
gigabytes, whatever the footer says.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from workbench.errors import InvalidInput

MAX_PAGE_BYTES = 128_000_000
MAX_PAGES = 2_000_000
_STOP, _TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(13)
_KIND, _UNPACKED, _PACKED = 1, 2, 3  # fields of a page header
_DICTIONARY = 2  # a kind of page
_DEEPEST = 8


def check_pages(path: Path, metadata: Any) -> int:
    """Bytes of the largest dictionary, if no page asks for more room than a reader may give.

    Raises:
        InvalidInput: One does, or the headers make no sense.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        pages = largest = 0
        for group in range(metadata.num_row_groups):
            row_group = metadata.row_group(group)
            for column in range(row_group.num_columns):
                for kind, size in _pages(content, row_group.column(column)):
                    largest = max(largest, size if kind == _DICTIONARY else 0)
                    pages += 1
                    if pages > MAX_PAGES:
                        raise InvalidInput(
                            f"the Parquet file has more than {MAX_PAGES:,} pages; write it with larger ones"
                        )
    return largest


def _pages(content: mmap.mmap, column: Any) -> Iterator[tuple[int, int]]:
    """Kind and unpacked bytes of the pages of a column."""
    begins = [column.data_page_offset]
    if column.has_dictionary_page and column.dictionary_page_offset:
        begins.append(column.dictionary_page_offset)
    at, end = min(begins), min(begins) + column.total_compressed_size
    if at < 0 or column.total_compressed_size < 0 or end > len(content):
        raise _damaged()
    while at < end:
        try:
            header = _Header(content, at, end)
            fields = header.struct()
        except (IndexError, RecursionError):
            raise _damaged() from None
        packed, unpacked = fields.get(_PACKED, -1), fields.get(_UNPACKED, -1)
        if packed < 0 or unpacked < 0:
            raise _damaged()
        if unpacked > MAX_PAGE_BYTES:
            raise InvalidInput(
                f"a page of the Parquet file unfolds to {unpacked // 1_000_000:,} MB (limit "
                f"{MAX_PAGE_BYTES // 1_000_000} MB); write it with smaller pages"
            )
        at = header.at + packed
        yield fields.get(_KIND, -1), unpacked


def _damaged() -> InvalidInput:
    return InvalidInput(
        "the Parquet file's pages do not stand where it says, so it is damaged; write it again"
    )


class _Header:
    """Reads numbers of a struct in Thrift's compact form, and steps over all else."""

    def __init__(self, content: mmap.mmap, at: int, end: int) -> None:
        self.content = content
        self.at = at
        self.end = end

    def struct(self, depth: int = 0) -> dict[int, int]:
        """The struct's whole numbers by field."""
        if depth > _DEEPEST:
            raise IndexError
        fields: dict[int, int] = {}
        field = 0
        while (head := self._byte()) & 15:
            kind, step = head & 15, head >> 4
            field = field + step if step else self._signed()
            if kind in (_I16, _I32, _I64):
                fields[field] = self._signed()
            else:
                self._skip(kind, depth)
        return fields

    def _skip(self, kind: int, depth: int) -> None:
        if kind in (_TRUE, _FALSE):
            return
        if kind == _BYTE:
            self._move(1)
        elif kind in (_I16, _I32, _I64):
            self._number()
        elif kind == _DOUBLE:
            self._move(8)
        elif kind == _BINARY:
            self._move(self._number())
        elif kind == _STRUCT:
            self.struct(depth + 1)
        else:
            raise IndexError  # A page header holds no list, set or map.

    def _move(self, n: int) -> None:
        self.at += n
        if self.at > self.end:
            raise IndexError

    def _byte(self) -> int:
        if self.at >= self.end:
            raise IndexError
        self.at += 1
        return self.content[self.at - 1]

    def _number(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:  # noqa: PLR2004
                return value
            shift += 7
            if shift > 63:  # noqa: PLR2004
                raise IndexError

    def _signed(self) -> int:
        value = self._number()
        return (value >> 1) ^ -(value & 1)
