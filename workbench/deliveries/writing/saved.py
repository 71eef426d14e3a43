"""Rows as a folder that `datasets.load_from_disk` opens, packed as ZIP; labels are a ClassLabel."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from workbench.deliveries.domain import COLUMNS
from workbench.deliveries.writing.context import Screen
from workbench.deliveries.writing.parquet import SCHEMA, write_parquet

FOLDER = "labels"
_DATA = "data-00000-of-00001.arrow"
# ZIP keeps a time for each member; one and the same makes equal labels equal files.
_NO_TIME = (1980, 1, 1, 0, 0, 0)


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]], screen: Screen) -> None:
    """One file of these rows, whose labels are still texts."""
    write_parquet(path, rows, screen)


def join_dataset(pieces: Sequence[Path], target: Path, screen: Screen) -> None:
    """The pieces as one saved dataset: unpacked, `datasets.load_from_disk("labels")` opens it."""
    names = _label_names(pieces, screen)
    features = _features(names)
    schema = _schema(features)
    data = target.with_name(_DATA)
    with pa.OSFile(str(data), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
        for table in _tables(pieces, schema, names):
            writer.write_table(table)
    with data.open("rb") as file:
        fingerprint = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        _add(packed, "dataset_info.json", json.dumps(_info(features), indent=2, ensure_ascii=False).encode())
        _add(packed, "state.json", json.dumps(_state(fingerprint), indent=2).encode())
        with packed.open(_member(_DATA), "w", force_zip64=True) as member, data.open("rb") as file:
            while block := file.read(1 << 20):
                member.write(block)
    data.unlink()


def _label_names(pieces: Sequence[Path], screen: Screen) -> list[str]:
    """The project's labels in their order, then any that items carry and the project no longer has."""
    seen: dict[str, None] = dict.fromkeys(screen.labels)
    for piece in pieces:
        seen |= dict.fromkeys(pc.unique(pq.read_table(piece, columns=["label"])["label"]).to_pylist())
    return list(seen)


def _tables(pieces: Sequence[Path], schema: pa.Schema, names: list[str]) -> Iterator[pa.Table]:
    known = pa.array(names, pa.string())
    place = schema.get_field_index("label")
    for piece in pieces:
        table = pq.read_table(piece, schema=SCHEMA)
        numbers = pc.index_in(table["label"], value_set=known).cast(pa.int64())
        yield table.set_column(place, schema.field(place), numbers).cast(schema)


def _features(names: list[str]) -> dict[str, Any]:
    features: dict[str, Any] = {column.name: _feature(SCHEMA.field(column.name).type) for column in COLUMNS}
    return features | {"label": {"names": names, "_type": "ClassLabel"}}


def _feature(kind: Any) -> Any:
    if pa.types.is_list(kind):
        return {"feature": _feature(kind.value_type), "_type": "List"}
    if pa.types.is_struct(kind):
        return {kind.field(i).name: _feature(kind.field(i).type) for i in range(kind.num_fields)}
    return {"dtype": "float64" if kind == pa.float64() else str(kind), "_type": "Value"}


def _schema(features: dict[str, Any]) -> pa.Schema:
    fields = [
        pa.field(column.name, pa.int64() if column.name == "label" else SCHEMA.field(column.name).type)
        for column in COLUMNS
    ]
    return pa.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": features}})})


def _info(features: dict[str, Any]) -> dict[str, Any]:
    meanings = "\n".join(f"{column.name}: {column.meaning}" for column in COLUMNS)
    return {"citation": "", "description": meanings, "features": features, "homepage": "", "license": ""}


def _state(fingerprint: str) -> dict[str, Any]:
    return {
        "_data_files": [{"filename": _DATA}],
        "_fingerprint": fingerprint,
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": None,
    }


def _member(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(f"{FOLDER}/{name}", _NO_TIME)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    return info


def _add(packed: zipfile.ZipFile, name: str, content: bytes) -> None:
    packed.writestr(_member(name), content)
