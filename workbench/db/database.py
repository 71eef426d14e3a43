"""Sessions: one writer at a time on SQLite, readers beside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session
from sqlalchemy.pool import QueuePool

_PRAGMAS = (
    "journal_mode=WAL",
    # NORMAL would let a power cut take rows which the job engine already counts as done.
    "synchronous=FULL",
    "busy_timeout=30000",
    "foreign_keys=ON",
    "cache_size=-65536",
    "temp_store=MEMORY",
    "mmap_size=268435456",
)


def wal_engine(url: str, *, writer: bool, pool_size: int) -> Engine:
    """An SQLite engine in WAL mode whose transactions begin at once (writer) or only read."""
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=120,
        # Errors are shown and logged; what items say must not be.
        hide_parameters=True,
        connect_args={"check_same_thread": False, "timeout": 30},
    )

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
        if not writer:
            connection.execute("PRAGMA query_only=ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writer else "BEGIN")

    return engine


def job_engine_database(url: str) -> Engine:
    """The job engine's own SQLite file: durable like ours; the engine begins its transactions itself."""
    engine = create_engine(
        url, poolclass=QueuePool, pool_size=8, max_overflow=8, pool_timeout=120, hide_parameters=True
    )

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: object) -> None:
        connection.isolation_level = "IMMEDIATE"
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=30000", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    return engine


class Database:
    """The application's database.

    `write()` opens a transaction that commits when the block ends; `read()` a snapshot that cannot
    change anything. Both raise what SQLAlchemy raises.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        if make_url(url).get_backend_name() == "sqlite":
            path = make_url(url).database
            if path and path != ":memory:":
                Path(path).parent.mkdir(parents=True, exist_ok=True)
            self.writer = wal_engine(url, writer=True, pool_size=1)
            self.reader = wal_engine(url, writer=False, pool_size=12)
        else:
            self.writer = create_engine(url, pool_size=12, pool_pre_ping=True, hide_parameters=True)
            self.reader = self.writer

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session whose work is committed once, at the end of the block."""
        with Session(self.writer, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that only reads, all from one moment."""
        with Session(self.reader, expire_on_commit=False) as session:
            yield session

    def close(self) -> None:
        """Give back all connections."""
        self.writer.dispose()
        self.reader.dispose()
