from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from tests.factories import NOW, make_project
from tests.unit.workbench.items.running import Run
from workbench.items.importing import unfold
from workbench.items.jobs import JOB as IMPORT
from workbench.items.service import save_upload, start_import
from workbench.items.uploads.retention import remove_old_uploads
from workbench.items.uploads.store import find_import
from workbench.jobs.definition import JobState, StepCancelled
from workbench.jobs.store import cancel_job, find_job, finish
from workbench.outside import Outside


def uploaded(outside: Outside) -> Path:
    path = save_upload(outside, 1, "a.csv", io.BytesIO(b"id,text\n1,a\n"))
    os.utime(path.parent, (NOW.timestamp(), NOW.timestamp()))
    return path


def asked(outside: Outside, project_id: int, path: Path) -> tuple[int, str]:
    with outside.db.write() as session:
        return start_import(outside, session, project_id, path, "a.csv", None, "t")


def test_uploads_go_after_their_days_and_never_while_they_are_needed(outside: Outside, clock):
    with outside.db.write() as session:
        project_id = make_project(session).id
    abandoned, waiting, done = uploaded(outside), uploaded(outside), uploaded(outside)
    asked(outside, project_id, waiting)
    clock.forward(days=20)
    import_id, job_id = asked(outside, project_id, done)
    IMPORT.run(Run(outside), {"import_id": import_id})
    with outside.db.write() as session:
        finish(session, job_id, JobState.DONE, now=outside.now())
    clock.forward(days=11)
    assert remove_old_uploads(outside) == 1
    assert (abandoned.exists(), waiting.exists(), done.exists()) == (False, True, True)
    clock.forward(days=20)
    assert remove_old_uploads(outside) == 1
    assert (waiting.exists(), done.exists()) == (True, False)
    assert remove_old_uploads(outside) == 0


def test_unfolding_stops_when_it_is_cancelled_and_goes_on_when_resumed(outside: Outside):
    with outside.db.write() as session:
        project_id = make_project(session).id
    import_id, job_id = asked(outside, project_id, uploaded(outside))
    with outside.db.write() as session:
        cancel_job(session, job_id)
    with pytest.raises(StepCancelled):
        unfold(outside, import_id)
    with outside.db.read() as session:
        assert find_import(session, import_id).state != "failed"
    assert not list((outside.settings.data_dir / "imports" / job_id).iterdir())
    with outside.db.write() as session:
        find_job(session, job_id).state = JobState.RUNNING
    assert unfold(outside, import_id)["rows"] == 1
