"""Anything that the HTTP API allows, in any order, by two operators and the machine; the books stay right."""

from __future__ import annotations

import itertools
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from hypothesis import HealthCheck, Phase, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import select
from starlette.testclient import TestClient

from tests.campaign.simulation import Life
from tests.campaign.template import IN_MEMORY, POLICIES, Clock, Template
from tests.campaign.unruly import Unruly
from tests.integration.web.clients import client_as
from workbench.deliveries import jobs as exporting
from workbench.invariants.service import check
from workbench.items import jobs as importing
from workbench.items.tables import ItemRow
from workbench.jobs.definition import JobState, StepCancelled
from workbench.jobs.store import finish
from workbench.jobs.tables import JobRow

ALWAYS = ("I2", "I8", "I9", "I10", "I12", "I15", "I16")
AT_THE_END = ("I1", "I3", "I4", "I5", *ALWAYS)
HERE = "/api/v1/projects/sentiment"
MAY_ANSWER = {200, 201, 202, 204, 303, 400, 403, 404, 409, 422, 429}
_places: list[Template] = []
_fresh: list[Callable[[], str]] = []
ANSWERED: Counter[tuple[str, str, int]] = Counter()
"""What the API said, so that a test can tell whether it was of use."""


def _template() -> Template:
    if not _places:
        folder = Path(tempfile.mkdtemp(dir=IN_MEMORY if IN_MEMORY.is_dir() else None))
        _places.append(Template(folder / "template", _fresh[0] if _fresh else None))
    return _places[0]


def forget_template() -> None:
    """Give back what the machines stood on."""
    while _places:
        made = _places.pop()
        made.close()
        shutil.rmtree(made.folder.parent, ignore_errors=True)


class Operations(RuleBasedStateMachine):
    """Two operators at the API, people in Label Studio, and a machine that works when it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        clock = Clock()
        self.server = Unruly(clock.of_server, random.Random(1))
        outside = self.stack.enter_context(_template().copy(clock, random.Random(2), self.server))
        self.life = Life(outside, clock, self.server, _template(), 3)
        self.stack.callback(self.life.over)
        self.life.is_wild = False
        self.operators = [client_as(outside, "admin"), client_as(outside, "pm")]
        for one in self.operators:
            self.stack.callback(one.close)
        self.files = itertools.count(1)

    def teardown(self) -> None:
        with self.stack:
            for operator in self.operators[:1]:
                client_as(self.life.outside, "admin", client=operator)  # Whatever role was left to them.
                self._ask(operator, "PUT", "/state", json={"state": "active"})
            self._work_off()
            self.life.settle()
            self._holds(AT_THE_END)

    def _ask(
        self, operator: TestClient, method: str, path: str, *, under: str = HERE, **more: Any
    ) -> httpx.Response:
        answer = operator.request(method, under + path, **more)
        if answer.status_code == httpx.codes.UNAUTHORIZED:  # So much time has passed: signed in again.
            role = "admin" if operator is self.operators[0] else "pm"
            operator.cookies.clear()
            client_as(self.life.outside, role, client=operator)
            answer = operator.request(method, under + path, **more)
        ANSWERED[method, path.partition("/jobs")[0], answer.status_code] += 1
        assert answer.status_code in MAY_ANSWER, (method, path, answer.status_code, answer.text)
        return answer

    def _holds(self, keys: tuple[str, ...]) -> None:
        results = check(self.life.outside, keys, settle_s=0)
        wrong = [f"{one.key}: {v.sentence}" for one in results for v in one.violations]
        assert not wrong, wrong[:5]

    @initialize()
    def line(self) -> None:
        """Some items are with people already."""
        self.life.bring_in()
        for name in ("predict", "decide", "sync"):
            self.life.work(name)

    @rule(
        who=st.integers(0, 1), rows=st.lists(st.integers(0, 30), min_size=1, max_size=6), other=st.booleans()
    )
    def import_rows(self, who: int, rows: list[int], other: bool) -> None:
        """New rows, known ones, and known ones with another text."""
        lines = ["id,text", *(f"{n},text {n}{' changed' * other}" for n in rows)]
        body = ("\n".join(lines) + "\n").encode()
        file = {"file": (f"file-{next(self.files)}.csv", body, "text/csv")}
        self._ask(self.operators[who], "POST", "/imports", files=file)

    @rule(who=st.integers(0, 1), which=st.integers(0, len(POLICIES) - 1), activate=st.booleans())
    def policy(self, who: int, which: int, activate: bool) -> None:
        given = {"document": POLICIES[which], "note": "", "activate": activate}
        self._ask(self.operators[who], "POST", "/routing", json=given)

    @rule(who=st.integers(0, 1), price=st.sampled_from(["0.05", "0.10", "0", "-1", "1e9"]))
    def price(self, who: int, price: str) -> None:
        given = {"pool": "english", "unit": "item", "price": price}
        self._ask(self.operators[who], "POST", "/prices", json=given)

    @rule(who=st.integers(0, 1), state=st.sampled_from(["active", "paused", "closed", "nonsense"]))
    def state(self, who: int, state: str) -> None:
        self._ask(self.operators[who], "PUT", "/state", json={"state": state})

    @rule(who=st.integers(0, 1), delivered=st.booleans(), form=st.sampled_from(["jsonl", "csv"]))
    def export(self, who: int, delivered: bool, form: str) -> None:
        self._ask(self.operators[who], "POST", "/exports", json={"format": form, "mark_delivered": delivered})

    @rule(who=st.integers(0, 1), which=st.integers(0, 5), what=st.sampled_from(["cancel", "resume"]))
    def stop_or_resume(self, who: int, which: int, what: str) -> None:
        """A job is cancelled before it began, or goes on."""
        with self.life.outside.db.read() as session:
            rows = session.scalars(select(JobRow).where(JobRow.kind.in_(["import", "export"]))).all()
        if which < len(rows):
            self._ask(self.operators[who], "POST", f"/jobs/{rows[which].id}/{what}")
            self._stop_cancelled()

    def _stop_cancelled(self) -> None:
        with self.life.outside.db.write() as session:
            for row in session.scalars(select(JobRow).where(JobRow.state == JobState.CANCELLING)):
                finish(session, row.id, JobState.CANCELLED, now=self.life.clock())

    @rule(
        who=st.integers(0, 1),
        which=st.lists(st.integers(0, 30), min_size=1, max_size=4),
        pool=st.sampled_from(["", "english", "deciders", "north", "nobody's"]),
    )
    def recall(self, who: int, which: list[int], pool: str) -> None:
        """Items are taken back, to another pool or to the decision."""
        with self.life.outside.db.read() as session:
            keys = list(session.scalars(select(ItemRow.public_id).order_by(ItemRow.id)))
        chosen = [keys[n % len(keys)] for n in which]
        given = {"ids": chosen, "pool": pool, "to_decision": not pool}
        self._ask(self.operators[who], "POST", "/items/recall", json=given)

    @rule(who=st.integers(0, 1), n=st.integers(0, 3), role=st.sampled_from(["viewer", "pm", "admin", "king"]))
    def user(self, who: int, n: int, role: str) -> None:
        """Somebody new, perhaps known already."""
        given = {"email": f"user{n}@example.org", "name": f"User {n}", "role": role}
        self._ask(self.operators[who], "POST", "/users", under="", data=given)

    @rule(who=st.integers(0, 1), n=st.integers(1, 5), role=st.sampled_from(["viewer", "pm", "admin", "king"]))
    def role(self, who: int, n: int, role: str) -> None:
        """Another role, perhaps one's own: both operators may end up as anything, as long as one may rule."""
        self._ask(self.operators[who], "POST", f"/users/{n}/role", under="", data={"role": role})

    @rule(name=st.sampled_from(["predict", "decide", "sync", "resolve"]))
    def machine(self, name: str) -> None:
        self.life.work(name)

    @rule()
    def jobs(self) -> None:
        self._work_off()

    @rule(n=st.integers(1, 6))
    def people(self, n: int) -> None:
        for _ in range(n):
            self.life.person()

    @rule(seconds=st.sampled_from([1, 30, 700, 4000]))
    def time_passes(self, seconds: int) -> None:
        self.life.clock.at += timedelta(seconds=seconds)

    @invariant()
    def the_books_are_right(self) -> None:
        self._holds(ALWAYS)

    def _work_off(self) -> None:
        """Imports and exports that wait are done."""
        with self.life.outside.db.read() as session:
            waiting = session.scalars(
                select(JobRow).where(JobRow.state.in_(["queued", "resuming"])).order_by(JobRow.created_at)
            ).all()
        for row in waiting:
            kind = {"import": importing.JOB, "export": exporting.JOB}.get(row.kind)
            if kind is not None:
                try:
                    result = kind.run(self.life.job(), dict(row.arguments))
                except StepCancelled:  # It was being stopped.
                    continue
                with self.life.outside.db.write() as session:
                    finish(session, row.id, JobState.DONE, now=self.life.clock(), result=result)


@contextmanager
def _quiet() -> Iterator[None]:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def walk(seed: int, examples: int, steps: int, fresh: Callable[[], str] | None = None) -> None:
    """So many walks of so many steps.

    Args:
        seed: All that is drawn comes from it.
        examples: How many walks.
        steps: How long each is.
        fresh: Address of an emptied database with the schema, for PostgreSQL; None: SQLite.

    Raises:
        AssertionError: The books were wrong after a step; the steps that led there are told.
    """
    chosen = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    _fresh[:] = [fresh] if fresh is not None else []
    try:
        run_state_machine_as_test(seeded(seed)(Operations), settings=chosen)
    finally:
        forget_template()


def trial(seed: int) -> tuple[int, int, str]:
    """Five walks of thirty steps."""
    import traceback

    try:
        with _quiet():
            walk(seed, 5, 30)
    except Exception as problem:  # noqa: BLE001 - whatever broke is what is looked for
        return 5, 1, "".join(traceback.format_exception(problem)[-4:])
    return 5, 0, ""
