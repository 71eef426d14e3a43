"""The disk is full, the clock jumps, files come twice, two operators act at once: nothing is lost or doubled."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event, func, select, text
from sqlalchemy.exc import OperationalError

from tests.campaign.simulation import Life
from tests.campaign.template import POLICIES, Clock, Template
from tests.campaign.unruly import Unruly
from tests.factories import LABELS
from tests.integration.web.clients import client_as
from workbench.decisions.tables import RoutingPolicyRow
from workbench.errors import WorkbenchError
from workbench.invariants.service import check
from workbench.items.jobs import run_import
from workbench.items.reading.detect import ColumnMapping
from workbench.items.service import start_import
from workbench.items.tables import ImportRow, ItemRow


class Here:
    job_id = "here"

    def __init__(self, outside):
        self.outside = outside

    def step(self, function, *arguments):
        return function(self.outside, *arguments)

    def progress(self, done, total=None, message=""):
        pass


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Iterator[Template]:
    made = Template(tmp_path_factory.mktemp("faults") / "template")
    yield made
    made.close()


@pytest.fixture
def life(template: Template) -> Iterator[Life]:
    clock = Clock()
    server = Unruly(clock.of_server, random.Random(1))
    with template.copy(clock, random.Random(2), server) as outside:
        made = Life(outside, clock, server, template, 1)
        made.is_wild = False
        yield made
        made.over()


def broken(life: Life, *only: str) -> list[str]:
    results = check(life.outside, only, settle_s=0)
    return [f"{one.key}: {v.sentence}" for one in results if one.key != "I17" for v in one.violations]


def new_import(life: Life, rows: list[str], name: str = "rows.csv") -> int:
    path = life.outside.settings.data_dir / name
    path.write_text("\n".join(["id,text", *rows]) + "\n")
    with life.outside.db.write() as session:
        mapping = ColumnMapping(text="text", external_id="id")
        return start_import(life.outside, session, life.project_id, path, name, mapping, "t")[0]


def bring(life: Life, import_id: int) -> None:
    run_import(Here(life.outside), {"import_id": import_id})


def items(life: Life) -> int:
    with life.outside.db.read() as session:
        return session.scalar(select(func.count()).select_from(ItemRow)) or 0


def the_line(life: Life) -> None:
    for name in ("predict", "decide", "sync", "resolve"):
        life.work(name)


def test_a_full_disk_stops_the_work_and_loses_nothing(life: Life):
    """`max_page_count` makes SQLite say what it says when the disk is full."""
    import_id = new_import(life, [f"{i},{'long ' * 300}{i}" for i in range(400)])
    room: list[int] = []

    def _limit(connection, _record):
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages + 40}")

    event.listen(life.outside.db.writer, "connect", _limit)
    life.outside.db.close()
    with pytest.raises((OperationalError, WorkbenchError)) as told:
        bring(life, import_id)
    assert "full" in str(told.value)
    room.append(items(life))
    assert 0 <= room[0] < 400
    assert broken(life) == []
    event.remove(life.outside.db.writer, "connect", _limit)
    life.outside.db.close()
    bring(life, import_id)
    assert items(life) == 400
    the_line(life)
    assert broken(life) == []


@pytest.mark.parametrize(
    "jumps_s",
    [[86_400 * 366], [-3600, 7200], [-30] * 6, [3600 * 26, -3600 * 26]],
    ids=["a leap year on", "an hour back", "back and back", "a day on and back"],
)
def test_a_clock_that_jumps_moves_nothing_twice(life: Life, jumps_s: list[int]):
    life.bring_in()
    the_line(life)
    for jump in jumps_s:
        life.clock.at += timedelta(seconds=jump)
        life.clock.server_s -= jump  # The server's clock does not jump.
        for _ in range(4):
            life.person()
            the_line(life)
            life.clock.at += timedelta(seconds=31)
    life.settle()
    assert broken(life) == []


@pytest.mark.parametrize(
    "at",
    [
        datetime(2026, 3, 29, 0, 55, tzinfo=UTC),
        datetime(2026, 10, 25, 0, 55, tzinfo=UTC),
        datetime(2028, 2, 28, 23, 55, tzinfo=UTC),
    ],
    ids=["summer time begins", "summer time ends", "leap day"],
)
def test_hours_are_counted_right_across_odd_nights(life: Life, at: datetime):
    life.clock.at = at
    life.bring_in()
    the_line(life)
    for _ in range(8):
        life.person()
        life.clock.at += timedelta(minutes=17)
        the_line(life)
    life.settle()
    assert broken(life, "I8", "I15") == []


def test_the_same_file_at_the_same_time_is_there_once(life: Life):
    rows = [f"{i},text {i}" for i in range(120)]
    ids = [new_import(life, rows, f"copy-{n}.csv") for n in range(4)]
    problems: list[BaseException] = []

    def work(import_id: int) -> None:
        try:
            bring(life, import_id)
        except BaseException as problem:  # noqa: BLE001 - told by the assertion below
            problems.append(problem)

    threads = [threading.Thread(target=work, args=(one,)) for one in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert problems == []
    assert items(life) == 120
    with life.outside.db.read() as session:
        added = session.scalars(select(ImportRow.rows_added).where(ImportRow.id.in_(ids))).all()
        known = session.scalars(select(ImportRow.rows_known).where(ImportRow.id.in_(ids))).all()
    assert (sum(added), sum(known)) == (120, 360)
    assert broken(life) == []


def test_two_operators_at_once_leave_one_policy_in_force(life: Life):
    operators = [client_as(life.outside, "admin"), client_as(life.outside, "pm")]
    answers: list[int] = []

    def work(who: int) -> None:
        for n in range(6):
            document = POLICIES[(n + who) % len(POLICIES)]
            given = {"document": document, "note": "", "activate": True}
            answers.append(operators[who].post("/api/v1/projects/sentiment/routing", json=given).status_code)

    threads = [threading.Thread(target=work, args=(who,)) for who in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    for one in operators:
        one.close()
    assert set(answers) == {201}
    with life.outside.db.read() as session:
        rows = session.scalars(select(RoutingPolicyRow).order_by(RoutingPolicyRow.version)).all()
    assert [row.version for row in rows] == list(range(1, len(rows) + 1))
    assert [row.state for row in rows].count("active") == 1
    assert broken(life) == []


def test_a_row_taken_from_the_books_is_noticed(life: Life):
    """What no code of ours does, but a hand in the database can: each loss is told apart."""
    life.bring_in()
    the_line(life)
    for _ in range(12):
        life.person()
    the_line(life)
    life.settle()
    assert broken(life) == []
    for sql, key in (
        ("DELETE FROM item_moves WHERE id = (SELECT min(id) FROM item_moves)", "I2"),
        ("UPDATE item_counts SET items = items + 1", "I15"),
        ("DELETE FROM ledger WHERE id = (SELECT min(id) FROM ledger)", "I8"),
        ("UPDATE decisions SET priority = priority + 1 WHERE id = (SELECT min(id) FROM decisions)", "I10"),
        ("UPDATE predictions SET confidence = 7", "I9"),
        ("UPDATE imports SET rows_added = rows_added + 1", "I1"),
    ):
        with life.outside.db.write() as session:
            session.execute(text(sql))
        assert any(one.startswith(f"{key}:") for one in broken(life, key)), sql
    assert len(LABELS) == 3
