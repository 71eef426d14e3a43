"""The recurring job that gives items their final label."""

from __future__ import annotations

from typing import Any

from workbench.jobs.definition import JobKind, JobQueue, JobRun, Json
from workbench.labels.service import resolve_accepted, resolve_annotated

RESOLVE = "resolve"


def run(job: JobRun, arguments: dict[str, Any]) -> Json:
    """Resolve chunk by chunk what the machine accepted and what people answered."""
    totals = {"machine": 0, "people": 0, "ties": 0}
    while (chunk := job.step(resolve_accepted, arguments["project_id"]))["items"]:
        totals["machine"] += chunk["items"]
    while True:
        chunk = job.step(resolve_annotated, arguments["project_id"])
        totals["people"] += chunk["items"]
        totals["ties"] += chunk["ties"]
        if chunk["items"] + chunk["ties"] == 0:
            return totals


JOB = JobKind(RESOLVE, run, unit="items", queue=JobQueue.LANES)
