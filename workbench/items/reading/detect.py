"""A file of any known format as a table, what its columns seem to mean, and a first look at it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Self

from workbench.errors import InvalidInput
from workbench.items.reading.csv import read_csv
from workbench.items.reading.jsonl import read_jsonl
from workbench.items.reading.rows import Row, Table
from workbench.items.reading.xlsx import read_xlsx

PREVIEW_ROWS = 20
_GUESS_ROWS = 200
_HEAD = 4096
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
        left_out: Columns that are not kept at all.
    """

    text: str
    external_id: str = ""
    language: str = ""
    region: str = ""
    sensitivity: str = ""
    reference: str = ""
    left_out: list[str] = field(default_factory=list)

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
    """A first look at a file: its columns, its first rows, what they seem to mean, and notes."""

    format: str
    columns: list[str]
    rows: list[Row]
    mapping: ColumnMapping
    notes: list[str]


def file_format(path: Path, file_name: str) -> str:
    """`csv`, `jsonl` or `xlsx`, by what the file holds rather than by its name.

    Raises:
        InvalidInput: It is of a kind that cannot be read; the message says what to save it as.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if head.startswith(b"PK\x03\x04"):
        return "xlsx"
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        raise InvalidInput(
            "this is an old .xls or a password-protected workbook; save it as .xlsx without one"
        )
    for mark, name in ((b"%PDF", "a PDF"), (b"\x1f\x8b", "a gzip archive"), (b"PAR1", "a Parquet file")):
        if head.startswith(mark):
            raise InvalidInput(f"this is {name}; upload CSV, JSON Lines or XLSX")
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n\x00\xff\xfe").replace(b"\x00", b"")[:2]
    named_json = file_name.lower().endswith((".jsonl", ".ndjson", ".json"))
    if named_json or start[:1] == b"{" or re.fullmatch(rb"\[\s*[{\]]?", start):
        return "jsonl"
    return "csv"


def open_table(path: Path, file_name: str) -> Table:
    """The file's rows, whatever its format.

    Raises:
        InvalidInput: It cannot be read; the message says why and what to do.
    """
    readers = {"csv": read_csv, "jsonl": read_jsonl, "xlsx": read_xlsx}
    return readers[file_format(path, file_name)](path)


def preview(path: Path, file_name: str) -> Preview:
    """A first look at the file, with a guess what its columns mean.

    Raises:
        InvalidInput: It cannot be read, or has no row.
    """
    table = open_table(path, file_name)
    rows = list(islice(table.rows, _GUESS_ROWS))
    good = [row.values for row in rows if not row.problem]
    if not good:
        why = f": line {rows[0].line} {rows[0].problem}" if rows else ""
        raise InvalidInput(f"the file has a header but no row that can be read{why}")
    mapping = guess_mapping(table.columns, good)
    return Preview(table.format, table.columns, rows[:PREVIEW_ROWS], mapping, table.notes)


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
