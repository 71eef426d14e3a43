"""Rows of a Parquet file, read a batch at a time after its stated sizes were counted."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from workbench.errors import InvalidInput
from workbench.items.reading.arrow import BATCH_ROWS, ArrowColumn, arrow_columns, arrow_rows, features_of
from workbench.items.reading.parquet_pages import check_pages
from workbench.items.reading.rows import Row, Table

MAX_FOOTER_BYTES = 16_000_000
MAX_ROWS = 50_000_000
MAX_ROW_GROUPS = 20_000
MAX_BYTES = 4_000_000_000
MAX_RATIO = 1000
_RATIO_FROM_BYTES = 200_000_000
_BATCH_BYTES = 16_000_000
_REPEATED_BYTES = 256_000_000
_FOOT = 8
# Arrow's own limit on the parts of a footer; one text or list in it is never longer than the footer.
_THRIFT = MAX_FOOTER_BYTES


def read_parquet(path: Path, *, leave: Collection[str] = ()) -> Table:
    """The file as a table.

    Nested values stay lists and objects and become metadata; dictionaries are looked up; decimals, dates
    and times become text; bytes are read as UTF-8.

    Raises:
        InvalidInput: It is damaged, encrypted, would unfold to too much, or has a column that cannot be
            kept; the message says which.
    """
    check_footer(path)
    with _opened(path) as file:
        schema, metadata = file.schema_arrow, file.metadata
        columns = arrow_columns(schema, features_of(schema), leave=leave)
        _check_sizes(path, metadata)
        rows_at_once = _rows_at_once(metadata, check_pages(path, metadata))
    return Table("parquet", [column.name for column in columns], _rows(path, columns, rows_at_once), [])


def check_footer(path: Path) -> None:
    """Nothing, if the file ends as a Parquet file does, with a footer of a size that can be read.

    Raises:
        InvalidInput: It is cut off, encrypted, or states an absurd footer.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - _FOOT))
        foot = file.read(_FOOT)
    if foot[4:] == b"PARE":
        raise InvalidInput("the Parquet file is encrypted; save it without encryption")
    length = int.from_bytes(foot[:4], "little")
    if foot[4:] != b"PAR1" or length > size - 12:
        raise InvalidInput("the Parquet file is damaged or cut off (its end is missing); send it again")
    if length > MAX_FOOTER_BYTES:
        raise InvalidInput(
            f"the Parquet file has a footer of {length // 1_000_000} MB (limit "
            f"{MAX_FOOTER_BYTES // 1_000_000}); write it with fewer row groups or columns"
        )


def _check_sizes(path: Path, metadata: Any) -> None:
    if not metadata.num_rows:
        raise InvalidInput("the Parquet file has no rows; choose one with at least one")
    if metadata.num_rows > MAX_ROWS or metadata.num_row_groups > MAX_ROW_GROUPS:
        raise InvalidInput(
            f"the Parquet file states {metadata.num_rows:,} rows in {metadata.num_row_groups:,} row groups "
            f"(limits {MAX_ROWS:,} and {MAX_ROW_GROUPS:,}); split it"
        )
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    if any(group.num_rows < 0 or group.total_byte_size < 0 for group in groups):
        raise InvalidInput("the Parquet file states negative sizes, so it is damaged; write it again")
    if sum(group.num_rows for group in groups) != metadata.num_rows:
        raise InvalidInput("the Parquet file's row groups do not add up to its rows; write it again")
    total = sum(group.total_byte_size for group in groups)
    packed = max(1, path.stat().st_size)
    if total > MAX_BYTES or (total > _RATIO_FROM_BYTES and total / packed > MAX_RATIO):
        raise InvalidInput(
            f"the Parquet file unfolds to {total // 1_000_000:,} MB, {total // packed:,} times its size "
            f"(limits {MAX_BYTES // 1_000_000:,} MB and {MAX_RATIO:,} times); split it"
        )


def _rows_at_once(metadata: Any, dictionary_bytes: int) -> int:
    """Rows whose values fit a batch: by the widest row group, and if each were a whole dictionary's size."""
    widest = max(
        metadata.row_group(i).total_byte_size / max(1, metadata.row_group(i).num_rows)
        for i in range(metadata.num_row_groups)
    )
    wanted = min(_BATCH_BYTES / max(1.0, widest), _REPEATED_BYTES / max(1, dictionary_bytes))
    return int(min(BATCH_ROWS, max(1, wanted)))


def _rows(path: Path, columns: list[ArrowColumn], rows_at_once: int) -> Iterator[Row]:
    with _opened(path) as file:
        names = [column.name for column in columns]
        yield from arrow_rows(
            file.iter_batches(batch_size=rows_at_once, columns=names, use_threads=False), columns
        )


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with pq.ParquetFile(
            path,
            buffer_size=1 << 18,
            thrift_string_size_limit=_THRIFT,
            thrift_container_size_limit=_THRIFT,
        ) as file:
            yield file
    except (pa.ArrowException, OSError, ValueError, KeyError, IndexError, OverflowError) as problem:
        raise InvalidInput(
            f"the Parquet file is damaged, or of a kind that cannot be read ({type(problem).__name__}); "
            "write it again"
        ) from None
    except MemoryError:
        raise InvalidInput(
            "the Parquet file needs more memory than there is to unfold one page; write it with smaller pages"
        ) from None
