"""One simulated life of a project: our own push, reading, judging and booking over a server that misbehaves.

Everything is drawn from one seed: what people do, what goes wrong, where the process dies. When the faults
stop and a minute or so has passed on the virtual clock, every invariant must hold.
"""

from __future__ import annotations

import csv
import itertools
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import event, select

from integrations.errors import IntegrationError
from tests.campaign.unruly import Unruly
from tests.factories import LABELS, NOW, make_person, make_pool, make_project, make_rate_card, make_server
from tests.integration.line.world import StubPredictor, add_model
from workbench.db.tables import all_tables
from workbench.db.vault import Vault
from workbench.decisions import jobs as deciding
from workbench.decisions.service import new_policy
from workbench.errors import WorkbenchError
from workbench.invariants.domain import Violation
from workbench.invariants.service import check
from workbench.items import jobs as importing
from workbench.items.reading.detect import ColumnMapping
from workbench.items.service import start_import
from workbench.items.tables import ImportRow
from workbench.jobs.definition import StepCancelled
from workbench.labeling import jobs as syncing
from workbench.labels import jobs as resolving
from workbench.outside import Outside, outside_of
from workbench.prelabeling import jobs as predicting
from workbench.settings import load_settings

PEOPLE = 4
ITEMS = 8
LANE_LIMIT = 6
IN_MEMORY = Path("/dev/shm")
CHECKED = ("I1", "I2", "I3", "I4", "I5", "I8", "I9", "I10", "I15", "I16")
POLICIES: tuple[dict[str, Any], ...] = (
    {"rules": [{"name": "everything", "when": "true"}]},
    {"rules": [{"name": "twice", "when": "true", "overlap": 2, "show_suggestion": False}]},
    {
        "rules": [{"name": "sure", "when": "confidence >= 0.8", "accept": True}],
        "audit_rate": 0.3,
        "blind_rate": 0.3,
        "audit_overlap": 2,
    },
)


class Killed(BaseException):
    """The process dies here: nothing after this line happens, no handler runs to mend it."""


class Clock:
    """The virtual clock."""

    def __init__(self) -> None:
        self.at = NOW
        self.server_s = 0.0

    def __call__(self) -> datetime:
        return self.at

    def of_server(self) -> datetime:
        """What the server's own clock says."""
        return self.at + timedelta(seconds=self.server_s)

    def back(self, seconds: float) -> None:
        """Our clock is set back; the server's is not."""
        self.at -= timedelta(seconds=seconds)
        self.server_s += seconds


@dataclass
class Outcome:
    """How one life ended."""

    seed: int
    violations: list[tuple[str, Violation]] = field(default_factory=list)
    broke: str = ""
    actions: Counter[str] = field(default_factory=Counter)
    story: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        return not self.violations and not self.broke

    def told(self) -> str:
        """What went wrong and how to see it again."""
        lines = [f"{key}: {one.sentence}" for key, one in self.violations[:10]]
        again = f"python -m tests.campaign.chaos --only sim --seed {self.seed} --runs 1 --story"
        return "\n".join([f"seed {self.seed}", self.broke, *lines, f"again: {again}"])


class _Run:
    """A job run by hand; the process may die between two steps."""

    job_id = "here"

    def __init__(self, life: Life) -> None:
        self.outside = life.outside
        self._boundary = life.boundary

    def step(self, function: Callable[..., Any], *arguments: Any) -> Any:
        found = function(self.outside, *arguments)
        self._boundary()
        return found

    def progress(self, done: int, total: int | None = None, message: str = "") -> None:
        """Nobody watches."""


class Template:
    """An installation ready to be copied: tables, project, people, price, first policy."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        rng = random.Random(0)
        outside = outside_of(
            load_settings(data_dir=folder),
            label_studio=lambda url, token: None,  # type: ignore[arg-type, return-value]
            now=Clock(),
            random_bytes=rng.randbytes,
        )
        all_tables().create_all(outside.db.writer)
        with outside.db.write() as session:
            server = make_server(session, token=outside.vault.lock(b"token"))
            pool, deciders = make_pool(session), make_pool(session, "deciders")
            project = make_project(
                session,
                server_id=server.id,
                pool_id=pool.id,
                adjudication_pool_id=deciders.id,
                lane_limit=LANE_LIMIT,
            )
            for number in range(PEOPLE):
                make_person(session, server, pool, number + 1)
            make_person(session, server, deciders, PEOPLE + 1)
            make_rate_card(session, pool)
            make_rate_card(session, deciders, unit="hour", price="12.00")
            add_model(session, project.id)
            new_policy(session, project.id, POLICIES[0], labels=LABELS, pools=["english"], by="t", now=NOW)
            self.project_id, self.server_id = project.id, server.id
        outside.db.close()
        self.place = folder.parent / "life"
        self.settings = load_settings(data_dir=self.place, chunk_items=50, allowed_hosts=["testserver"])
        # One engine for all lives: what it has learned of our statements is most of its speed.
        self.outside = outside_of(self.settings, label_studio=lambda url, token: None)  # type: ignore[arg-type, return-value]

    @contextmanager
    def copy(self, clock: Clock, rng: random.Random, server: Unruly) -> Iterator[Outside]:
        """A fresh installation of the same make, gone at the end."""
        self.outside.db.close()
        shutil.rmtree(self.place, ignore_errors=True)
        shutil.copytree(self.folder, self.place)
        yield replace(
            self.outside,
            vault=Vault.open(self.settings),
            label_studio=lambda url, token: server,
            load_model=lambda spec: StubPredictor(_sure_of),
            now=clock,
            random_bytes=rng.randbytes,
        )
        self.outside.db.close()

    def close(self) -> None:
        """Give back all connections."""
        self.outside.db.close()


def _sure_of(text: str) -> tuple[float, float, float]:
    """A stub's opinion: sure of every third text."""
    n = sum(map(ord, text)) % 3
    return ((0.9, 0.07, 0.03), (0.4, 0.35, 0.25), (0.2, 0.5, 0.3))[n]


class Life:
    """A project, its people, its server and its bad luck."""

    def __init__(self, outside: Outside, clock: Clock, server: Unruly, template: Template, seed: int) -> None:
        self.outside, self.clock, self.server = outside, clock, server
        self.project_id = template.project_id
        self.rng = random.Random(seed)
        self.outcome = Outcome(seed)
        self.fuse: int | None = None
        self.batches = itertools.count(1)
        self.is_wild = True
        server.at_call = self.meanwhile
        event.listen(outside.db.writer, "commit", self._at_commit)
        self._inside_person = False

    # Dying.

    def over(self) -> None:
        """Nobody listens any more."""
        event.remove(self.outside.db.writer, "commit", self._at_commit)

    def boundary(self) -> None:
        """A place where the process may die."""
        if self.fuse is not None:
            self.fuse -= 1
            if self.fuse <= 0:
                self.fuse = None
                raise Killed

    def _at_commit(self, _connection: object) -> None:
        self.boundary()

    def meanwhile(self) -> None:
        """During a call, people go on working, and the process may die."""
        if self.is_wild and not self._inside_person and self.rng.random() < 0.15:
            self.person()
        self.boundary()

    # What happens.

    def work(self, name: str) -> None:
        """A job of the machine, which may be cut short at any boundary."""
        jobs = {
            "predict": (predicting, {"project_id": self.project_id}),
            "decide": (deciding, {"project_id": self.project_id, "without_model": False}),
            "sync": (syncing, {"project_id": self.project_id}),
            "resolve": (resolving, {"project_id": self.project_id}),
        }
        module, arguments = jobs[name]
        self._run(name, lambda: module.run(_Run(self), arguments))  # type: ignore[attr-defined]

    def _run(self, name: str, job: Callable[[], Any]) -> None:
        self.fuse = self.rng.randrange(1, 14) if self.is_wild and self.rng.random() < 0.2 else None
        try:
            job()
        except (Killed, StepCancelled):
            self.note(f"{name} killed")
        except (WorkbenchError, IntegrationError) as problem:
            self.note(f"{name} failed: {type(problem).__name__}")
        finally:
            self.fuse = None

    def bring_in(self) -> None:
        """A file: new rows, some known, some that cannot be used; perhaps the same file twice."""
        number = next(self.batches)
        path = self.outside.settings.data_dir / f"batch-{number}.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "text"])
            for i in range(ITEMS):
                known = self.rng.random() < 0.2
                name = f"{max(number - known, 1)}-{i}"
                text = "" if self.rng.random() < 0.05 else f"text {name}"
                writer.writerow([name, text])
        ids = []
        for _ in range(1 + (self.is_wild and self.rng.random() < 0.2)):
            with self.outside.db.write() as session:
                mapping = ColumnMapping(text="text", external_id="id")
                ids.append(
                    start_import(self.outside, session, self.project_id, path, path.name, mapping, "t")[0]
                )
        for import_id in ids:
            self._run("import", lambda number=import_id: self._import(number))  # type: ignore[misc]

    def _import(self, import_id: int) -> None:
        importing.run_import(_Run(self), {"import_id": import_id})

    def finish_imports(self) -> None:
        """Imports that were cut short go on, as the engine has them do."""
        with self.outside.db.read() as session:
            ids = list(
                session.scalars(select(ImportRow.id).where(ImportRow.state.not_in(["done", "failed"])))
            )
        for import_id in ids:
            self._run("import", lambda number=import_id: self._import(number))  # type: ignore[misc]

    def person(self) -> None:
        """Somebody does something in Label Studio."""
        self._inside_person = True
        try:
            tasks = list(self.server.tasks.values())
            if not tasks:
                return
            task = self.rng.choice(tasks)
            user = self.rng.randrange(1, PEOPLE + 2)
            mine = [one for one in task.annotations.values() if one.completed_by == user]
            what = self.rng.choices(
                ("answer", "skip", "edit", "delete", "forge", "unknown", "delete task", "twice", "patch"),
                (60, 6, 10, 5, 2, 2, 2, 3, 2),
            )[0]
            self.act(what, task, user, mine)
        finally:
            self._inside_person = False

    def act(self, what: str, task: Any, user: int, mine: list[Any]) -> None:
        label = self.rng.choice(LABELS)
        if what == "answer" and not mine and not task.is_labeled:
            self.server.answer(task, user, label, lead_time_s=self.rng.uniform(0, 400))
        elif what == "twice":
            self.server.answer(task, user, label)
        elif what == "skip" and not mine:
            self.server.answer(task, user, None)
        elif what == "edit" and mine:
            self.server.edit(mine[0].annotation_id, label)
        elif what == "delete" and task.annotations:
            self.server.delete_annotation(self.rng.choice(list(task.annotations)))
        elif what == "forge":
            self.server.answer(task, user, label, updated_by=user % PEOPLE + 1)
        elif what == "unknown":
            self.server.answer(task, user, "No such label")
        elif what == "delete task":
            self.server.delete_tasks_by_hand(task.task_id)
        elif what == "patch":
            self.server.edit_by(task, user % PEOPLE + 1, label)
        else:
            return
        self.note(what)

    def happens(self) -> None:
        """Something that nobody asked for."""
        what = self.rng.choices(
            ("policy", "delete lane", "clock forward", "clock back", "server back", "foreign task"),
            (2, 1, 6, 1, 1, 2),
        )[0]
        if what == "policy":
            self.choose_policy()
        elif what == "delete lane" and self.server.lanes:
            self.server.delete_project(self.rng.choice(list(self.server.lanes)))
        elif what == "clock forward":
            self.clock.at += timedelta(seconds=self.rng.uniform(1, 900))
        elif what == "clock back":
            self.clock.back(self.rng.uniform(1, 120))
        elif what == "server back":
            self.clock.server_s -= self.rng.uniform(1, 120)
        elif what == "foreign task" and self.server.lanes:
            self.server.foreign_task(self.rng.choice(list(self.server.lanes)))
        else:
            return
        self.note(what)

    def choose_policy(self) -> None:
        """Another policy, or the same again."""
        document = self.rng.choice(POLICIES)
        with self.outside.db.write() as session:
            given = {"labels": LABELS, "pools": ["english"], "by": "t", "now": self.clock()}
            new_policy(session, self.project_id, document, **given)  # type: ignore[arg-type]

    def note(self, what: str) -> None:
        self.outcome.actions[what] += 1
        self.outcome.story.append(f"{self.clock.at:%H:%M:%S} {what}")

    # A life.

    def live(self, actions: int) -> None:
        """So many things happen, in whatever order."""
        self.server.fault_rate = self.rng.choice((0.0, 0.05, 0.15, 0.3))
        self.choose_policy()
        self.bring_in()
        for name in ("predict", "decide", "sync"):
            self.work(name)
        kinds = ("sync", "person", "machine", "happens", "import")
        for _ in range(actions):
            self.clock.at += timedelta(seconds=self.rng.choice((0.3, 1, 2, 5, 25)))
            what = self.rng.choices(kinds, (8, 22, 7, 1, 0.3))[0]
            if what == "sync":
                self.note("sync")
                self.work("sync")
            elif what == "person":
                self.person()
            elif what == "machine":
                self.work(self.rng.choice(("predict", "decide", "resolve")))
            elif what == "happens":
                self.happens()
            else:
                self.bring_in()

    def settle(self) -> None:
        """The faults stop; the machine goes on for a while, and nobody helps."""
        self.is_wild, self.server.fault_rate = False, 0.0
        # A push that comes late is over when it has come; from then on a minute has to do.
        while self.server.pending:
            self.clock.at += timedelta(seconds=60)
            self.work("sync")
        for _ in range(5):
            for name in ("predict", "decide", "sync", "resolve"):
                self.work(name)
            self.finish_imports()
            self.clock.at += timedelta(seconds=16)
        # What is without an owner now will be in ten minutes, as nobody comes to help.
        self.clock.at += timedelta(minutes=11)

    def judge(self) -> None:
        """Which invariants do not hold."""
        results = check(self.outside, CHECKED, settle_s=0)
        self.outcome.violations = [(one.key, v) for one in results for v in one.violations]


def run(template: Template, seed: int, actions: int = 60) -> Outcome:
    """One life from one seed."""
    clock = Clock()
    server = Unruly(clock.of_server, random.Random(seed + 1))
    with template.copy(clock, random.Random(seed + 2), server) as outside:
        life = Life(outside, clock, server, template, seed)
        try:
            life.live(actions)
            life.settle()
            life.judge()
        except Exception as problem:  # noqa: BLE001 - whatever broke is what is looked for
            import traceback

            life.outcome.broke = "".join(traceback.format_exception(problem)[-6:])
        finally:
            life.over()
        life.outcome.actions.update(server.faults)
        return life.outcome
