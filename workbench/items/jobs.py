"""The job that imports a file."""

from __future__ import annotations

from typing import Any

from workbench.errors import InvalidInput
from workbench.items.importing import finish_import, import_chunk, unfold
from workbench.jobs.definition import JobKind, JobRun, Json


def run_import(job: JobRun, arguments: dict[str, Any]) -> Json:
    """Counts of what became of the rows of `arguments["import_id"]`.

    Raises:
        InvalidInput: The file cannot be read; nothing was added.
        WrongState: Rows of the file were not read; nothing that was added is taken back.
    """
    import_id = arguments["import_id"]
    unfolded = job.step(unfold, import_id)
    if unfolded["problem"]:
        raise InvalidInput(unfolded["problem"])
    total, at = unfolded["rows"], {"rows": 0, "offset": 0}
    job.progress(0, total)
    while at["rows"] < total:
        at = job.step(import_chunk, import_id, at["rows"], at["offset"])
        job.progress(at["rows"], total)
    result: Json = job.step(finish_import, import_id, total, unfolded["notes"])
    return result


JOB = JobKind("import", run_import, unit="rows")
