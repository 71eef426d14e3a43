"""Anchors: number and hash of the last event, kept in a file outside the database.

A chain cannot tell that its newest events were cut off, or that all of it was written anew: that shows
only against something kept elsewhere. An anchor is written at each backup and each night.
"""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path

from workbench.activity.domain import Anchor, read_anchor
from workbench.errors import InvalidInput

FILE = "activity-anchors.jsonl"


def write_anchor(folder: Path, anchor: Anchor, *, at: datetime, why: str = "") -> Path:
    """Append an anchor to the file in this folder, durably; returns the file."""
    path = folder / FILE
    line = json.dumps({"anchor": str(anchor), "at": at.isoformat(), "why": why}) + "\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, line.encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return path


def read_anchors(folder: Path) -> list[Anchor]:
    """Every anchor in this folder's file, oldest first; none where there is no file.

    Raises:
        InvalidInput: The file holds something else; names the line.
    """
    path = folder / FILE
    if not path.exists():
        return []
    found = []
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        try:
            found.append(read_anchor(str(json.loads(line)["anchor"])))
        except (ValueError, KeyError, TypeError):
            if number == len(lines):
                break  # a power cut while the last line was written
            raise InvalidInput(
                f"line {number} of {path} is no anchor; take the file of your newest backup in its place"
            ) from None
    return found
