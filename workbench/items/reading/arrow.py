"""Rows of Arrow batches, which Parquet files and saved datasets both give."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow as pa

from workbench.errors import InvalidInput
from workbench.items.reading.rows import Row

MAX_COLUMNS = 1000
BATCH_ROWS = 1000
_DEEPEST = 20
_RAW_CHARACTERS = 2000
_FEATURES = b"huggingface"
_FILES = {"Image": "images", "Audio": "sound", "Video": "video", "Pdf": "PDF pages", "Nifti": "scans"}


class _Unusable(str):
    """Stands for a value that cannot be kept; says why."""

    __slots__ = ()


@dataclass(frozen=True)
class ArrowColumn:
    """A column that is read: its name, and its labels where it holds numbers of labels."""

    name: str
    labels: tuple[str, ...] = ()


def arrow_columns(
    schema: pa.Schema, features: Mapping[str, Any], *, leave: Collection[str] = ()
) -> list[ArrowColumn]:
    """The columns that are read.

    Args:
        schema: The file's.
        features: What the `datasets` library says of its columns; empty where it did not write the file.
        leave: Columns that are passed over.

    Raises:
        InvalidInput: A column holds what cannot be kept; the message names it.
    """
    names = [field.name for field in schema]
    if not names:
        raise InvalidInput("the file has no columns; choose one with a column of texts")
    if len(names) > MAX_COLUMNS:
        raise InvalidInput(f"the file has {len(names):,} columns (limit {MAX_COLUMNS:,}); leave some out")
    twice = next((name for name in names if names.count(name) > 1), "")
    if twice:
        raise InvalidInput(f'two columns are named "{twice}"; rename one of them')
    columns = []
    for field in schema:
        if field.name in leave:
            continue
        if not field.name.strip() or not field.name.isprintable():
            raise InvalidInput(f"a column has no name that can be shown ({field.name!a}); rename it")
        labels, problem = _feature(features.get(field.name))
        problem = problem or _why_not(field.type)
        if problem:
            raise InvalidInput(
                f'column "{field.name}" holds {problem}; remove it from the file and try again'
            )
        columns.append(ArrowColumn(field.name, labels))
    return columns


def features_of(schema: pa.Schema) -> Mapping[str, Any]:
    """What the `datasets` library wrote into a schema about its columns; empty where nothing."""
    try:
        document = json.loads((schema.metadata or {}).get(_FEATURES, b"{}"))
        features = document["info"]["features"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return features if isinstance(features, dict) else {}


def arrow_rows(batches: Iterable[pa.RecordBatch], columns: Sequence[ArrowColumn]) -> Iterator[Row]:
    """The rows of these batches, numbered from 1; times, decimals and bytes as text."""
    number = 0
    names = [column.name for column in columns]
    for whole in batches:
        # Nothing in the file is believed: offsets that lead out of a buffer would be read as they stand.
        whole.validate(full=True)
        for start in range(0, whole.num_rows, BATCH_ROWS):
            batch = whole.slice(start, BATCH_ROWS)
            values = [_values(batch.column(column.name), column.labels) for column in columns]
            for row in zip(*values, strict=True):
                number += 1
                yield _row(number, names, row)


def _row(number: int, names: Sequence[str], cells: Sequence[Any]) -> Row:
    values = {name: cell for name, cell in zip(names, cells, strict=True) if cell is not None}
    for name, cell in values.items():
        if isinstance(cell, _Unusable):
            kept = {one: value for one, value in values.items() if not isinstance(value, _Unusable)}
            shown = json.dumps(kept, ensure_ascii=False)[:_RAW_CHARACTERS]
            return Row(number, {}, f'{cell} in "{name}"', shown)
    return Row(number, values)


def _values(array: Any, labels: tuple[str, ...]) -> list[Any]:
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        return _values(array.storage, labels)
    if pa.types.is_dictionary(kind):
        # A dictionary may be far larger than the rows at hand.
        used = array.indices.unique().drop_null()
        known: dict[Any, Any] = dict(
            zip(used.to_pylist(), _values(array.dictionary.take(used), ()), strict=True)
        )
        return [known.get(i) for i in array.indices.to_pylist()]
    if labels:
        return [_label(value, labels) for value in array.to_pylist()]
    if pa.types.is_timestamp(kind):
        array = array.cast(pa.timestamp("us", "UTC" if kind.tz else None), safe=False)
    elif pa.types.is_time64(kind):
        array = array.cast(pa.time64("us"), safe=False)
    elif pa.types.is_string_view(kind) or pa.types.is_large_string(kind):
        array = array.cast(pa.large_string())
    elif pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        plain: list[Any] = array.to_pylist()
        return plain
    try:
        values = array.to_pylist()
    except (ValueError, OverflowError):
        # One value no calendar has must not take the others with it.
        values = [_single(one) for one in array]
    return [_plain(value) for value in values]


def _single(scalar: Any) -> Any:
    try:
        return scalar.as_py()
    except (ValueError, OverflowError):
        return _Unusable("holds a time that no calendar has")


def _label(value: Any, labels: tuple[str, ...]) -> Any:
    # The library writes -1 where an item has no label.
    if value is None or value == -1:
        return None
    if not isinstance(value, int) or not 0 <= value < len(labels):
        return _Unusable(f"has the label number {value}, which the dataset does not name,")
    return labels[value]


def _plain(value: Any) -> Any:
    """A value as JSON; None for what counts as empty."""
    if isinstance(value, _Unusable):
        return value
    if isinstance(value, str):
        if "\x00" in value:
            return _Unusable("holds a NUL character")
        return value if value and not value.isspace() else None
    convert = _CONVERT.get(type(value))
    if convert is not None:
        return convert(value)
    return value


def _float(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _bytes(value: bytes) -> Any:
    try:
        return _plain(value.decode("utf-8"))
    except UnicodeDecodeError:
        return _Unusable("holds bytes that are no UTF-8 text")


def _list(value: list[Any]) -> Any:
    # A map comes as pairs.
    plain = [_plain(list(one) if isinstance(one, tuple) else one) for one in value]
    return next((one for one in plain if isinstance(one, _Unusable)), plain or None)


def _dict(value: dict[str, Any]) -> Any:
    plain = {str(name): _plain(one) for name, one in value.items()}
    wrong = next((one for one in plain.values() if isinstance(one, _Unusable)), None)
    return wrong or ({name: one for name, one in plain.items() if one is not None} or None)


def _decimal(value: Decimal) -> str | None:
    return format(value, "f") if value.is_finite() else None


_CONVERT: dict[type, Callable[[Any], Any]] = {
    float: _float,
    bytes: _bytes,
    list: _list,
    dict: _dict,
    Decimal: _decimal,
    dt.datetime: dt.datetime.isoformat,
    dt.date: dt.date.isoformat,
    dt.time: dt.time.isoformat,
    dt.timedelta: lambda value: value.total_seconds(),
}


def _feature(feature: Any) -> tuple[tuple[str, ...], str]:
    """The labels of a feature, and why it cannot be read."""
    if not isinstance(feature, dict):
        return (), ""
    kind = feature.get("_type")
    if kind in _FILES:
        return (), f"{_FILES[kind]}, and only text can be labeled here"
    names = feature.get("names")
    if kind == "ClassLabel" and isinstance(names, list) and all(isinstance(name, str) for name in names):
        return tuple(names), ""
    return (), ""


def _why_not(kind: Any, depth: int = 0) -> str:
    """Why values of this type cannot be kept, or ""."""
    if depth > _DEEPEST:
        return f"values nested deeper than {_DEEPEST} levels"
    inside = _inside(kind)
    if inside:
        return next((why for why in (_why_not(one, depth + 1) for one in inside) if why), "")
    if depth and any(test(kind) for test in _TIMES) and kind.unit == "ns":
        return "nanoseconds inside lists or objects"
    return "" if any(test(kind) for test in _READ) else f"values of type {kind}"


def _inside(kind: Any) -> list[Any]:
    """The types a type is made of; none for a plain one."""
    types = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        return [kind.storage_type]
    if types.is_map(kind):
        return [kind.key_type, kind.item_type]
    if types.is_struct(kind):
        return [kind.field(i).type for i in range(kind.num_fields)]
    listed = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    return [kind.value_type] if listed or types.is_dictionary(kind) else []


_TIMES = (pa.types.is_timestamp, pa.types.is_time, pa.types.is_duration)
_READ = (
    pa.types.is_null,
    pa.types.is_boolean,
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_decimal,
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_string_view,
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_fixed_size_binary,
    pa.types.is_date,
    pa.types.is_timestamp,
    pa.types.is_time,
    pa.types.is_duration,
)
