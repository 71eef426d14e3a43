"""What an export holds: its formats, its columns and what each means."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Format(StrEnum):
    """How an export is written."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"
    DATASETS = "datasets"
    LABEL_STUDIO = "ls-json"

    @property
    def ending(self) -> str:
        """How the labels' file name ends."""
        return {Format.DATASETS: "zip", Format.LABEL_STUDIO: "json"}.get(self, self.value)

    @property
    def words(self) -> str:
        """The format as people call it."""
        return _TITLES[self]


_TITLES = {
    Format.JSONL: "JSON Lines",
    Format.CSV: "CSV",
    Format.PARQUET: "Parquet",
    Format.DATASETS: "Hugging Face dataset",
    Format.LABEL_STUDIO: "Label Studio JSON",
}


class DeliveryState(StrEnum):
    """How far an export is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"


@dataclass(frozen=True)
class Column:
    """One column: its name, what it holds in which unit, and whether CSV has it."""

    name: str
    meaning: str
    in_csv: bool = True


COLUMNS = (
    Column("external_id", "The owner's id of the item; a hash of its content where none was given."),
    Column("item_id", "The workbench's own id of the item."),
    Column("text", "What was labeled; several text parts are set apart by an empty line."),
    Column("label", "The final label at the time of the export."),
    Column("source", "`machine`: accepted without people; `people`: from their answers."),
    Column("method", "How the label came about: accepted, one answer, majority, adjudication."),
    Column("annotations", "Number of people's answers the label rests on."),
    Column("share", "Share of those answers that gave this label, 0 to 1."),
    Column("confidence", "The model's confidence in an accepted label, 0 to 1; else empty."),
    Column("model_name", "The model whose prediction was at hand; empty where there was none."),
    Column("model_version", "Its version."),
    Column("policy_version", "Version of the routing policy that decided on the item."),
    Column("guideline_version", "Version of the guideline people worked by."),
    Column("rule", "The rule of that policy that accepted the item; empty for labels by people."),
    Column("reason", "One sentence: why the item has this label."),
    Column("resolved_at", "When it got the label, UTC, ISO 8601."),
    Column(
        "cost",
        "What was booked on the item when the export was written, people and machine: the sum of its "
        "lines in the ledger, as an exact decimal.",
    ),
    Column("currency", "Currency of `cost`, ISO 4217."),
    Column("language", "Language of the item."),
    Column("region", "Region of the item."),
    Column("metadata", "All other columns of the imported file, as a JSON object."),
    Column(
        "answers",
        "People's answers behind a label by people: annotator (opaque id), label, lead_time_s (seconds as "
        "Label Studio measured), at (UTC), counted (false: given beyond the number wanted).",
        in_csv=False,
    ),
)
SEALED = (
    {
        "what": "why an item was shown to people (ordinary work, audit, blind)",
        "why": "the random draws stay sealed, so that nobody can work differently on checked items",
    },
    {
        "what": "`rule` of labels by people, and people's answers to items that kept the machine's label",
        "why": "both would tell which items were drawn for a check",
    },
)


def columns_of(form: Format) -> list[Column]:
    """The columns that a format has."""
    return [column for column in COLUMNS if column.in_csv or form is not Format.CSV]


def digest(document: Mapping[str, Any]) -> str:
    """SHA-256 of a JSON document, the same whatever the order of its keys."""
    return hashlib.sha256(
        json.dumps(document, sort_keys=True, ensure_ascii=False, default=str).encode()
    ).hexdigest()


def left_out(form: Format, states: Mapping[str, int], rows: int) -> list[dict[str, Any]]:
    """What the export does not hold, and why."""
    without = sum(states.values()) - rows
    told: list[dict[str, Any]] = [
        {
            "what": "items without a final label",
            "items": without,
            "why": "they are still on their way, or got their label after the export began",
        },
        *SEALED,
    ]
    missing = [column.name for column in COLUMNS if not column.in_csv]
    if form is Format.CSV:
        told.append({"what": ", ".join(missing), "why": "CSV holds no lists; take JSONL or Parquet"})
    return told


def joined_text(parts: Sequence[str]) -> str:
    """The text parts of an item as one text."""
    return "\n\n".join(parts)
