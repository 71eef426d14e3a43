"""Use cases on deliveries: ask for an export."""

from __future__ import annotations

from sqlalchemy.orm import Session

from workbench.activity.store import record
from workbench.deliveries.domain import DeliveryState, Format
from workbench.deliveries.store import count_final
from workbench.deliveries.tables import DeliveryRow
from workbench.errors import InvalidInput, WrongState
from workbench.jobs.store import start_job
from workbench.outside import Outside


def start_delivery(
    outside: Outside,
    session: Session,
    project_id: int,
    form: str,
    by: str,
    *,
    mark_delivered: bool = False,
) -> str:
    """Id of the job that writes all final labels as they stand now.

    Args:
        outside: The outside.
        session: An open write transaction.
        project_id: Whose labels.
        form: `jsonl`, `csv`, `parquet`, `datasets` or `ls-json`.
        by: Who asks.
        mark_delivered: Move the items on from `resolved` to `delivered` when the files stand.

    Raises:
        InvalidInput: There is no such format.
        WrongState: No item has its final label yet.
    """
    if form not in set(Format):
        raise InvalidInput(f"there is no export format `{form[:20]}`; use {', '.join(Format)}")
    now = outside.now()
    total = count_final(session, project_id, now)
    if not total:
        raise WrongState("no item of the project has its final label yet; export once some have")
    job_id = outside.new_id()
    row = DeliveryRow(
        public_id=outside.new_id(), project_id=project_id, job_id=job_id, format=form,
        state=DeliveryState.WAITING, path="", rows=0, sha256="", manifest={}, created_at=now, created_by=by,
    )  # fmt: skip
    session.add(row)
    session.flush()
    record(
        session,
        at=now,
        actor=by,
        verb="export.made",
        about=f"export:{row.public_id}",
        project_id=project_id,
        after={"format": form, "rows": total, "mark_delivered": mark_delivered},
    )
    return start_job(
        session,
        "export",
        {"delivery_id": row.id, "mark_delivered": mark_delivered},
        job_id=job_id,
        project_id=project_id,
        by=by,
        now=now,
        total=total,
        unit="rows",
    )


def note_download(session: Session, outside: Outside, row: DeliveryRow, by: str) -> DeliveryRow:
    """The delivery, after writing down that somebody takes its labels away."""
    record(
        session,
        at=outside.now(),
        actor=by,
        verb="export.downloaded",
        about=f"export:{row.public_id}",
        project_id=row.project_id,
        after={"format": row.format, "rows": row.rows, "sha256": row.sha256},
    )
    return row
