"""I7, I12, I14, I16, I17, I19: what arrived is handled, what left stays, records agree, nothing leaks."""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.fernet import InvalidToken
from sqlalchemy import MetaData, String, Table, cast, create_engine, func, inspect, or_, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from workbench.activity.anchors import read_anchors
from workbench.activity.domain import Anchor, ChainCheck
from workbench.activity.store import last_link, links
from workbench.activity.tables import EventRow
from workbench.db.urls import database_address
from workbench.deliveries.domain import DeliveryState
from workbench.deliveries.tables import DeliveryRow
from workbench.inbox.service import DEAD_LETTER
from workbench.incidents.store import open_incidents
from workbench.incidents.tables import IncidentRow
from workbench.invariants.domain import MOST_SHOWN, Collected, Found
from workbench.items.tables import ImportRow
from workbench.jobs.definition import JobState
from workbench.jobs.store import OPEN
from workbench.jobs.tables import JobRow, WorkerRow
from workbench.jobs.workers import database_now
from workbench.labeling.tables import LaneRow
from workbench.outside import Outside
from workbench.people.tables import PoolRow, ServerRow

WITHOUT_WORKER = timedelta(minutes=2)
UNHANDLED = timedelta(minutes=5)
_LOG_TAIL = 2_000_000


def arrivals(session: Session, outside: Outside) -> Found:
    """I7: what Label Studio told us is handled within five minutes, or set aside with an open incident.

    (I6, that what was answered with success is in the inbox at all, can only be told by who sent it: the
    fault campaign does.)
    """
    inbox = _table(session, "inbox")
    if inbox is None:
        return Found(0, left_out="this installation has no inbox")
    seen = Collected(session.scalar(select(func.count()).select_from(inbox)) or 0)
    columns = inbox.c
    late = select(columns.id).where(columns.received_at < outside.now() - UNHANDLED)
    if "handled_at" in columns:
        late = late.where(columns.handled_at.is_(None))
    if "dead_at" in columns:
        late = late.where(columns.dead_at.is_(None))
    for number in session.scalars(late.limit(MOST_SHOWN)):
        sentence = f"what arrived as {number} waits for more than five minutes"
        seen.add(
            f"inbox:{number}", "unhandled", sentence, "start a worker: workbench serve, or workbench worker"
        )
    if "dead_at" in columns:
        _told_of(session, inbox, seen)
    return seen.found()


def _told_of(session: Session, inbox: Table, seen: Collected) -> None:
    """Dead letters lie there with an open incident of their server: nobody would look for them else."""
    told = {incident.about for incident in open_incidents(session) if incident.kind == DEAD_LETTER}
    servers = select(inbox.c.server_id).where(inbox.c.dead_at.is_not(None)).distinct()
    for server_id in session.scalars(servers):
        if f"server:{server_id}" not in told:
            sentence = f"server {server_id} has letters that nobody could read, and no incident says so"
            remedy = "look at the server's page and put them aside"
            seen.add(f"server:{server_id}", "dead_untold", sentence, remedy)


def _table(session: Session, name: str) -> Table | None:
    bind = session.get_bind()
    if not inspect(bind).has_table(name):
        return None
    return Table(name, MetaData(), autoload_with=bind)


def deliveries(session: Session, outside: Outside) -> Found:  # noqa: ARG001
    """I12: every delivered file is the one that was delivered, byte for byte, each item in it once."""
    seen = Collected()
    for row in session.scalars(select(DeliveryRow).where(DeliveryRow.state == DeliveryState.DONE)):
        seen.checked += 1
        where, path = f"delivery:{row.public_id}", Path(row.path)
        remedy = (
            "put the file back from a backup, or make the export anew and tell those who have the old one"
        )
        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            seen.add(where, "file_gone", f"the file of delivery {row.public_id} is gone", remedy)
            continue
        if digest != row.sha256:
            sentence = f"the file of delivery {row.public_id} is not the one that was delivered"
            seen.add(where, "file_changed", sentence, remedy)
    return seen.found()


def apart(session: Session, outside: Outside) -> Found:  # noqa: ARG001
    """I14: no lane of a supplier's pool lies on a server that belongs to another supplier."""
    if not hasattr(ServerRow, "supplier_id"):
        return Found(0, left_out="servers belong to nobody in this release")
    owner = ServerRow.supplier_id
    seen = Collected(session.scalar(select(func.count()).select_from(LaneRow)) or 0)
    rows = session.execute(
        select(LaneRow.id, LaneRow.server_id)
        .join(ServerRow, ServerRow.id == LaneRow.server_id)
        .join(PoolRow, PoolRow.id == LaneRow.pool_id)
        .where(owner.is_not(None), owner != PoolRow.supplier_id)
        .limit(MOST_SHOWN)
    )
    for lane_id, server_id in rows:
        sentence = f"lane {lane_id} of one supplier lies on server {server_id}, which is another supplier's"
        seen.add(f"lane:{lane_id}", "foreign_server", sentence, "pause the project and take its tasks back")
    return seen.found()


def chain(session: Session, outside: Outside) -> Found:
    """I16: the record of who did what is whole: each event vouches for the one before it, and the anchors."""
    check = ChainCheck(_anchors_in(session, outside))
    seen = Collected()
    for link in links(session):
        seen.checked += 1
        broken = check.take(link)
        if broken is not None:
            break
    else:
        broken = check.end()
    if broken is not None:
        seen.add(f"activity:{broken.seq}", broken.kind, broken.sentence, broken.remedy)
    return seen.found()


def _anchors_in(session: Session, outside: Outside) -> list[Anchor]:
    """The anchors, without those of events that were written after this session's moment."""
    here = last_link(session)
    anchors = read_anchors(outside.settings.data_dir)
    with outside.db.read() as later:
        now = last_link(later)
    newest = now.seq if now is not None else 0
    return [one for one in anchors if not (here.seq if here else 0) < one.seq <= newest]


def jobs(session: Session, outside: Outside) -> Found:
    """I17: what the job engine counts as done is done in our books, and every open job has a live worker."""
    seen = Collected(session.scalar(select(func.count()).select_from(JobRow)) or 0)
    since = outside.now() - WITHOUT_WORKER
    sign = func.coalesce(JobRow.seen_at, JobRow.started_at, JobRow.created_at)
    if not _worker_lives(session, outside):
        rows = session.scalars(select(JobRow).where(JobRow.state.in_(OPEN), sign < since).limit(MOST_SHOWN))
        for row in rows:
            sentence = f"job {row.id} ({row.kind}) waits for more than two minutes, and no worker runs"
            remedy = "start a worker: workbench serve, or workbench worker"
            seen.add(f"job:{row.id}", "no_worker", sentence, remedy)
    try:
        _engine(session, outside, since, seen)
    except SQLAlchemyError as problem:
        seen.left_out = f"the job engine's tables cannot be read ({type(problem).__name__})"
    return seen.found()


def _worker_lives(session: Session, outside: Outside) -> bool:
    """Whether a worker has been heard of lately: by its heartbeat, or by the lock it holds."""
    newest = session.scalar(select(func.max(WorkerRow.beat_at)).where(WorkerRow.ended_at.is_(None)))
    if newest is not None and database_now(session) - newest < WITHOUT_WORKER:
        return True
    return _is_locked(outside.settings.data_dir / "worker.lock")


def _is_locked(path: Path) -> bool:
    """Whether a living process holds the lock; the kernel gives back those of dead ones."""
    try:
        with path.open("r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _engine(session: Session, outside: Outside, since: datetime, seen: Collected) -> None:
    url = outside.settings.engine_url
    if url.startswith("sqlite") and not Path(url.removeprefix("sqlite:///")).exists():
        return
    engine = create_engine(database_address(url), hide_parameters=True)
    try:
        with engine.connect() as connection:
            schema = "" if url.startswith("sqlite") else "workbench_jobs."
            if not inspect(connection).has_table("workflow_status", schema=schema.rstrip(".") or None):
                return
            states = connection.execute(
                text(
                    f"SELECT workflow_uuid, status FROM {schema}workflow_status"  # noqa: S608 - no input
                    " WHERE status IN ('SUCCESS', 'ERROR')"
                )
            )
            ended = {str(workflow): str(status) for workflow, status in states}
            steps = connection.execute(
                text(
                    f"SELECT workflow_uuid, output FROM {schema}operation_outputs"  # noqa: S608 - no input
                    " WHERE function_name = 'import_chunk' AND output IS NOT NULL"
                )
            ).all()
    finally:
        engine.dispose()
    _ended_here(session, ended, since, seen)
    _imported_here(session, steps, seen)


def _ended_here(session: Session, ended: dict[str, str], since: datetime, seen: Collected) -> None:
    still_open = (JobState.RUNNING, JobState.QUEUED)
    rows = session.scalars(select(JobRow).where(JobRow.state.in_(still_open), JobRow.created_at < since))
    for row in rows:
        if ended.get(row.engine_id) == "SUCCESS":
            sentence = f"job {row.id} ({row.kind}) is done for the job engine and {row.state} in our books"
            remedy = "restart the worker: it takes up jobs that the two sides see differently"
            seen.add(f"job:{row.id}", "engine_ahead", sentence, remedy)


def _imported_here(session: Session, steps: Sequence[Any], seen: Collected) -> None:
    """Rows that a recorded step of an import has read are counted in the import's row."""
    read: dict[str, int] = {}
    for workflow, output in steps:
        job_id = str(workflow).partition("~")[0]
        try:
            value = json.loads(output)
        except ValueError:
            continue
        rows = value.get("rows") if isinstance(value, dict) else None
        if isinstance(rows, int):
            read[job_id] = max(read.get(job_id, 0), rows)
    for row in session.scalars(select(ImportRow)):
        if read.get(row.job_id, 0) > row.rows_read:
            sentence = (
                f"import {row.id}: the job engine knows {read[row.job_id]} rows, our books {row.rows_read}"
            )
            remedy = "import the file again: rows that are known already are passed over"
            seen.add(f"import:{row.id}", "rows_behind", sentence, remedy)


def secrets(session: Session, outside: Outside) -> Found:
    """I19: no server's token stands in clear in a message, a record or a log file."""
    seen = Collected()
    remedy = "revoke the token in Label Studio, connect the server with a new one, and remove the text"
    for server in session.scalars(select(ServerRow)):
        try:
            token = outside.vault.unlock(server.token).decode()
        except (InvalidToken, ValueError):
            continue
        if len(token) < 16:  # noqa: PLR2004 - too short to be told from ordinary words
            continue
        for where in _places(session, outside, token, seen):
            seen.add(
                where, "secret_in_clear", f"the token of server `{server.name}` stands in {where}", remedy
            )
    return seen.found()


def _places(session: Session, outside: Outside, secret: str, seen: Collected) -> Iterator[str]:
    columns: list[tuple[Any, list[Any]]] = [
        (JobRow.id, [JobRow.problem, JobRow.message, JobRow.arguments, JobRow.result]),
        (LaneRow.id, [LaneRow.problem, LaneRow.description]),
        (ServerRow.id, [ServerRow.problem, ServerRow.url]),
        (IncidentRow.id, [IncidentRow.sentence, IncidentRow.how]),
        (EventRow.seq, [EventRow.before, EventRow.after]),
    ]
    for key, texts in columns:
        holds = or_(*(cast(one, String).contains(secret, autoescape=True) for one in texts))
        for number in session.scalars(select(key).where(holds).limit(MOST_SHOWN)):
            yield f"{key.class_.__tablename__}:{number}"
        seen.checked += len(texts)
    for path in sorted(outside.settings.data_dir.glob("**/*.log")):
        seen.checked += 1
        with path.open("rb") as file:
            file.seek(max(path.stat().st_size - _LOG_TAIL, 0))
            if secret.encode() in file.read():
                yield path.name
