"""Restore: a verified back-up in the place of what is there, which is kept beside it."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import inspect, select, update
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from workbench.activity.anchors import FILE as ANCHORS
from workbench.activity.store import record
from workbench.db import migrate
from workbench.db.database import Database
from workbench.db.tables import all_tables
from workbench.errors import Conflict, InvalidInput
from workbench.incidents.store import report_incident
from workbench.items.tables import ImportRow
from workbench.labeling.domain import VisitState
from workbench.labeling.tables import LaneRow, VisitRow
from workbench.model_versions.tables import ModelVersionRow
from workbench.processes import Lock
from workbench.settings import Settings
from workbench.upkeep import copying
from workbench.upkeep.backup import FILES, Backup, verify_backup


@dataclass(frozen=True)
class Restored:
    """What a restore did.

    Attributes:
        kept: Where what was there before lies now; None where nothing was.
        lanes: Lanes whose Label Studio is asked what it has before anything is sent to it.
    """

    kept: Path | None
    lanes: int


def restore(settings: Settings, backup: Backup, *, now: datetime, by: str, replace: bool = False) -> Restored:
    """Put a back-up in the place of the installation.

    What was there is moved aside, not deleted (SQLite), so a restore can be undone. On PostgreSQL the dump
    replaces the tables in one transaction: make a back-up first. Afterwards every lane is asked what it
    has before anything is sent: the servers went on while the back-up lay still.

    Raises:
        Conflict: A server or worker runs on this data folder.
        InvalidInput: The back-up is damaged, or made by a newer release, or there is an installation in
            the way and `replace` is not set.
    """
    problems = verify_backup(backup)
    if problems:
        raise InvalidInput(f"this back-up is damaged, nothing was changed: {'; '.join(problems[:5])}")
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with ExitStack() as held:
        workers = {path.name: "a worker" for path in settings.data_dir.glob("worker-*.lock")}
        for name, what in {"serve.lock": "`workbench serve`", "worker.lock": "a worker", **workers}.items():
            held.callback(Lock(settings.data_dir / name, what).release)
        if _is_in_use(settings) and not replace:
            raise Conflict(
                f"there is an installation in {settings.data_dir.resolve()}; what the back-up does not hold "
                "would be gone from it. Add --replace to go on (the present state is kept beside it), or "
                "name another folder: workbench --data-dir FOLDER backup restore …"
            )
        kept = _move_aside(settings, now)
        for kind in FILES:
            source = backup.folder / "files" / kind
            if source.is_dir():
                shutil.copytree(source, settings.data_dir / kind, symlinks=True)
        copying.put_back(settings, backup.folder, backup.manifest["databases"])
        migrate.upgrade(settings)
        return Restored(kept, _after(settings, backup, now, by))


def _is_in_use(settings: Settings) -> bool:
    if copying.is_sqlite(settings):
        return Path(make_url(settings.database_url).database or "").exists()
    database = Database(settings.database_url)
    try:
        return inspect(database.writer).has_table("users")
    finally:
        database.close()


def _move_aside(settings: Settings, now: datetime) -> Path | None:
    """Databases and files of the present state, moved into a folder of their own; the key stays."""
    # What anchors say of events after the back-up no longer holds, and is kept with those events.
    moved = [settings.data_dir / kind for kind in (*FILES, ANCHORS)]
    if copying.is_sqlite(settings):
        for url in (settings.engine_url, settings.database_url):
            path = Path(make_url(url).database or "")
            moved += [path, Path(f"{path}-wal"), Path(f"{path}-shm")]
    moved = [path for path in moved if path.exists()]
    if not moved:
        return None
    aside = settings.data_dir / f"before-restore-{now.strftime('%Y%m%dT%H%M%SZ')}"
    aside.mkdir(mode=0o700)
    for path in moved:
        path.rename(aside / path.name)
    return aside


def _after(settings: Settings, backup: Backup, now: datetime, by: str) -> int:
    all_tables()  # rows are written here before any feature was loaded
    database = Database(settings.database_url)
    try:
        with database.write() as session:
            _follow_the_folder(session, backup.manifest["data_dir"], str(settings.data_dir.resolve()))
            lanes = _doubt_lanes(session, now)
            made = backup.made_at.isoformat(timespec="seconds")
            record(
                session,
                at=now,
                actor=by,
                verb="installation.restored",
                about=f"backup:{backup.folder.name}",
                after={"made_at": made, "lanes_to_look_at": lanes},
            )
            report_incident(
                session,
                "database_restored",
                "installation",
                f"the database was restored from the back-up of {made}; what was done here after it is gone",
                now=now,
                severity="bad",
                remedy="tell the people who worked after that moment; answers in Label Studio are read again",
            )
            return lanes
    finally:
        database.close()


def _doubt_lanes(session: Session, now: datetime) -> int:
    """Have every lane read from the start, and every waiting visit looked for before it is sent.

    The servers may hold tasks whose sending was forgotten with the rows after the back-up.
    """
    session.execute(update(LaneRow).values(read_up_to=None, compared_at=None))
    with_project = select(LaneRow.id).where(LaneRow.ls_project_id.is_not(None))
    session.execute(
        update(VisitRow)
        .where(VisitRow.state == VisitState.QUEUED, VisitRow.lane_id.in_(with_project))
        .values(state=VisitState.PUSHING, push_started_at=now)
    )
    return len(list(session.scalars(with_project)))


def _follow_the_folder(session: Session, old: str, new: str) -> None:
    """Paths in the rows name the data folder; it may be another one now."""
    if old == new:
        return
    for row in session.scalars(select(ImportRow)):
        row.path = _moved(row.path, old, new)
        row.rejects_path = _moved(row.rejects_path, old, new)
    for model in session.scalars(select(ModelVersionRow)):
        specification = dict(model.specification)
        for name, value in specification.items():
            if isinstance(value, str):
                specification[name] = _moved(value, old, new)
        model.specification = specification


def _moved(path: str, old: str, new: str) -> str:
    return f"{new}{path[len(old) :]}" if path.startswith(f"{old}/") else path
