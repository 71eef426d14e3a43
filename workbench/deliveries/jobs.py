"""The job that makes an export."""

from __future__ import annotations

from collections import Counter
from typing import Any

from workbench.deliveries.exporting import begin, finish, mark_delivered, write_piece
from workbench.jobs.definition import JobKind, JobRun, Json


def run_export(job: JobRun, arguments: dict[str, Any]) -> Json:
    """Rows, SHA-256 and folder of the export `arguments["delivery_id"]`."""
    delivery_id = arguments["delivery_id"]
    total = job.step(begin, delivery_id)["rows"]
    job.progress(0, total)
    after, done, pieces = 0, 0, []
    sources: Counter[str] = Counter()
    while (piece := job.step(write_piece, delivery_id, after))["rows"]:
        pieces.append(after)
        sources.update(piece["sources"])
        after, done = piece["after"], done + piece["rows"]
        job.progress(done, max(total, done))
    result: dict[str, Any] = job.step(finish, delivery_id, pieces, dict(sorted(sources.items())))
    if arguments["mark_delivered"]:
        delivered = 0
        while items := job.step(mark_delivered, delivery_id)["items"]:
            delivered += items
            job.progress(done, done, f"{delivered} marked as delivered")
        result = result | {"delivered": delivered}
    return result


JOB = JobKind("export", run_export, unit="rows")
