"""Use cases of upkeep: back up now, and do what the night asks for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select

from workbench.activity.service import anchor_now, verify_installation
from workbench.activity.store import record
from workbench.activity.tables import EventRow
from workbench.errors import Unavailable
from workbench.incidents.store import forget_healed, heal_incident, report_incident
from workbench.invariants.service import compare_books
from workbench.items.uploads.retention import remove_old_uploads
from workbench.labeling.hints import tidy_inbox
from workbench.outside import Outside
from workbench.upkeep import store
from workbench.upkeep.backup import Backup, backup_folder, forget_old, make_backup, verify_backup
from workbench.upkeep.domain import Chore, ChoreState, Kept
from workbench.upkeep.erasure import erase_what_is_due

INSTALLATION = "installation"
HEALED_STAYS = timedelta(days=90)
_FAILED = {
    Chore.BACKUP: (
        "backup_failed",
        "last night's back-up failed",
        "see Jobs for why; then run `workbench backup create`",
    ),
    Chore.COMPARE: (
        "comparison_failed",
        "last night's comparison of the books with the truth broke off",
        "run `workbench doctor --invariants`",
    ),
    Chore.RETENTION: (
        "retention_failed",
        "what was due to be erased last night is still there",
        "see Jobs for why, then resume the job",
    ),
}


def back_up(
    outside: Outside, folder: Path | None = None, *, by: str, tell: Callable[[str], None] = lambda _: None
) -> Backup:
    """A back-up of the installation, noted in the activity record.

    Raises:
        Unavailable: A database could not be copied.
        InvalidInput: The folder cannot be written.
    """
    made = make_backup(
        outside.settings,
        folder.resolve() if folder else backup_folder(outside.settings),
        now=outside.now(),
        anchor=_anchor(outside),
        tell=tell,
    )
    # Beside the back-up's own: a record cut later shows against the newest of them.
    anchor_now(outside, "back-up")
    with outside.db.write() as session:
        record(
            session,
            at=outside.now(),
            actor=by,
            verb="backup.made",
            about=f"backup:{made.folder.name}",
            after={"bytes": made.size, "schema": made.schema},
        )
    return made


def do_chore(outside: Outside, chore: str, due_at: str) -> dict[str, Any]:
    """Do a chore of one night and note what came of it; again, it does what is still to do."""
    outcome = CHORES[Chore(chore)](outside)
    now = outside.now()
    with outside.db.write() as session:
        store.end(
            session,
            Chore(chore),
            datetime.fromisoformat(due_at),
            ChoreState.DONE,
            now,
            outcome=outcome,
        )
        kind, _, _ = _FAILED[Chore(chore)]
        heal_incident(session, kind, INSTALLATION, "a later night's went well", now=now)
    return outcome


def give_up_chore(outside: Outside, chore: str, due_at: str) -> dict[str, Any]:
    """Note that a chore failed, and tell people."""
    now = outside.now()
    kind, sentence, remedy = _FAILED[Chore(chore)]
    with outside.db.write() as session:
        store.end(
            session, Chore(chore), datetime.fromisoformat(due_at), ChoreState.FAILED, now, problem=sentence
        )
        report_incident(session, kind, INSTALLATION, sentence, now=now, severity="bad", remedy=remedy)
    return {}


def _nightly_backup(outside: Outside) -> dict[str, Any]:
    made = back_up(outside, by="machine")
    problems = verify_backup(made)
    if problems:
        raise Unavailable(f"the back-up just made is damaged: {'; '.join(problems[:3])}")
    verify_installation(outside)
    settings = outside.settings
    gone = forget_old(backup_folder(settings), Kept(settings.backup_days, settings.backup_weeks))
    return {"folder": made.folder.name, "bytes": made.size, "removed": len(gone)}


def _nightly_retention(outside: Outside) -> dict[str, Any]:
    now = outside.now()
    # Last what may fail because a server does not answer.
    done = {
        "uploads": remove_old_uploads(outside),
        "deliveries": tidy_inbox(outside),
        **erase_what_is_due(outside),
    }
    with outside.db.write() as session:
        return {**done, "incidents": forget_healed(session, before=now - HEALED_STAYS)}


def _anchor(outside: Outside) -> dict[str, Any] | None:
    """The end of the activity record: kept outside the database, it shows when the record was cut."""
    with outside.db.read() as session:
        last = session.execute(
            select(EventRow.seq, EventRow.hash).order_by(EventRow.seq.desc()).limit(1)
        ).first()
    return {"seq": last.seq, "hash": last.hash.hex()} if last else None


CHORES: dict[Chore, Callable[[Outside], dict[str, Any]]] = {
    Chore.BACKUP: _nightly_backup,
    Chore.COMPARE: compare_books,
    Chore.RETENTION: _nightly_retention,
}
