"""An installation on a real Label Studio: project, model, people with accounts, and people at work."""

from __future__ import annotations

import csv
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import select

from integrations.label_studio.client import LabelStudioClient
from models.keyword import KeywordPredictor
from tests.label_studio_server import PASSWORD, TestServer, sign_in
from workbench.adapters import model_loader
from workbench.auth.domain import Permission
from workbench.auth.service import ensure_roles
from workbench.db import migrate
from workbench.items.reading.detect import ColumnMapping
from workbench.items.service import start_import
from workbench.items.store import counts_by_state
from workbench.items.tables import ItemPartRow, ItemRow
from workbench.jobs.definition import JobKind, Json, checked_json
from workbench.jobs.engine import Engine
from workbench.labeling.tables import LaneRow
from workbench.model_versions.service import promote, register_version
from workbench.outside import Outside, outside_of, system_now
from workbench.people.invitations import accept_invitation, invite_person
from workbench.people.service import connect_server
from workbench.people.store import account_of, find_server, pool_ids, server_named
from workbench.people.tables import ServerRow
from workbench.projects.reading import read_document
from workbench.projects.store import find_project
from workbench.projects.tables import ProjectRow
from workbench.pump import beat_until
from workbench.settings import Settings, load_settings
from workbench.setup.service import set_up_project
from workbench.worker import JOBS

LABELS = ("Positive", "Neutral", "Negative")
KEYWORDS = {"Positive": ["splendid"], "Neutral": ["ordinary"], "Negative": ["dreadful"]}
HINTS = {"Positive": "warm", "Neutral": "plain", "Negative": "cold"}
READERS = ("Ann", "Ben", "Cleo", "Dan", "Eve")
DECIDER = "Fay"
KEY = "notes"
BY = "pm@example.com"


@dataclass(frozen=True)
class Note:
    """A text whose right label is known.

    Attributes:
        label: What people answer; on a mixed note it depends on who answers.
        kind: `sure` (the model knows), `hint` (people know), `mixed` (people disagree), `urgent`.
    """

    external_id: str
    text: str
    label: str
    kind: str


def notes(n: int, seed: int = 1) -> list[Note]:
    """Half of the notes hold a keyword of the model, one in twelve splits people, some are urgent."""
    chance = random.Random(seed)
    made = []
    for i in range(n):
        label = LABELS[chance.randrange(3)]
        kind = "sure" if i % 2 else ("mixed" if i % 12 == 0 else "urgent" if i % 10 == 4 else "hint")
        word = KEYWORDS[label][0] if kind == "sure" else f"{kind} {HINTS[label]}"
        made.append(Note(f"note-{i:04d}", f"note {i:04d}: a {word} day", label, kind))
    return made


def answer_to(text: str, person: int) -> str:
    """What a person answers, known in advance: the hint or keyword; on mixed texts each has an own mind."""
    if "mixed" in text:
        return LABELS[person % 3]
    words = set(text.split())
    return next(label for label in LABELS if {KEYWORDS[label][0], HINTS[label]} & words)


def document(**more: Any) -> dict[str, Any]:
    """The project as its owner would write it."""
    return {
        "apiVersion": "workbench/v1",
        "kind": "Project",
        "id": KEY,
        "title": "Notes of the day",
        "labels": [{"value": label} for label in LABELS],
        "server": "local",
        "budget": {"currency": "USD", "all_human_baseline_per_label": 0.08},
        "guideline": {"version": "1", "text": "As the writer means it."},
        "pools": [
            {"id": "readers", "name": "Readers", "price": 0.08, "unit": "item"},
            {"id": "deciders", "name": "Deciders", "price": 0.5, "unit": "item"},
        ],
        "qa": {"adjudicator": "deciders"},
        "routing": {
            "accept_at": 0.8,
            "routes": [
                {"when": 'meta.kind == "urgent"', "priority": 90},
                {"when": 'meta.kind == "mixed" or random_share(0.2)', "overlap": 2, "show_suggestion": False},
            ],
            "audit_rate": 0.1,
            "audit_overlap": 2,
            "blind_rate": 0.1,
        },
    } | more


@dataclass
class Person:
    """Somebody who was invited."""

    name: str
    email: str
    pool: str
    number: int
    ls_user_id: int = 0


@dataclass
class Installation:
    """A workbench with one project on one Label Studio.

    Attributes:
        patience_s: How long new clients of Label Studio wait for an ordinary answer.
    """

    outside: Outside
    server: TestServer
    project_id: int
    server_id: int
    folder: Path
    people: list[Person] = field(default_factory=list)
    clients: list[LabelStudioClient] = field(default_factory=list)
    patience_s: float = 60.0

    def close(self) -> None:
        """Give back all connections."""
        for client in self.clients:
            client.close()
        self.outside.db.close()

    @property
    def settings(self) -> Settings:
        return self.outside.settings

    def project(self) -> ProjectRow:
        with self.outside.db.read() as session:
            return find_project(session, KEY)

    def server_row(self) -> ServerRow:
        with self.outside.db.read() as session:
            return find_server(session, self.server_id)

    def states(self) -> dict[str, int]:
        """Items by state, only those that occur."""
        with self.outside.db.read() as session:
            found = counts_by_state(session, self.project_id)
        return {state.value: n for state, n in found.items() if n}

    def lanes(self) -> dict[int, str]:
        """Label Studio projects of the lanes that exist, with the pool that works there."""
        with self.outside.db.read() as session:
            pools = {number: key for key, number in pool_ids(session).items()}
            rows = session.scalars(select(LaneRow).where(LaneRow.ls_project_id.is_not(None)))
            return {row.ls_project_id: pools[row.pool_id] for row in rows if row.ls_project_id}

    def bring_in(self, made: Sequence[Note], name: str = "notes.csv") -> str:
        """Ask for the import of notes as a file; returns the job's id."""
        path = self.folder / name
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "text", "kind"])
            writer.writerows([one.external_id, one.text, one.kind] for one in made)
        mapping = ColumnMapping(text="text", external_id="id")
        with self.outside.db.write() as session:
            _, job_id = start_import(self.outside, session, self.project_id, path, name, mapping, BY)
        return job_id

    def texts(self) -> dict[str, str]:
        """Texts by external id."""
        with self.outside.db.read() as session:
            rows = session.execute(
                select(ItemRow.external_id, ItemPartRow.text)
                .join(ItemPartRow, ItemPartRow.item_id == ItemRow.id)
                .where(ItemPartRow.kind == "text")
            )
            return {row.external_id: row.text for row in rows}

    def once(self, kind: JobKind, arguments: dict[str, Any] | None = None) -> Any:
        """Run a job right here, steps one after the other, without an engine."""
        return kind.run(_Here(self.outside), arguments or {"project_id": self.project_id})


class _Here:
    """A running job without an engine; what must survive JSON is checked all the same."""

    job_id = "here"

    def __init__(self, outside: Outside) -> None:
        self.outside = outside

    def step(self, function: Callable[..., Json], *arguments: Json) -> Any:
        checked_json(list(arguments), "arguments")
        return checked_json(function(self.outside, *arguments), "result")

    def progress(self, done: int, total: int | None = None, message: str = "") -> None:
        """Nobody watches."""


@contextmanager
def installation(folder: Path, server: TestServer, **more: Any) -> Iterator[Installation]:
    """What `build` makes, closed at the end."""
    made = build(folder, server, **more)
    try:
        yield made
    finally:
        made.close()


def build(
    folder: Path,
    server: TestServer,
    *,
    address: str = "",
    lane_limit: int = 40,
    readers: Sequence[str] = READERS,
    settings: dict[str, Any] | None = None,
    clock: Callable[[], Any] = system_now,
    **parts: Any,
) -> Installation:
    """A workbench in a folder, its project set up, its people invited and in.

    Args:
        folder: An empty folder.
        server: The real Label Studio.
        address: Where the workbench finds it, where that is not the server itself (a proxy).
        lane_limit: Tasks waiting in one lane.
        readers: Names of those who label; one more person adjudicates.
        settings: More settings of the installation.
        clock: The workbench's clock.
        parts: Parts of the project's document, instead of the usual ones.
    """
    chosen = load_settings(
        **{"data_dir": folder / "data", "poll_seconds": 0.5, "idle_poll_seconds": 1.0, **(settings or {})}
    )
    migrate.upgrade(chosen)
    clients: dict[tuple[str, str], LabelStudioClient] = {}

    def client(url: str, token: str) -> LabelStudioClient:
        if (url, token) not in clients:
            clients[url, token] = LabelStudioClient(url, token, timeout_s=made.patience_s)
            made.clients.append(clients[url, token])
        return clients[url, token]

    outside = outside_of(chosen, label_studio=client, load_model=model_loader(chosen), now=clock)
    made = Installation(outside, server, 0, 0, folder)
    with outside.db.write() as session:
        ensure_roles(session)
    row = connect_server(outside, name="local", url=server.url, token=server.token)
    set_up_project(outside, read_document(document(lane_limit=lane_limit, **parts)), BY)
    with outside.db.read() as session:
        project = find_project(session, KEY)
    made.project_id, made.server_id = project.id, row.id
    for number, name in enumerate((*readers, DECIDER)):
        made.people.append(_invite(made, name, "deciders" if name == DECIDER else "readers", number))
    _go_live(made)
    if address:
        with outside.db.write() as session:
            found = server_named(session, "local")
            assert found is not None
            # Another address forgets the token: it belongs to the one it was given for.
            found.url = address
            found.token = outside.vault.lock(server.token.encode())
    return made


def _invite(made: Installation, name: str, pool: str, number: int) -> Person:
    """By a real invitation: its link makes the account here and in Label Studio."""
    email = f"{name.lower()}-{uuid.uuid4().hex[:8]}@example.com"
    with made.outside.db.write() as session:
        invited = invite_person(
            session,
            made.outside,
            email=email,
            name=name,
            pool_id=pool_ids(session)[pool],
            project_id=None,
            server_id=made.server_id,
            by=BY,
            may=frozenset(Permission),
        )
    accept_invitation(made.outside, invited.token, PASSWORD)
    with made.outside.db.read() as session:
        account = account_of(session, made.server_id, email)
    assert account is not None
    return Person(name, email, pool, number, account.ls_user_id)


def _go_live(made: Installation) -> None:
    KeywordPredictor(KEYWORDS).save(made.folder / "keywords")
    outside = made.outside
    with outside.db.write() as session:
        project = find_project(session, KEY)
        version = register_version(outside, session, project, made.folder / "keywords", labels=LABELS, by=BY)
        promote(session, project.id, version.id, by=BY, now=outside.now())


def region(label: str) -> dict[str, Any]:
    """One choice as Label Studio's own screen sends it."""
    return {"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": [label]}}


def give(browser: httpx.Client, task_id: int, label: str, **more: Any) -> int:
    """The id of an annotation that a signed-in person gives."""
    body = {"result": [region(label)], "lead_time": 2.5} | more
    answer = browser.post(f"/api/tasks/{task_id}/annotations/", json=body)
    assert answer.status_code == httpx.codes.CREATED, answer.text
    return int(answer.json()["id"])


def skip(browser: httpx.Client, task_id: int) -> int:
    """The id of a skip."""
    body = {"result": [], "was_cancelled": True, "lead_time": 1.0}
    answer = browser.post(f"/api/tasks/{task_id}/annotations/", json=body)
    assert answer.status_code == httpx.codes.CREATED, answer.text
    return int(answer.json()["id"])


def next_task(browser: httpx.Client, ls_project_id: int) -> dict[str, Any] | None:
    """What Label Studio offers this person next in a lane."""
    answer = browser.get(f"/api/projects/{ls_project_id}/next")
    return answer.json() if answer.status_code == httpx.codes.OK else None


@dataclass
class Given:
    """What people did, in their order."""

    annotations: list[tuple[str, int, str, int]] = field(default_factory=list)
    """Person, lane, text, annotation id."""
    problems: list[str] = field(default_factory=list)


@contextmanager
def at_work(made: Installation, *, pause_s: float = 0.02, skips: float = 0.0) -> Iterator[Given]:
    """All people label what they are offered, each in a thread of their own, until the block ends."""
    stop, given = threading.Event(), Given()

    def work(person: Person) -> None:
        chance = random.Random(person.number)
        try:
            with sign_in(made.server.url, person.email, PASSWORD) as browser:
                while not stop.wait(pause_s):
                    if not _one_round(made, person, browser, given, chance, skips, stop):
                        stop.wait(0.3)
        except (httpx.HTTPError, AssertionError) as problem:
            given.problems.append(f"{person.name}: {problem!r}")

    threads = [threading.Thread(target=work, args=(person,)) for person in made.people]
    for thread in threads:
        thread.start()
    try:
        yield given
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=30)
    assert given.problems == []


def _one_round(
    made: Installation,
    person: Person,
    browser: httpx.Client,
    given: Given,
    chance: random.Random,
    skips: float,
    stop: threading.Event,
) -> bool:
    did = False
    for lane in [lane for lane, pool in made.lanes().items() if pool == person.pool]:
        while not stop.is_set() and (task := next_task(browser, lane)):
            text = task["data"]["text"]
            # The only one who decides cannot pass: nobody comes after them.
            if person.pool != "deciders" and chance.random() < skips:
                made_id = skip(browser, task["id"])
            else:
                made_id = give(browser, task["id"], answer_to(text, person.number))
            given.annotations.append((person.name, lane, text, made_id))
            did = True
    return did


@contextmanager
def worker(made: Installation) -> Iterator[None]:
    """The jobs of a worker, inside this process."""
    stop, engine = threading.Event(), Engine(made.outside, JOBS)
    engine.start()
    pump = threading.Thread(target=beat_until, args=(stop, made.outside, engine))
    pump.start()
    try:
        yield
    finally:
        stop.set()
        pump.join(timeout=30)
        engine.stop()


def wait_until(
    done: Callable[[], Any], *, seconds: float, what: str | Callable[[], Any], look_s: float = 0.1
) -> Any:
    """What `done` gives as soon as it is something; fails after a while, naming what was awaited."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := done():
            return found
        time.sleep(look_s)
    raise AssertionError(f"waited {seconds:g} s in vain: {what if isinstance(what, str) else what()}")
