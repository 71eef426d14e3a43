"""The recurring job that keeps a project's lanes: read what came, reopen, send what is wanted next."""

from __future__ import annotations

from typing import Any

from workbench.errors import Unavailable
from workbench.jobs.definition import JobKind, JobQueue, JobRun, Json
from workbench.labeling.planning import look, wants_of
from workbench.labeling.tending import all_well, tend
from workbench.labeling.visits import make_visits

SYNC = "sync"
MOST_READS = 200
"""Readings of one lane in a round: a server that always has more must not keep the others waiting."""


def run(job: JobRun, arguments: dict[str, Any]) -> Json:
    """One round over all lanes; what it finds nothing to do for costs one query.

    A lane that fails does not hold up the others; a server that does not answer is left alone for this round.
    """
    round_ = _Round(job, only_hinted=bool(arguments.get("hinted")))
    plan = job.step(look, arguments["project_id"])
    for lane in plan["lanes"]:
        if "hints" in lane["wants"] or not round_.only_hinted:
            round_.hear(lane)
    made = job.step(make_visits, arguments["project_id"]) if plan["new_visits"] else {"visits": 0}
    for lane in job.step(look, arguments["project_id"])["lanes"]:
        for action in ("recall", "set_up", "keep", "push"):
            if action in lane["wants"]:
                round_.tend(action, lane)
        if lane["is_broken"] and lane["id"] not in round_.failed:
            job.step(all_well, lane["id"])
    problems = [problem for problem in round_.down.values() if problem]
    if problems:
        raise Unavailable(problems[0])
    return {
        "read": round_.sums.get("read", 0),
        "pushed": round_.sums.get("pushed", 0),
        "visits": made["visits"],
        "problem": made.get("problem", ""),
    }


class _Round:
    """What one round has done so far, and which servers did not answer in it."""

    def __init__(self, job: JobRun, *, only_hinted: bool = False) -> None:
        self.job = job
        self.only_hinted = only_hinted
        self.sums: dict[str, int] = {}
        self.failed: set[int] = set()
        self.down: dict[int, str] = {}

    def hear(self, lane: dict[str, Any]) -> None:
        """Read what people did in a lane, and mend what that calls for."""
        if "hints" in lane["wants"]:
            self.tend("hints", lane)
        if "read" in lane["wants"] and not self.only_hinted:
            for _ in range(MOST_READS):
                if not self.tend("read", lane).get("more"):
                    break
        if "reopen" in self.job.step(wants_of, lane["id"]):
            self.tend("reopen", lane)
        if "compare" in lane["wants"]:
            self.tend("compare", lane)

    def tend(self, action: str, lane: dict[str, Any]) -> dict[str, Any]:
        """What the action told; nothing where it failed or the lane's server is down."""
        if lane["server_id"] in self.down or lane["id"] in self.failed:
            return {}
        told = self.job.step(tend, action, lane["id"])
        if told["server"]:
            self.down[lane["server_id"]] = told["problem"]
        elif told.get("frozen"):
            self.down[lane["server_id"]] = ""
        elif told["problem"]:
            self.failed.add(lane["id"])
        done: dict[str, Any] = told["done"]
        for name, count in done.items():
            if isinstance(count, int) and not isinstance(count, bool):
                self.sums[name] = self.sums.get(name, 0) + count
        return done


JOB = JobKind(SYNC, run, unit="tasks", queue=JobQueue.LANES)
