"""What befalls a life besides: letters, restores of either side, recalls, exports, a second supplier."""

from __future__ import annotations

import random
import shutil
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.engine import make_url

from tests.campaign.mail import Post
from tests.campaign.template import POLICIES, POOLS, TWO_SUPPLIERS, Template
from tests.campaign.unruly import Unruly
from workbench.deliveries import jobs as exporting
from workbench.deliveries.service import start_delivery
from workbench.invariants.domain import Violation
from workbench.items.domain import Purpose
from workbench.items.tables import ItemRow
from workbench.jobs.tables import JobRow
from workbench.labeling import hints, planning
from workbench.labeling.life import FROZEN
from workbench.labeling.recalling import Route, recall_many
from workbench.labeling.restoring import resolve_restore
from workbench.labeling.tables import AnnotationRow, VisitRow
from workbench.people.store import find_server
from workbench.upkeep.restore import _doubt_lanes

if TYPE_CHECKING:
    from tests.campaign.simulation import Life

KINDS = ("hear", "forge", "recall", "export", "disaster", "decide")
WEIGHTS = (8, 1, 1.5, 1, 1.2, 2)
DISASTERS = ("none", "server", "north", "ours")
A_MINUTE = timedelta(seconds=61)
BLIND = frozenset({Purpose.AUDIT, Purpose.BLIND})


class Misfortunes:
    """Of one life.

    Attributes:
        disaster: Which side is restored from a back-up in this life.
    """

    def __init__(self, life: Life, template: Template, north: Unruly, rng: random.Random) -> None:
        self.life, self.rng, self.north = life, rng, north
        self.outside = life.outside
        self.disaster = rng.choice(DISASTERS)
        self.servers = {template.server_id: life.server, template.north_id: north}
        self.posts = [Post(life.outside, number, one, rng) for number, one in self.servers.items()]
        self.policies = (*POLICIES, TWO_SUPPLIERS, TWO_SUPPLIERS)
        self._exports: list[dict[str, Any]] = []
        self._own_backup: Path | None = None
        self._kept_then: list[set[bytes]] = []
        self._must_stay: set[int] = set()
        self._was_restored = False
        for one in self.servers.values():
            one.is_thorough = True
            self._watch_deletions(one)

    def _watch_deletions(self, server: Unruly) -> None:
        tell = server.tell

        def told(action: str, lane: int, task_id: int, annotation_id: int) -> None:
            tell(action, lane, task_id, annotation_id)
            if action == "ANNOTATIONS_DELETED" and self._must_stay:
                with self.outside.db.read() as session:
                    same = AnnotationRow.ls_annotation_id == annotation_id
                    self._must_stay -= set(session.scalars(select(AnnotationRow.id).where(same)))

        server.tell = told

    # What happens.

    def happen(self, what: str) -> None:
        """One of `KINDS`."""
        getattr(self, f"_{what}")()

    def _hear(self) -> None:
        """Letters arrive and are worked off; the lanes that they name are read."""
        for post in self.posts:
            self.life.guarded("letters", post.arrive)
        self.life.guarded("drain", lambda: hints.drain(self.outside))
        self.life.work("hinted")

    def _forge(self) -> None:
        self.life.note(f"forged: {self.rng.choice(self.posts).forge()}")

    def _recall(self) -> None:
        with self.outside.db.read() as session:
            keys = list(session.scalars(select(ItemRow.public_id).order_by(ItemRow.id)))
        chosen = self.rng.sample(keys, min(len(keys), 4))
        to_decision = self.rng.random() < 0.4
        route = Route("" if to_decision else self.rng.choice(POOLS), to_decision=to_decision)
        if chosen:
            self.life.note("recall")
            self.life.guarded(
                "recall",
                lambda: recall_many(
                    self.outside, self.life.project_id, chosen, route=route, by="t", reason=""
                ),
            )

    def _export(self) -> None:
        marked = self.rng.random() < 0.6

        def start() -> None:
            with self.outside.db.write() as session:
                job_id = start_delivery(
                    self.outside, session, self.life.project_id, "jsonl", "t", mark_delivered=marked
                )
                row = session.get_one(JobRow, job_id)
                arguments = dict(row.arguments)
            self._exports.append(arguments)
            self.life.note("export")

        self.life.guarded("export", start)
        self._write_exports()

    def _write_exports(self) -> None:
        """Those that were cut short go on, as the engine has them do."""
        for arguments in list(self._exports):

            def write(given: dict[str, Any] = arguments) -> None:
                exporting.run_export(self.life.job(), given)
                self._exports.remove(given)

            self.life.guarded("export", write)

    def _disaster(self) -> None:
        if self.disaster in {"server", "north"}:
            server_id = list(self.servers)[self.disaster == "north"]
            self._server_disaster(server_id, self.servers[server_id])
        elif self.disaster == "ours":
            self._own_disaster()

    def _server_disaster(self, server_id: int, server: Unruly) -> None:
        if server.backup is None:
            server.back_up()
            return
        there = {n for task in server.tasks.values() for n in task.annotations}
        with self.outside.db.read() as session:
            epoch = find_server(session, server_id).epoch
            rows = session.execute(
                select(AnnotationRow.id, AnnotationRow.ls_annotation_id).where(
                    AnnotationRow.server_id == server_id,
                    AnnotationRow.epoch == epoch,
                    AnnotationRow.deleted_at.is_(None),
                )
            )
            self._must_stay |= {row.id for row in rows if row.ls_annotation_id in there}
        server.restore()
        server.backup = None
        self._was_restored = True
        self.life.note("server restored")

    def _own_disaster(self) -> None:
        path = Path(make_url(self.outside.settings.database_url).database or "")
        self.outside.db.close()
        if self._own_backup is None:
            self._own_backup = path.with_suffix(".backup")
            shutil.copyfile(path, self._own_backup)
            self._kept_then = [set(post.kept) for post in self.posts]
            return
        for suffix in ("-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)
        shutil.copyfile(self._own_backup, path)
        self._own_backup = None
        # What came after the back-up is gone with it; what came before must be there.
        for post, kept in zip(self.posts, self._kept_then, strict=True):
            post.kept = kept
        self._exports.clear()
        with self.outside.db.write() as session:
            _doubt_lanes(session, self.outside.now())
        self.begin_anew()
        self._was_restored = True
        self.life.note("our database restored")

    def begin_anew(self) -> None:
        """A new process: what the one before had in memory is gone."""
        planning._begun.pop(self.outside.db, None)

    def _decide(self) -> None:
        """A person looks at the servers' pages and lets frozen ones go on."""
        for server_id in self._frozen():
            self.life.note("new epoch")
            self.life.guarded(
                "new epoch", lambda number=server_id: resolve_restore(self.outside, number, by="t")
            )

    def _frozen(self) -> list[int]:
        with self.outside.db.read() as session:
            return [number for number in self.servers if find_server(session, number).state == FROZEN]

    # The end.

    def calm(self) -> None:
        """All that is still on its way arrives; a restored server is noticed and decided about."""
        for post in self.posts:
            post.arrive(everything=True)
        # A lane where nothing is open is compared every ten minutes.
        self.minutes(11 if self._was_restored else 1, is_at_work=True)
        self._decide()

    def minutes(self, n: int, *, is_at_work: bool = False) -> None:
        """Letters are worked off, as the pump does; the rest of the machine goes on if it is said so."""
        for _ in range(n):
            self.life.clock.at += A_MINUTE
            hints.drain(self.outside)
            if is_at_work:
                self.life.work("sync")
        self._write_exports()

    def judge(self) -> list[tuple[str, Violation]]:
        """What only somebody outside can tell."""
        found = []
        for post in self.posts:
            for digest in post.lost():
                found.append(
                    _wrong("I6", f"letter:{digest}", "a letter that was answered with success is gone")
                )
        with self.outside.db.read() as session:
            gone = session.scalars(
                select(AnnotationRow.id).where(
                    AnnotationRow.id.in_(self._must_stay), AnnotationRow.deleted_at.is_not(None)
                )
            )
            for number in gone:
                found.append(
                    _wrong(
                        "I5", f"row:{number}", "an answer that nobody deleted was struck out after a restore"
                    )
                )
            visits = session.execute(select(VisitRow.public_id, VisitRow.purpose, VisitRow.show_suggestion))
            secret = {key for key, purpose, shown in visits if purpose in BLIND or not shown}
        for server in self.servers.values():
            for task in server.tasks.values():
                if task.new.visit_key in secret and task.new.result:
                    found.append(
                        _wrong("I13", f"task:{task.task_id}", "an audit shows what the model thinks")
                    )
        found += [
            _wrong("I3", f"server:{n}", "its lanes stay frozen after the decision") for n in self._frozen()
        ]
        return found


def _wrong(key: str, where: str, sentence: str) -> tuple[str, Violation]:
    return key, Violation(where, "seen_from_outside", f"{where}: {sentence}", "")
