"""A file of any known format as a table, what its columns seem to mean, and a first look at it."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Self

from workbench.errors import InvalidInput
from workbench.items.reading.archives import archive_members
from workbench.items.reading.csv import read_csv
from workbench.items.reading.jsonl import read_jsonl
from workbench.items.reading.rows import Row, Table
from workbench.items.reading.saved import looks_like_dataset
from workbench.items.reading.xlsx import read_xlsx

PREVIEW_ROWS = 20
_GUESS_ROWS = 200
_HEAD = 4096
_UNPACK = "unpack it and upload the file with the rows"
_WHOLE_FOLDER = "upload Parquet, or the whole folder of a saved dataset as .zip or .tar"
_FOREIGN = (
    (b"%PDF", "a PDF", "upload CSV, JSON Lines, XLSX or Parquet"),
    (b"\x1f\x8b", "a gzip archive", _UNPACK),
    (b"BZh", "a bzip2 archive", _UNPACK),
    (b"\xfd7zXZ", "an xz archive", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", _UNPACK),
    (b"7z\xbc\xaf", "a 7z archive", _UNPACK),
    (b"Rar!", "a RAR archive", _UNPACK),
    (b"PARE", "an encrypted Parquet file", "save it without encryption"),
    (b"ARROW1", "an Arrow file", _WHOLE_FOLDER),
    (b"\xff\xff\xff\xff", "an Arrow file", _WHOLE_FOLDER),
    (b"SQLite format 3", "a database", "upload CSV, JSON Lines, XLSX or Parquet"),
)
_NAMES: dict[str, tuple[str, ...]] = {
    "text": (
        "text", "comment", "content", "body", "message", "review", "sentence", "tweet", "post", "utterance",
        "description", "document", "文本", "内容", "评论", "正文", "texto", "texte", "kommentar",
        "comentario",
    ),
    "external_id": (
        "id", "external_id", "item_id", "externalid", "itemid", "uuid", "key", "doc_id", "text_id", "编号",
        "序号", "identifier", "record_id", "nr", "nummer", "no", "number",
    ),
    "language": ("language", "lang", "locale", "语言", "sprache", "idioma", "langue"),
    "region": ("region", "country", "market", "地区", "国家", "land", "pais"),
    "sensitivity": ("sensitivity", "sensitive", "敏感"),
    "reference": ("reference", "reference_label", "gold", "gold_label", "truth", "ground_truth", "参考标签"),
}  # fmt: skip


MEANINGS = {
    "text": "Text to be labeled",
    "external_id": "Your id",
    "language": "Language",
    "region": "Region",
    "sensitivity": "Sensitivity",
    "reference": "Known label (for reports alone)",
}


@dataclass(frozen=True)
class ColumnMapping:
    """Which column means what; "" where none does. All others become metadata.

    Attributes:
        text: What is labeled.
        external_id: Names the item for its owner; none: a hash of the content does.
        language: Language of the item.
        region: Region it comes from.
        sensitivity: How carefully it must be shown.
        reference: A label known from elsewhere, used for reports alone.
        left_out: Columns that are not kept at all; Parquet and saved datasets never read them.
        split: Which part of a dataset with several; "": the only one, else `train`, else the first.
    """

    text: str
    external_id: str = ""
    language: str = ""
    region: str = ""
    sensitivity: str = ""
    reference: str = ""
    left_out: list[str] = field(default_factory=list)
    split: str = ""

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """The mapping of a JSON object.

        Raises:
            InvalidInput: It has other keys, or names no text column.
        """
        unknown = sorted(given.keys() - cls.__dataclass_fields__.keys())
        if unknown:
            raise InvalidInput(
                f"a column mapping has no {', '.join(unknown)}; use {', '.join(cls.__dataclass_fields__)}"
            )
        if not given.get("text"):
            raise InvalidInput("say which column holds the text")
        return cls(**given)

    def document(self) -> dict[str, Any]:
        """The mapping as a JSON object."""
        return asdict(self)

    def named(self) -> list[str]:
        """Columns with a meaning, in the order of the fields."""
        values = (self.text, self.external_id, self.language, self.region, self.sensitivity, self.reference)
        return [value for value in values if value]


@dataclass(frozen=True)
class Preview:
    """A first look at a file: columns, first rows, what they seem to mean, notes, splits there are."""

    format: str
    columns: list[str]
    rows: list[Row]
    mapping: ColumnMapping
    notes: list[str]
    splits: list[str] = field(default_factory=list)


def file_format(path: Path, file_name: str) -> str:
    """`csv`, `jsonl`, `xlsx`, `parquet` or `datasets`, by what the file holds rather than by its name.

    Raises:
        InvalidInput: It is of a kind that cannot be read; the message says what to save it as.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if head.startswith(b"PK\x03\x04"):
        return _kind_of_zip(path)
    if head.startswith(b"PAR1"):
        return "parquet"
    if head[257:262] == b"ustar":
        return _kind_of_archive(path)
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        raise InvalidInput(
            "this is an old .xls or a password-protected workbook; save it as .xlsx without one"
        )
    for mark, name, advice in _FOREIGN:
        if head.startswith(mark):
            raise InvalidInput(f"this is {name}; {advice}")
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n\x00\xff\xfe").replace(b"\x00", b"")[:2]
    named_json = file_name.lower().endswith((".jsonl", ".ndjson", ".json"))
    if named_json or start[:1] == b"{" or re.fullmatch(rb"\[\s*[{\]]?", start):
        return "jsonl"
    return "csv"


def _kind_of_zip(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as packed:
            if "xl/workbook.xml" in packed.namelist():
                return "xlsx"
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return "xlsx"  # Its reader says what is wrong.
    return _kind_of_archive(path)


def _kind_of_archive(path: Path) -> str:
    with archive_members(path) as members:
        if looks_like_dataset(members):
            return "datasets"
    raise InvalidInput(
        "the archive holds no dataset that `save_to_disk` wrote; unpack it and upload the file with the rows"
    )


def open_table(path: Path, file_name: str, *, split: str = "", leave: Collection[str] = ()) -> Table:
    """The file's rows, whatever its format.

    Args:
        path: The file.
        file_name: As the user calls it.
        split: Which part of a dataset with several.
        leave: Columns that need not be read.

    Raises:
        InvalidInput: It cannot be read; the message says why and what to do.
    """
    kind = file_format(path, file_name)
    if kind in {"parquet", "datasets"}:
        # Arrow takes 60 MB of memory, which only these two need.
        from workbench.items.reading.datasets import read_dataset  # noqa: PLC0415
        from workbench.items.reading.parquet import read_parquet  # noqa: PLC0415

        if kind == "parquet":
            return read_parquet(path, leave=leave)
        return read_dataset(path, split=split, leave=leave)
    readers = {"csv": read_csv, "jsonl": read_jsonl, "xlsx": read_xlsx}
    return readers[kind](path)


def preview(path: Path, file_name: str, *, split: str = "") -> Preview:
    """A first look at the file, with a guess what its columns mean.

    Raises:
        InvalidInput: It cannot be read, or has no row.
    """
    table = open_table(path, file_name, split=split)
    rows = list(islice(table.rows, _GUESS_ROWS))
    good = [row.values for row in rows if not row.problem]
    if not good:
        why = f": line {rows[0].line} {rows[0].problem}" if rows else ""
        raise InvalidInput(f"the file has a header but no row that can be read{why}")
    mapping = guess_mapping(table.columns, good)
    return Preview(table.format, table.columns, rows[:PREVIEW_ROWS], mapping, table.notes, table.splits)


def guess_mapping(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> ColumnMapping:
    """What the columns seem to mean: by their names, the text else by its length.

    >>> guess_mapping(["ID", "Comment"], [{"ID": "1", "Comment": "fine"}]).text
    'Comment'
    """
    plain = {column: re.sub(r"[\s\-.]+", "_", column.strip().casefold()) for column in columns}
    found: dict[str, str] = {}
    for meaning, names in _NAMES.items():
        for name in names:
            match = next((c for c in columns if plain[c] == name and c not in found.values()), "")
            if match:
                found[meaning] = match
                break
    taken = {column for meaning, column in found.items() if meaning != "text"}
    if "text" not in found:
        found["text"] = max(
            (column for column in columns if column not in taken),
            key=lambda column: sum(len(str(row.get(column, ""))) for row in rows),
            default=columns[0],
        )
        found = {
            meaning: column
            for meaning, column in found.items()
            if meaning == "text" or column != found["text"]
        }
    if "external_id" in found and not _distinct(found["external_id"], rows):
        del found["external_id"]
    return ColumnMapping.of(found)


def _distinct(column: str, rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a column can name rows: filled, and nearly never twice the same."""
    values = [str(row[column]) for row in rows if column in row]
    return len(values) >= 0.9 * len(rows) and len(set(values)) >= 0.9 * len(values)
