"""The stages of a demo run; each looks at what is there and does the rest, so that a run can be resumed."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session

from workbench.auth.domain import Permission
from workbench.auth.service import create_user, ensure_roles
from workbench.auth.store import user_by_email
from workbench.deliveries.service import start_delivery
from workbench.demo.children import ROOT, Replays
from workbench.demo.dataset import RatedText, reference
from workbench.demo.narration import Narrator
from workbench.demo.secrets import PEOPLE, SignIns, email_of
from workbench.errors import Unavailable
from workbench.items.domain import ItemState
from workbench.items.reading.detect import ColumnMapping
from workbench.items.service import start_import
from workbench.items.store import counts_by_state
from workbench.jobs.definition import JobState
from workbench.jobs.store import find_job, last_job, start_job
from workbench.labeling.store import lanes_of
from workbench.model_versions.store import live_version
from workbench.outside import Outside
from workbench.people.invitations import accept_invitation, invite_person
from workbench.people.service import connect_server
from workbench.people.store import account_of, pool_ids, servers
from workbench.people.tables import ServerRow
from workbench.projects.reading import read_file
from workbench.projects.store import find_project
from workbench.projects.tables import ProjectRow
from workbench.setup.service import set_up_project
from workbench.training.jobs import TRAIN

PROJECT = "sentiment-demo"
SERVER = "Demo server"
LOOK_S = 0.5
FINAL = (ItemState.RESOLVED, ItemState.DELIVERED)


@dataclass
class Run:
    """What the stages share."""

    outside: Outside
    narrator: Narrator
    sign_ins: SignIns
    folder: Path
    replays: Replays | None = None


def set_up(run: Run, label_studio: str) -> None:
    """The admin, the server, the project with its pools, and six people with their accounts."""
    outside, sign_ins = run.outside, run.sign_ins
    with outside.db.write() as session:
        ensure_roles(session)
        if user_by_email(session, sign_ins.admin_email) is None:
            create_user(
                session,
                outside,
                email=sign_ins.admin_email,
                name="Demo admin",
                password=sign_ins.admin_password,
                role="admin",
            )
        server = _server(session)
    if server is None or server.url != label_studio:
        connect_server(outside, name=SERVER, url=label_studio, token=sign_ins.label_studio_token)
    specification = read_file(ROOT / "configs" / "projects" / "demo.yaml")
    set_up_project(outside, specification.model_copy(update={"server": SERVER}), sign_ins.admin_email)
    for name in PEOPLE:
        _invite(run, name, "deciders" if name == PEOPLE[-1] else "readers")


def _server(session: Session) -> ServerRow | None:
    return next((row for row in servers(session) if row.name == SERVER), None)


def _invite(run: Run, name: str, pool: str) -> None:
    """By invitation, as a project manager would: the link makes both accounts."""
    with run.outside.db.write() as session:
        server = _server(session)
        if server is None or account_of(session, server.id, email_of(name)) is not None:
            return
        invited = invite_person(
            session,
            run.outside,
            email=email_of(name),
            name=name,
            pool_id=pool_ids(session)[pool],
            project_id=None,
            server_id=server.id,
            by=run.sign_ins.admin_email,
            may=frozenset(Permission),
        )
    accept_invitation(run.outside, invited.token, run.sign_ins.password)


def bring_in(run: Run, texts: Sequence[RatedText], file_name: str) -> None:
    """Import texts as a file, through the ordinary import."""
    path = run.folder / file_name
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text", "source", "reference"])
        for it in texts:
            label = reference(it.mean).capitalize()
            writer.writerow([f"{it.source}-{it.external_id}", it.text, it.source, label])
    with run.outside.db.write() as session:
        project = find_project(session, PROJECT)
        mapping = ColumnMapping(text="text", external_id="id", reference="reference")
        _, job_id = start_import(
            run.outside, session, project.id, path, file_name, mapping, run.sign_ins.admin_email
        )
    wait_for_job(run, job_id, f"Importing {len(texts):,} texts", len(texts))


def train(run: Run) -> None:
    """A head on what people said so far, live from now on; nothing where a model is live."""
    with run.outside.db.write() as session:
        project = find_project(session, PROJECT)
        if live_version(session, project.id) is not None:
            return
        last = last_job(session, TRAIN, project.id)
        if last is not None and last.state in {JobState.QUEUED, JobState.RUNNING}:
            job_id = last.id
        else:
            job_id = start_job(
                session,
                TRAIN,
                {
                    "project_id": project.id,
                    "name": "sentiment-head",
                    "by": run.sign_ins.admin_email,
                    "go_live": True,
                },
                job_id=run.outside.new_id(),
                project_id=project.id,
                by=run.sign_ins.admin_email,
                now=run.outside.now(),
                total=3,
                unit="steps",
            )
    wait_for_job(run, job_id, "Training a head on people's labels", 3)


def export(run: Run) -> None:
    """All labels out, as JSONL with provenance."""
    with run.outside.db.write() as session:
        project = find_project(session, PROJECT)
        last = last_job(session, "export", project.id)
        if last is not None and last.state == JobState.DONE:
            return
        job_id = start_delivery(run.outside, session, project.id, "jsonl", run.sign_ins.admin_email)
        total = sum(counts_by_state(session, project.id).values())
    wait_for_job(run, job_id, "Exporting labels with provenance", total)


def wait_until_resolved(run: Run, text: str, wanted: int) -> None:
    """Until so many items have their final label."""

    def look(session: Session, project: ProjectRow) -> tuple[int, str]:
        counts = counts_by_state(session, project.id)
        with_people = counts[ItemState.QUEUED] + counts[ItemState.IN_LABELING]
        return sum(counts[state] for state in FINAL), f"labelled, {with_people:,} with people"

    _watch(run, text, wanted, look)


def wait_until_all_is_read(run: Run) -> None:
    """Until every lane was read after the last answer was given: what is counted then stays."""
    stopped = run.outside.now()
    while True:
        with run.outside.db.read() as session:
            lanes = lanes_of(session, find_project(session, PROJECT).id)
        if all(lane.synced_at is not None and lane.synced_at > stopped for lane in lanes):
            return
        time.sleep(LOOK_S)


def wait_for_job(run: Run, job_id: str, text: str, total: int) -> None:
    """Until a job is done.

    Raises:
        Unavailable: It failed; the message is the job's.
    """
    run.narrator.begin(text, total)
    try:
        while True:
            with run.outside.db.read() as session:
                job = find_job(session, job_id)
            if job.state in {JobState.FAILED, JobState.CANCELLED}:
                raise Unavailable(f"{text}: {job.problem or job.state}")
            if job.state == JobState.DONE:
                run.narrator.update(total, total)
                return
            run.narrator.update(job.done, max(total, job.total), job.message)
            time.sleep(LOOK_S)
    finally:
        run.narrator.end()


def _watch(run: Run, text: str, wanted: int, look: Callable[[Session, ProjectRow], tuple[int, str]]) -> None:
    run.narrator.begin(text, wanted)
    try:
        while True:
            with run.outside.db.read() as session:
                project = find_project(session, PROJECT)
                done, note = look(session, project)
                failed = [
                    job
                    for kind in ("prelabel", "decide")
                    if (job := last_job(session, kind, project.id)) and job.state == JobState.FAILED
                ]
            run.narrator.update(done, wanted, failed[0].problem if failed else note)
            if done >= wanted:
                return
            if run.replays is not None:
                run.replays.check()
            time.sleep(LOOK_S)
    finally:
        run.narrator.end()
