"""Several real workers on one PostgreSQL, with real work: an import, and a model that reads what came in."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models.keyword import KeywordPredictor
from tests.factories import LABELS, make_pool, make_project
from tests.integration.jobs.worker import no_label_studio
from workbench.decisions.service import new_policy
from workbench.decisions.tables import DecisionRow
from workbench.incidents.tables import IncidentRow
from workbench.items.reading.detect import ColumnMapping
from workbench.items.service import start_import
from workbench.items.tables import ImportRow, ItemCountRow, ItemMoveRow, ItemRow
from workbench.jobs.tables import JobRow, LeaseRow, WorkerRow
from workbench.labels.tables import LabelRow
from workbench.model_versions.service import promote, register_version
from workbench.outside import Outside, outside_of
from workbench.prelabeling.tables import PredictionRow
from workbench.settings import load_settings
from workbench.tallies.tables import LedgerRow

BY = "t"
ACCEPT_ALL: dict[str, Any] = {"rules": [{"name": "all", "when": "true", "accept": True}]}


@dataclass
class Team:
    """One installation, and the workers that serve it."""

    outside: Outside
    folder: Path
    project_id: int
    workers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    more: dict[str, str] = field(default_factory=dict)

    def begin(self, name: str) -> int:
        """Start a worker; its process id."""
        settings = self.outside.settings
        environment = os.environ | {
            "WORKBENCH_DATABASE_URL": settings.database_url,
            "WORKBENCH_DATA_DIR": str(settings.data_dir),
            "WORKBENCH_CHUNK_ITEMS": str(settings.chunk_items),
            **self.more,
        }
        command = [
            sys.executable,
            "-c",
            f"from workbench.worker import *; work(load_settings(), name={name!r})",
        ]
        with (self.folder / f"{name}.log").open("ab") as out:
            process = subprocess.Popen(command, env=environment, stdout=out, stderr=subprocess.STDOUT)
        self.workers[name] = process
        return process.pid

    def signal(self, name: str, number: int) -> None:
        self.workers[name].send_signal(number)

    def end(self) -> None:
        for process in self.workers.values():
            process.kill()
            process.wait(30)
        self.outside.db.close()

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def bring_in(self, n: int, name: str = "items.csv") -> str:
        path = self.folder / name
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "text"])
            writer.writerows([f"{name}-{i}", f"a splendid day, number {i} of {name}"] for i in range(n))
        mapping = ColumnMapping(text="text", external_id="id")
        with self.outside.db.write(project=self.project_id) as session:
            return start_import(self.outside, session, self.project_id, path, name, mapping, BY)[1]

    def count(self, table: Any, *where: Any) -> int:
        with self.outside.db.read() as session:
            return session.scalar(select(func.count()).select_from(table).where(*where)) or 0

    def rows(self, table: Any, *where: Any) -> list[Any]:
        with self.outside.db.read() as session:
            return list(session.scalars(select(table).where(*where)))

    def job(self, job_id: str) -> JobRow:
        [row] = self.rows(JobRow, JobRow.id == job_id)
        return row

    def owners(self) -> dict[str, str]:
        """Who runs which job just now."""
        return {row.kind: row.worker_id for row in self.rows(JobRow, JobRow.state == "running")}

    def leader(self) -> str:
        """The name of the worker that leads."""
        with self.outside.db.read() as session:
            lease = session.get(LeaseRow, "leader")
            if lease is None or lease.until_at < session.scalar(select(func.clock_timestamp())):
                return ""
            return lease.holder.rpartition("#")[0]

    def is_live(self, *names: str) -> bool:
        live = {row.id for row in self.rows(WorkerRow, WorkerRow.state == "live")}
        return set(names) <= live

    def resolved(self) -> int:
        return self.count(ItemRow, ItemRow.state == "resolved")

    def doubled_or_missing(self, n: int) -> dict[str, Any]:
        """What is not there exactly once; empty where all is well."""
        with self.outside.db.read() as session:
            found = {
                "items": (_count(session, ItemRow.id), n),
                "texts": (_count(session, ItemRow.external_id), n),
                "predictions": (_count(session, PredictionRow.item_id, all_rows=True), n),
                "decisions": (_count(session, DecisionRow.item_id, all_rows=True), n),
                "labels": (_count(session, LabelRow.item_id, all_rows=True), n),
                "moves": (_count(session, ItemMoveRow.id), 4 * n),
                "costs": (_count(session, LedgerRow.item_id, all_rows=True), n),
                "counted": (
                    session.scalar(select(ItemCountRow.items).where(ItemCountRow.state == "resolved")),
                    n,
                ),
                "rows": (session.scalar(select(func.sum(ImportRow.rows_read))), n),
            }
        return {name: pair for name, pair in found.items() if pair[0] != pair[1]}

    def incidents(self, kind: str = "worker_died") -> list[IncidentRow]:
        return self.rows(IncidentRow, IncidentRow.kind == kind)


def _count(session: Session, column: Any, *, all_rows: bool = False) -> int:
    what = func.count(column) if all_rows else func.count(column.distinct())
    return session.scalar(select(what)) or 0


def make_team(folder: Path, url: str, *, chunk_items: int = 50, silent_s: float = 4.0, **more: Any) -> Team:
    """An installation with a project whose items the machine can take all the way."""
    settings = load_settings(
        data_dir=folder / "data", database_url=url, chunk_items=chunk_items, worker_silent_s=silent_s, **more
    )
    outside = outside_of(settings, label_studio=no_label_studio)
    KeywordPredictor({LABELS[0]: ["splendid"]} | {label: ["nothing"] for label in LABELS[1:]}).save(
        folder / "keywords"
    )
    with outside.db.write() as session:
        make_pool(session)
        project = make_project(session)
        new_policy(
            session,
            project.id,
            ACCEPT_ALL,
            labels=LABELS,
            pools=["english"],
            by=BY,
            now=outside.now(),
            activate=True,
        )
        version = register_version(outside, session, project, folder / "keywords", labels=LABELS, by=BY)
        promote(session, project.id, version.id, by=BY, now=outside.now())
    return Team(outside, folder, project.id, more={"WORKBENCH_WORKER_SILENT_S": str(silent_s)})


def until(true: Callable[[], Any], what: str | Callable[[], Any], *, within_s: float = 60.0) -> float:
    """Seconds until it is true."""
    began = time.monotonic()
    while time.monotonic() - began < within_s:
        if true():
            return time.monotonic() - began
        time.sleep(0.05)
    raise AssertionError(f"waited {within_s:g} s in vain: {what if isinstance(what, str) else what()}")
