"""Rows as tasks for Label Studio's own import: the label as annotation, the machine's as prediction too."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from integrations.label_studio.convert import to_result
from integrations.label_studio.errors import LabelConfigInvalid
from integrations.label_studio.label_config import LabelConfig, parse
from workbench.deliveries.writing.context import Screen

_BLOCK = 1 << 20
# What a task shows or is found by stands in `data`; the rest, where annotators do not see it, in `meta`.
_IN_META = (
    "source", "method", "annotations", "share", "confidence", "model_name", "model_version",
    "policy_version", "guideline_version", "rule", "reason", "resolved_at", "cost", "currency", "language",
    "region", "metadata", "answers",
)  # fmt: skip


def write_tasks(path: Path, rows: Sequence[Mapping[str, Any]], screen: Screen) -> None:
    """One task a line, each with a comma before it.

    Raises:
        LabelConfigInvalid: The project's label config has no control for its labels.
    """
    config = parse(screen.label_config)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(",\n")
            file.write(json.dumps(_task(row, screen, config), ensure_ascii=False, default=_json))


def join_tasks(pieces: Sequence[Path], target: Path, screen: Screen) -> None:  # noqa: ARG001 - every format's form
    """The pieces as one JSON array."""
    with target.open("wb") as file:
        file.write(b"[")
        for n, piece in enumerate(pieces):
            with piece.open("rb") as source:
                if n == 0:
                    source.read(1)  # the comma before the first task
                shutil.copyfileobj(source, file, _BLOCK)
        file.write(b"\n]\n")


def _task(row: Mapping[str, Any], screen: Screen, config: LabelConfig) -> dict[str, Any]:
    data = {screen.text_field: row["text"], "external_id": row["external_id"], "wb_item_id": row["item_id"]}
    task: dict[str, Any] = {
        "data": data,
        "meta": {name: row[name] for name in _IN_META if row[name] not in (None, "", [], {})},
        "annotations": [
            {
                "result": _result(config, row["label"], None),
                # Not told so, Label Studio takes whatever is imported for ground truth.
                "ground_truth": False,
                "was_cancelled": False,
            }
        ],
    }
    if row["source"] == "machine" and row["confidence"] is not None:
        task["predictions"] = [
            {
                "model_version": f"{row['model_name'] or 'model'}@{row['model_version'] or 0}",
                "score": row["confidence"],
                "result": _result(config, row["label"], row["confidence"]),
            }
        ]
    return task


def _result(config: LabelConfig, label: str, confidence: float | None) -> list[dict[str, Any]]:
    try:
        return list(to_result(config, [label], confidence))
    except LabelConfigInvalid:
        control = config.choices()
        if control is None:
            raise
        # A label that the screen no longer offers is still what was decided.
        value = {"choices": [label]}
        return [{"from_name": control.name, "to_name": control.to_name[0], "type": "choices", "value": value}]


def _json(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
