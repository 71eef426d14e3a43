"""Whether an export's files are those that left: every digest computed again."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Protocol

from workbench.errors import NotFound

CORRECTIONS = "corrections.jsonl"
MANIFEST, SUMS = "manifest.json", "SHA256SUMS"


class DeliveryOf(Protocol):
    """A delivery's row."""

    public_id: str
    state: str
    path: str
    rows: int
    sha256: str
    manifest: dict[str, Any]


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify_folder(folder: Path) -> list[str]:
    """What is wrong with the files of an export, judged by the manifest and sums beside them.

    Raises:
        NotFound: There is no manifest.
    """
    manifest = _manifest(folder)
    problems = []
    for entry in manifest["files"]:
        path = folder / Path(entry["name"]).name
        if not path.is_file():
            problems.append(f"{path.name} is missing")
        elif path.stat().st_size != entry["bytes"] or sha256_of(path) != entry["sha256"]:
            problems.append(f"{path.name} is not the file that was made: its SHA-256 is {sha256_of(path)}")
    return problems + _sum_problems(folder)


def verify_delivery(row: DeliveryOf) -> list[str]:
    """What is wrong with a finished export, judged by what the database says of it.

    Raises:
        NotFound: Its folder or manifest is gone, or it is not finished.
    """
    if not row.path:
        raise NotFound(f"export {row.public_id} is not finished, so there is nothing to verify yet")
    folder = Path(row.path).parent
    problems = verify_folder(folder)
    if _manifest(folder) != row.manifest:
        problems.append(f"{MANIFEST} is not the one the database knows")
    if row.manifest["files"][0]["sha256"] != row.sha256 or row.manifest["rows"] != row.rows:
        problems.append("the database's own digest or count of rows does not match its manifest")
    return problems


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not path.is_file():
        raise NotFound(f"there is no {MANIFEST} in {folder}; verify the whole folder of an export")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        named = [(one["name"], one["bytes"], one["sha256"]) for one in document["files"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise NotFound(f"{path} is no manifest of an export") from None
    if not named:
        raise NotFound(f"{path} names no files")
    result: dict[str, Any] = document
    return result


def _sum_problems(folder: Path) -> list[str]:
    path = folder / SUMS
    if not path.is_file():
        return [f"{SUMS} is missing"]
    problems = []
    for line in path.read_text(encoding="utf-8").splitlines():
        wanted, _, name = line.partition("  ")
        file = folder / Path(name).name
        if not file.is_file() or sha256_of(file) != wanted:
            problems.append(f"{file.name} does not match {SUMS}")
    return problems
