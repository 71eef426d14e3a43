"""100,000 rows imported from a file, against the same rows written bare: COPY on PostgreSQL, executemany on SQLite.

    python -m tests.benchmarks.import_items --json

Both run in this process's children on the same fresh databases with the same tables, indexes and durability; the
bare way writes rows that are ready in memory, in one transaction, and checks nothing. Memory is what a child that
imports needs at most above what it needed idle (VmHWM). Exit status 1 where ours falls below its share of the bare
speed on either database, or an import takes more than 300 MB.
"""

import csv
import json
import random
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import select

from tests.benchmarks.label_studio_bench import Clock, finish, say
from tests.factories import make_project
from tests.postgresql_server import PostgreSQLServer, running_server, schema_on
from tests.unit.workbench.items.running import Run
from workbench.db.tables import all_tables
from workbench.items.jobs import JOB
from workbench.items.reading.detect import ColumnMapping
from workbench.items.service import save_upload, start_import
from workbench.outside import Outside, outside_of
from workbench.settings import load_settings

N = 100_000
FORMATS = ("csv", "jsonl", "parquet", "datasets", "xlsx")
MOST_MB = 300
# Shares of the bare speed; a bare load reads no file, gives no ids, judges no row and seals no moves.
FLOORS = {"sqlite": 0.06, "postgresql": 0.06}
TABLES = ("items", "item_parts", "item_moves")
COLUMNS = ("id", "text", "language", "stars", "day")
MAPPING = {"text": "text", "external_id": "id", "language": "language"}


def main() -> int:
    """Measures each format on SQLite for memory, CSV on both databases for speed."""
    with tempfile.TemporaryDirectory() as folder:
        files = write_files(Path(folder))
        memory = {form: child(Path(folder) / f"db-{form}", "", file) for form, file in files.items()}
        for form, seen in memory.items():
            say(f"{form}: {N / seen['seconds']:,.0f} rows/s, {seen['mb']:.0f} MB above idle")
        report: dict[str, float | int | str] = {"rows": N}
        for form, seen in memory.items():
            report |= {f"{form}_rows_per_s": round(N / seen["seconds"]), f"{form}_mb": round(seen["mb"])}
        ratios = {"sqlite": sqlite_ratio(Path(folder), memory["csv"]["seconds"], report)}
        with server() as postgresql:
            url = schema_on(postgresql)
            seconds = child(Path(folder) / "postgresql", url, files["csv"])["seconds"]
            ratios["postgresql"] = postgresql_ratio(postgresql, url, seconds, report)
    report |= {f"{name}_ratio": round(ratio, 2) for name, ratio in ratios.items()}
    worst = max(seen["mb"] for seen in memory.values())
    if worst > MOST_MB:
        say(f"an import took {worst:.0f} MB above the idle process; the limit is {MOST_MB}")
        ratios["sqlite"] = 0.0
    share = min(ratio / FLOORS[name] for name, ratio in ratios.items())
    return finish("import_items", report, ratio=share, floor=1.0)


def write_files(folder: Path) -> dict[str, Path]:
    """The same rows in every format."""
    import datasets  # type: ignore[import-untyped]
    import openpyxl
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = random.Random(7)
    words = [f"word{i}" for i in range(5000)]
    rows = [
        (f"id{i}", " ".join(rng.choices(words, k=20)), "en", i % 5, f"2026-01-{i % 28 + 1:02d}")
        for i in range(N)
    ]
    files = {form: folder / f"items.{form}" for form in FORMATS}
    with files["csv"].open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    with files["jsonl"].open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(dict(zip(COLUMNS, row, strict=True))) + "\n" for row in rows)
    table = pa.table({name: [row[i] for row in rows] for i, name in enumerate(COLUMNS)})
    pq.write_table(table, files["parquet"])
    datasets.disable_progress_bars()
    datasets.Dataset(table).save_to_disk(str(files["datasets"]))
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet()
    for row in (COLUMNS, *rows):
        sheet.append(row)
    book.save(files["xlsx"])
    return files


def child(data: Path, url: str, file: Path) -> dict[str, float]:
    """Seconds and megabytes of an import in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.import_items", "--child", str(data), url, str(file)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seen: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return seen


def run_child(data: Path, url: str, file: Path) -> None:
    """Import the file as a worker would, and print what it took."""
    import workbench.worker  # noqa: F401 - what an idle worker holds in memory
    from workbench.items.uploads.files import opened_source

    outside = outside_of(load_settings(data_dir=data, database_url=url), label_studio=_none)
    if not url:
        all_tables().create_all(outside.db.writer)
    with outside.db.write() as session:
        project_id = make_project(session).id
    idle = _most_mb()
    clock = Clock()
    with opened_source(file) as stream:
        path = save_upload(outside, project_id, file.name, stream)
    with outside.db.write() as session:
        mapping = ColumnMapping.of(MAPPING)
        import_id, _ = start_import(outside, session, project_id, path, file.name, mapping, "benchmark")
    result = JOB.run(Run(outside), {"import_id": import_id})
    seconds = clock()
    if not isinstance(result, dict) or result["added"] != N:
        raise SystemExit(f"not every row was added: {result}")
    _checkpoint(outside)
    outside.db.close()
    print(json.dumps({"seconds": seconds, "mb": _most_mb() - idle}))


def sqlite_ratio(folder: Path, seconds: float, report: dict[str, Any]) -> float:
    """Our speed as a share of executemany's."""
    full = folder / "db-csv" / "workbench.sqlite3"
    empty = outside_of(load_settings(data_dir=folder / "bare"), label_studio=_none)
    all_tables().create_all(empty.db.writer)
    empty.db.close()
    with closing(sqlite3.connect(full)) as source:
        rows = {name: source.execute(f"SELECT * FROM {name}").fetchall() for name in TABLES}
        heads = {name: [one[1] for one in source.execute(f"PRAGMA table_info({name})")] for name in TABLES}
    with closing(sqlite3.connect(folder / "bare" / "workbench.sqlite3", isolation_level=None)) as bare:
        bare.execute("PRAGMA journal_mode=WAL")
        bare.execute("PRAGMA synchronous=FULL")
        clock = Clock()
        bare.execute("BEGIN IMMEDIATE")
        for name in TABLES:
            marks = ",".join("?" * len(heads[name]))
            bare.executemany(f"INSERT INTO {name} ({','.join(heads[name])}) VALUES ({marks})", rows[name])
        bare.execute("COMMIT")
        plain = clock()
    return _ratio("sqlite", seconds, plain, report)


def postgresql_ratio(postgresql: PostgreSQLServer, url: str, seconds: float, report: dict[str, Any]) -> float:
    """Our speed as a share of COPY's."""
    other = schema_on(postgresql)
    with psycopg.connect(url) as source, psycopg.connect(other) as bare:
        rows = {name: source.execute(f"SELECT * FROM {name}").fetchall() for name in TABLES}
        bare.execute("SET session_replication_role = replica")  # the project's row is not there
        clock = Clock()
        for name in TABLES:
            with bare.cursor().copy(f"COPY {name} FROM STDIN") as copy:
                for row in rows[name]:
                    copy.write_row([json.dumps(one) if isinstance(one, dict) else one for one in row])
        bare.commit()
        plain = clock()
    return _ratio("postgresql", seconds, plain, report)


def _ratio(name: str, seconds: float, plain: float, report: dict[str, Any]) -> float:
    report |= {f"{name}_rows_per_s": round(N / seconds), f"{name}_bare_rows_per_s": round(N / plain)}
    say(f"{name}: ours {N / seconds:,.0f} rows/s, bare {N / plain:,.0f} rows/s")
    return plain / seconds


@contextmanager
def server() -> Iterator[PostgreSQLServer]:
    """A PostgreSQL of its own."""
    running = running_server()
    try:
        yield next(running)
    finally:
        running.close()  # type: ignore[attr-defined]


def _checkpoint(outside: Outside) -> None:
    with outside.db.read() as session:
        session.execute(select(1))


def _most_mb() -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


def _none(url: str, token: str) -> Any:
    raise AssertionError("an import asks no Label Studio")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        run_child(Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
        sys.exit(0)
    sys.exit(main())
