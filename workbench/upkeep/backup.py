"""Back-ups: a folder with copies of the databases and files, a manifest, and a check of all of it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from workbench.db import migrate
from workbench.errors import InvalidInput, WorkbenchError
from workbench.processes import Lock
from workbench.settings import Settings
from workbench.upkeep import copying
from workbench.upkeep.domain import Kept, superseded

MANIFEST = "manifest.json"
FILES = ("uploads", "imports", "exports", "models")
"""The folders of the data folder whose files no database holds."""
_PREFIX = "workbench-"
_STAMP = "%Y%m%dT%H%M%SZ"
_PARTIAL = ".partial"
_FORM = 1


@dataclass(frozen=True)
class Backup:
    """One back-up as its manifest tells it."""

    folder: Path
    made_at: datetime
    schema: str
    size: int
    manifest: dict[str, Any]

    def value(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "folder": str(self.folder),
            "made_at": self.made_at.isoformat(),
            "schema": self.schema,
            "bytes": self.size,
            "files": len(self.manifest["files"]),
        }


def backup_folder(settings: Settings) -> Path:
    """Where back-ups go."""
    return Path(settings.backup_dir or settings.data_dir / "backups").resolve()


def make_backup(
    settings: Settings,
    folder: Path,
    *,
    now: datetime,
    anchor: dict[str, Any] | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Backup:
    """A back-up of databases and files in a new folder under `folder`; work goes on meanwhile.

    The key that the stored secrets are encrypted with is not in it: keep `secret.key` elsewhere.

    Args:
        settings: Of the installation.
        folder: Where back-ups lie; not the disk that the data are on, if there is another.
        now: When.
        anchor: Last number and hash of the activity record, so that a cut record is noticed later.
        tell: Hears what is being copied.

    Raises:
        Unavailable: A database could not be copied.
        InvalidInput: The folder cannot be written, or the disk is full.
        Conflict: Another back-up is being made.
    """
    name = f"{_PREFIX}{now.strftime(_STAMP)}"
    target, partial = folder / name, folder / f"{name}{_PARTIAL}"
    if target.exists():
        raise InvalidInput(f"there is a back-up {target} already; wait a second and try again")
    # Two at once would take each other's beginnings for what was left behind.
    lock = Lock(settings.data_dir / "backup.lock", "a back-up")
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        # What an earlier try left behind, when it was killed.
        for left in folder.glob(f"{_PREFIX}*{_PARTIAL}"):
            shutil.rmtree(left)
        partial.mkdir(mode=0o700)
        tell("databases")
        names = copying.copy_databases(settings, partial)
        for kind in FILES:
            source = settings.data_dir / kind
            if source.is_dir():
                tell(kind)
                _copy_files(source, partial / "files" / kind)
        tell("checksums")
        manifest = {
            "form": _FORM,
            "made_at": now.isoformat(),
            "schema": migrate.check(settings),
            "database": "sqlite" if copying.is_sqlite(settings) else "postgresql",
            "data_dir": str(settings.data_dir.resolve()),
            "databases": names,
            "activity": anchor,
            "files": {str(path.relative_to(partial)): _described(path) for path in _files(partial)},
        }
        _write(partial / MANIFEST, json.dumps(manifest, indent=1, sort_keys=True).encode())
        _sync(partial)
        partial.replace(target)
        _sync(folder)
    except OSError as problem:
        shutil.rmtree(partial, ignore_errors=True)
        raise InvalidInput(
            f"the back-up could not be written to {folder} ({problem.strerror}); free space there, or give "
            "another folder with --to (or WORKBENCH_BACKUP_DIR)"
        ) from None
    except WorkbenchError:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    finally:
        lock.release()
    return read_backup(target)


def backups_in(folder: Path) -> list[Backup]:
    """The finished back-ups in a folder, newest first; what cannot be read is left out."""
    found = []
    for path in sorted(folder.glob(f"{_PREFIX}*"), reverse=True):
        if not path.name.endswith(_PARTIAL):
            try:
                found.append(read_backup(path))
            except InvalidInput:
                continue
    return found


def read_backup(folder: Path) -> Backup:
    """A back-up by its manifest.

    Raises:
        InvalidInput: There is none in that folder.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
        made_at = datetime.fromisoformat(manifest["made_at"])
        size = sum(int(one["bytes"]) for one in manifest["files"].values())
        schema = str(manifest["schema"])
        form = manifest["form"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise InvalidInput(
            f"{folder} is no back-up (no readable {MANIFEST}); `workbench backup list` shows those there are"
        ) from None
    if form != _FORM:
        raise InvalidInput(f"{folder} was made by another release (form {form}); restore it with that one")
    return Backup(folder, made_at, schema, size, manifest)


def verify_backup(backup: Backup) -> list[str]:
    """What is wrong with a back-up, a sentence each; empty where it can be restored.

    Every file is there, holds what it held, nothing was added, and the databases are sound.
    """
    problems = []
    there = {str(path.relative_to(backup.folder)): path for path in _files(backup.folder)}
    listed = backup.manifest["files"]
    for name, described in listed.items():
        if name not in there:
            problems.append(f"{name} is missing")
        elif _described(there[name]) != described:
            problems.append(f"{name} was changed since the back-up was made")
    problems += [f"{name} was added" for name in sorted(there.keys() - listed.keys() - {MANIFEST})]
    for name in backup.manifest["databases"]:
        if name in there and (problem := copying.check_copy(there[name])):
            problems.append(f"{name}: {problem}")
    return problems


def forget_old(folder: Path, kept: Kept) -> list[Path]:
    """Remove back-ups that newer ones supersede; the folders removed."""
    by_time = {backup.made_at: backup.folder for backup in backups_in(folder)}
    gone = [by_time[moment] for moment in sorted(superseded(by_time, kept))]
    for path in gone:
        shutil.rmtree(path)
    return gone


def is_overdue(folder: Path, now: datetime, within: timedelta) -> bool:
    """Whether the newest back-up is older than it should be, or there is none."""
    newest = next(iter(backups_in(folder)), None)
    return newest is None or now - newest.made_at > within


def _files(folder: Path) -> Iterator[Path]:
    yield from sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _copy_files(source: Path, target: Path) -> None:
    """Copy a folder; what was renamed or removed meanwhile is not missed: the databases' copies are older."""
    try:
        shutil.copytree(source, target, symlinks=True)
    except shutil.Error as problem:
        whys = [why for path, _, why in problem.args[0] if os.path.lexists(path)]
        if whys:
            raise OSError(None, str(whys[0])) from None


def _described(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)


def _sync(folder: Path) -> None:
    """Have what lies in a folder on the disk before anybody relies on it."""
    for path in [*_files(folder), *(it for it in folder.rglob("*") if it.is_dir()), folder]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
