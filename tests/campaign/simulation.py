"""One simulated life of a project: our own push, reading, judging and booking over a server that misbehaves.

Everything is drawn from one seed: what people do, what goes wrong, where the process dies. When the faults
stop and a minute or so has passed on the virtual clock, every invariant must hold.
"""

from __future__ import annotations

import csv
import itertools
import random
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import event, select

from integrations.errors import IntegrationError
from tests.campaign.misfortunes import KINDS, WEIGHTS, Misfortunes
from tests.campaign.template import NORTHERNERS, PEOPLE, POLICIES, POOLS, Clock, Template
from tests.campaign.unruly import Unruly
from tests.factories import LABELS
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
from workbench.outside import Outside
from workbench.prelabeling import jobs as predicting

ITEMS = 8
ACTIONS, WIDE_ACTIONS = 60, 100
CUT_RATE = 0.04
CHECKED = ("I1", "I2", "I3", "I4", "I5", "I8", "I9", "I10", "I15", "I16")
WIDE = (*CHECKED, "I7", "I12", "I14", "I19")


class Killed(BaseException):
    """The process dies here: nothing after this line happens, no handler runs to mend it."""


@dataclass
class Outcome:
    """How one life ended."""

    seed: int
    is_wide: bool = False
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
        kind = "wide" if self.is_wide else "sim"
        again = f"python -m tests.campaign.chaos --only {kind} --seed {self.seed} --runs 1 --story"
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
        self.wide: Misfortunes | None = None
        self.cut: Callable[[], None] | None = None
        self._is_guarded = False
        server.at_call = self.meanwhile
        event.listen(outside.db.writer, "commit", self._at_commit)
        self._inside_person = False

    def widen(self, template: Template, north: Unruly, rng: random.Random) -> None:
        """A second supplier with a server of its own, webhooks, restores, recalls and exports as well."""
        north.at_call = self.meanwhile
        self.wide = Misfortunes(self, template, north, rng)
        self.outcome.is_wide = True

    # Dying.

    def over(self) -> None:
        """Nobody listens any more."""
        event.remove(self.outside.db.writer, "commit", self._at_commit)

    def boundary(self) -> None:
        """A place where the process may die, or lose its database."""
        if self.cut and self.is_wild and self._is_guarded and self.rng.random() < CUT_RATE:
            self.note("connections cut")
            self.cut()
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
            "hinted": (syncing, {"project_id": self.project_id, "hinted": True}),
            "resolve": (resolving, {"project_id": self.project_id}),
        }
        module, arguments = jobs[name]
        self.guarded(name, lambda: module.run(_Run(self), arguments))  # type: ignore[attr-defined]

    def job(self) -> _Run:
        """A job run by hand."""
        return _Run(self)

    def guarded(self, name: str, job: Callable[[], Any]) -> None:
        """Work that may be cut short, and that may fail for a reason that is told."""
        self.fuse = self.rng.randrange(1, 14) if self.is_wild and self.rng.random() < 0.2 else None
        was_guarded, self._is_guarded = self._is_guarded, True
        try:
            job()
        except (Killed, StepCancelled):
            self.note(f"{name} killed")
            if self.wide is not None:
                self.wide.begin_anew()
        except (WorkbenchError, IntegrationError) as problem:
            self.note(f"{name} failed: {type(problem).__name__}")
        finally:
            self.fuse = None
            self._is_guarded = was_guarded

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
            self.guarded("import", lambda number=import_id: self._import(number))  # type: ignore[misc]

    def _import(self, import_id: int) -> None:
        importing.run_import(_Run(self), {"import_id": import_id})

    def finish_imports(self) -> None:
        """Imports that were cut short go on, as the engine has them do."""
        with self.outside.db.read() as session:
            ids = list(
                session.scalars(select(ImportRow.id).where(ImportRow.state.not_in(["done", "failed"])))
            )
        for import_id in ids:
            self.guarded("import", lambda number=import_id: self._import(number))  # type: ignore[misc]

    def person(self) -> None:
        """Somebody does something in Label Studio."""
        self._inside_person = True
        try:
            server = self._some_server()
            tasks = list(server.tasks.values())
            if not tasks:
                return
            task = self.rng.choice(tasks)
            first = 1 if server is self.server else PEOPLE + 2
            user = self.rng.randrange(first, first + (PEOPLE + 1 if first == 1 else NORTHERNERS))
            mine = [one for one in task.annotations.values() if one.completed_by == user]
            what = self.rng.choices(
                ("answer", "skip", "edit", "delete", "forge", "unknown", "delete task", "twice", "patch"),
                (60, 6, 10, 5, 2, 2, 2, 3, 2),
            )[0]
            self.act(what, task, user, mine, server)
        finally:
            self._inside_person = False

    def _some_server(self) -> Unruly:
        if self.wide is None:
            return self.server
        return self.rng.choice((self.server, self.server, self.wide.north))

    def act(self, what: str, task: Any, user: int, mine: list[Any], server: Unruly) -> None:
        label = self.rng.choice(LABELS)
        if what == "answer" and not mine and not task.is_labeled:
            server.answer(task, user, label, lead_time_s=self.rng.uniform(0, 400))
        elif what == "twice":
            server.answer(task, user, label)
        elif what == "skip" and not mine:
            server.answer(task, user, None)
        elif what == "edit" and mine:
            server.edit(mine[0].annotation_id, label)
        elif what == "delete" and task.annotations:
            server.delete_annotation(self.rng.choice(list(task.annotations)))
        elif what == "forge":
            server.answer(task, user, label, updated_by=user % PEOPLE + 1)
        elif what == "unknown":
            server.answer(task, user, "No such label")
        elif what == "delete task":
            server.delete_tasks_by_hand(task.task_id)
        elif what == "patch":
            server.edit_by(task, user % PEOPLE + 1, label)
        else:
            return
        self.note(what)

    def happens(self) -> None:
        """Something that nobody asked for."""
        what = self.rng.choices(
            ("policy", "delete lane", "clock forward", "clock back", "server back", "foreign task"),
            (2, 1, 6, 1, 1, 2),
        )[0]
        server = self._some_server()
        if what == "policy":
            self.choose_policy()
        elif what == "delete lane" and server.lanes:
            server.delete_project(self.rng.choice(list(server.lanes)))
        elif what == "clock forward":
            self.clock.at += timedelta(seconds=self.rng.uniform(1, 900))
        elif what == "clock back":
            self.clock.back(self.rng.uniform(1, 120))
        elif what == "server back":
            self.clock.server_s -= self.rng.uniform(1, 120)
        elif what == "foreign task" and server.lanes:
            server.foreign_task(self.rng.choice(list(server.lanes)))
        else:
            return
        self.note(what)

    def choose_policy(self) -> None:
        """Another policy, or the same again."""
        document = self.rng.choice(self.wide.policies if self.wide else POLICIES)
        with self.outside.db.write() as session:
            given = {"labels": LABELS, "pools": POOLS, "by": "t", "now": self.clock()}
            new_policy(session, self.project_id, document, **given)  # type: ignore[arg-type]

    def note(self, what: str) -> None:
        self.outcome.actions[what] += 1
        self.outcome.story.append(f"{self.clock.at:%H:%M:%S} {what}")

    # A life.

    def live(self, actions: int) -> None:
        """So many things happen, in whatever order."""
        self.server.fault_rate = self.rng.choice((0.0, 0.05, 0.15, 0.3))
        if self.wide is not None:
            self.wide.north.fault_rate = self.server.fault_rate
        self.choose_policy()
        self.bring_in()
        for name in ("predict", "decide", "sync"):
            self.work(name)
        kinds: tuple[str, ...] = ("sync", "person", "machine", "happens", "import")
        weights: tuple[float, ...] = (8, 22, 7, 1, 0.3)
        if self.wide is not None:
            kinds, weights = kinds + KINDS, weights + WEIGHTS
        for _ in range(actions):
            self.clock.at += timedelta(seconds=self.rng.choice((0.3, 1, 2, 5, 25)))
            what = self.rng.choices(kinds, weights)[0]
            if what == "sync":
                self.note("sync")
                self.work("sync")
            elif what == "person":
                self.person()
            elif what == "machine":
                self.work(self.rng.choice(("predict", "decide", "resolve")))
            elif what == "happens":
                self.happens()
            elif what == "import":
                self.bring_in()
            elif self.wide is not None:
                self.wide.happen(what)

    def settle(self) -> None:
        """The faults stop; the machine goes on for a while, and nobody helps."""
        self.is_wild = False
        servers = [self.server] if self.wide is None else [self.server, self.wide.north]
        for server in servers:
            server.fault_rate = 0.0
        # A push that comes late is over when it has come; from then on a minute has to do.
        while any(server.pending for server in servers):
            self.clock.at += timedelta(seconds=60)
            for server in servers:
                server.land()
            self.work("sync")
        if self.wide is not None:
            self.wide.calm()
        for _ in range(5):
            for name in ("predict", "decide", "sync", "resolve"):
                self.work(name)
            self.finish_imports()
            self.clock.at += timedelta(seconds=16)
        # What is without an owner now will be in ten minutes, as nobody comes to help.
        if self.wide is not None:
            self.wide.minutes(11)
        else:
            self.clock.at += timedelta(minutes=11)

    def judge(self) -> None:
        """Which invariants do not hold."""
        results = check(self.outside, WIDE if self.wide else CHECKED, settle_s=0)
        self.outcome.violations = [(one.key, v) for one in results for v in one.violations]
        if self.wide is not None:
            self.outcome.violations += self.wide.judge()


def run(
    template: Template, seed: int, *, is_wide: bool = False, cut: Callable[[], None] | None = None
) -> Outcome:
    """One life from one seed; a wide one has two servers, webhooks, restores, recalls and exports as well.

    Args:
        template: What is copied for it.
        seed: All that is drawn comes from it.
        is_wide: Whether it is wide.
        cut: Ends all connections to the database; called now and then.
    """
    clock = Clock()
    server = Unruly(clock.of_server, random.Random(seed + 1))
    north = Unruly(clock.of_server, random.Random(seed + 3))
    with template.copy(clock, random.Random(seed + 2), server, north) as outside:
        life = Life(outside, clock, server, template, seed)
        life.cut = cut
        if is_wide:
            life.widen(template, north, random.Random(seed + 4))
        try:
            life.live(WIDE_ACTIONS if is_wide else ACTIONS)
            life.settle()
            life.judge()
        except Exception as problem:  # noqa: BLE001 - whatever broke is what is looked for
            life.outcome.broke = "".join(traceback.format_exception(problem)[-6:])
        finally:
            life.over()
        life.outcome.actions.update(server.faults + north.faults)
        return life.outcome
