"""Rows of a folder that the `datasets` library saved (`save_to_disk`), packed as ZIP or TAR."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa

from workbench.errors import InvalidInput
from workbench.items.reading.archives import MAX_BYTES, Member, archive_members, unpack
from workbench.items.reading.arrow import ArrowColumn, arrow_columns, arrow_rows, features_of
from workbench.items.reading.rows import Row, Table
from workbench.items.reading.saved import SPLITS, STATE

INFO = "dataset_info.json"
_DOCUMENT_BYTES = 16_000_000
_BATCH_BYTES = 512_000_000
_PREFERRED = "train"


def read_dataset(path: Path, *, split: str = "", leave: Collection[str] = ()) -> Table:
    """One split of the saved dataset as a table; numbers of labels become the labels' names.

    Args:
        path: The packed folder; it is unpacked beside it, once.
        split: Which one, of several; "": the only one, else `train`, else the first.
        leave: Columns that are passed over.

    Raises:
        InvalidInput: It is damaged, too large, no saved dataset, or holds images, sound or video.
    """
    with archive_members(path) as members:
        found = _splits(members)
        if split and split not in found:
            raise InvalidInput(f'the dataset has no split "{split[:40]}"; it has {", ".join(found)}')
        chosen = split or (_PREFERRED if _PREFERRED in found else next(iter(found)))
        folder = found[chosen]
        features = _features(members, folder)
        files = _unpacked(members, _data_files(members, folder), path)
    notes = [f'The dataset has the splits {", ".join(found)}; read is "{chosen}".'] if len(found) > 1 else []
    schema = _schema(files)
    columns = arrow_columns(schema, features or features_of(schema), leave=leave)
    named = [name for name in found if name]
    return Table("datasets", [column.name for column in columns], _rows(files, columns, schema), notes, named)


def _splits(members: Mapping[str, Member]) -> dict[str, str]:
    """Folders of the splits by name; a dataset without splits has one, named ""."""
    tops = [name for name in members if PurePosixPath(name).name == SPLITS]
    if tops:
        top = min(tops, key=len)
        names = _document(members[top]).get("splits")
        root = top.removesuffix(SPLITS)
        if isinstance(names, list) and names and all(isinstance(one, str) for one in names):
            missing = next((one for one in names if f"{root}{one}/{STATE}" not in members), None)
            if missing is None:
                return {one: f"{root}{one}/" for one in names}
        raise InvalidInput(f"the dataset's {SPLITS} names splits whose folders are not there; save it again")
    alone = [name for name in members if PurePosixPath(name).name == STATE]
    if len(alone) != 1:
        raise InvalidInput(
            "the archive is no single dataset: pack the one folder that `save_to_disk` wrote, as .zip or .tar"
        )
    return {"": alone[0].removesuffix(STATE)}


def _document(member: Member) -> dict[str, Any]:
    if member.size > _DOCUMENT_BYTES:
        raise InvalidInput(f"the dataset's {PurePosixPath(member.name).name} is too large to be honest")
    with member.open() as file:
        raw = file.read(_DOCUMENT_BYTES)
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise InvalidInput(
            f"the dataset's {PurePosixPath(member.name).name} is no JSON object; save it again"
        )
    return document


def _features(members: Mapping[str, Member], folder: str) -> dict[str, Any]:
    info = members.get(folder + INFO)
    features = _document(info).get("features") if info else None
    return features if isinstance(features, dict) else {}


def _data_files(members: Mapping[str, Member], folder: str) -> list[str]:
    state = _document(members[folder + STATE])
    if state.get("_indices_files"):
        raise InvalidInput("the dataset was saved by an old version with a selection of rows; save it again")
    files = state.get("_data_files")
    names = [one.get("filename") if isinstance(one, dict) else None for one in files or []]
    wanted = [f"{folder}{name}" for name in names if isinstance(name, str)]
    if not wanted or len(wanted) < len(names) or any(name not in members for name in wanted):
        raise InvalidInput(
            f"the dataset's {STATE} names data files that are not in the archive; pack all of it"
        )
    return wanted


def _unpacked(members: Mapping[str, Member], names: list[str], path: Path) -> list[Path]:
    """The data files, under names of ours; unpacked once, however often they are read."""
    # By place in the archive: the same upload is read again with another split.
    order = {name: i for i, name in enumerate(sorted(members))}
    folder = path.with_name("unpacked")
    folder.mkdir(exist_ok=True)
    files = []
    left = MAX_BYTES
    for name in names:
        target = folder / f"{order[name]:05d}.arrow"
        if not target.exists():
            part = target.with_suffix(".part")
            try:
                left -= unpack(members[name], part, limit=left)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
            part.replace(target)
        files.append(target)
    return files


@contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except MemoryError:
        raise InvalidInput("the dataset needs more memory than there is; save it in smaller parts") from None
    except (pa.ArrowException, OSError, ValueError, KeyError, IndexError, OverflowError) as problem:
        raise InvalidInput(
            f"the dataset's data cannot be read as Arrow ({type(problem).__name__}); save it again"
        ) from None


def _schema(files: list[Path]) -> pa.Schema:
    with _reading(), pa.memory_map(str(files[0])) as source, pa.ipc.open_stream(source) as reader:
        return reader.schema


def _rows(files: list[Path], columns: list[ArrowColumn], schema: pa.Schema) -> Iterator[Row]:
    with _reading():
        yield from arrow_rows(_batches(files, [column.name for column in columns], schema), columns)


def _batches(files: list[Path], names: list[str], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for file in files:
        with pa.memory_map(str(file)) as source, pa.ipc.open_stream(source) as reader:
            if not reader.schema.equals(schema):
                raise InvalidInput("the dataset's data files do not have the same columns; save it again")
            for batch in reader:
                if batch.nbytes > _BATCH_BYTES:
                    raise InvalidInput(
                        f"a batch of the dataset holds {batch.nbytes // 1_000_000:,} MB (limit "
                        f"{_BATCH_BYTES // 1_000_000} MB); save it with a smaller writer_batch_size"
                    )
                yield batch.select(names)
