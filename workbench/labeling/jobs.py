"""The recurring job that keeps a project's lanes: read what came, reopen, send what is wanted next."""

from __future__ import annotations

from typing import Any

from workbench.jobs.definition import JobKind, JobQueue, JobRun, Json
from workbench.labeling.lanes import make_visits, set_up_lane, top_up
from workbench.labeling.planning import look, wants_of
from workbench.labeling.receiving import compare_lane, read_lane, reopen_tasks

SYNC = "sync"


def run(job: JobRun, arguments: dict[str, Any]) -> Json:
    """One round over all lanes; what it finds nothing to do for costs one query."""
    project_id = arguments["project_id"]
    totals = {"read": 0, "pushed": 0, "visits": 0}
    plan = job.step(look, project_id)
    for lane in plan["lanes"]:
        if "read" in lane["wants"]:
            more = True
            while more:
                read = job.step(read_lane, lane["id"])
                totals["read"] += read["read"]
                more = read["more"]
        if "reopen" in job.step(wants_of, lane["id"]):
            job.step(reopen_tasks, lane["id"])
        if "compare" in lane["wants"]:
            job.step(compare_lane, lane["id"])
    if plan["new_visits"]:
        made = job.step(make_visits, project_id)
        totals["visits"] += made["visits"]
    for lane in job.step(look, project_id)["lanes"]:
        if "set_up" in lane["wants"]:
            job.step(set_up_lane, lane["id"])
        if "push" in lane["wants"]:
            totals["pushed"] += job.step(top_up, lane["id"])["pushed"]
    return totals


JOB = JobKind(SYNC, run, unit="tasks", queue=JobQueue.LANES)
