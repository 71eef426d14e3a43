"""Connections: SQLite in WAL mode with one writer, PostgreSQL with pools and limits of time."""

from __future__ import annotations

import json
import os
import secrets
import socket
from typing import Any

import psycopg
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.pool import QueuePool

from workbench.errors import InvalidInput

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

SCHEMA = "workbench_jobs"
"""On PostgreSQL the job engine's tables lie in this schema of the application's database."""

CONNECT_S = 5
LOCK_S = 30
WRITE_S, READ_S = 60, 60
# A process that sleeps within a transaction holds up everybody: its turn is taken from it.
IDLE_WRITE_S, IDLE_READ_S = 30, 300


def wal_engine(url: str | URL, *, writer: bool, pool_size: int) -> Engine:
    """An SQLite engine in WAL mode whose transactions begin at once (writer) or only read."""
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=120,
        # Errors are shown and logged; what items say must not be.
        hide_parameters=True,
        json_serializer=_to_json,
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

    refuse_nul(engine)
    return engine


def client_name() -> str:
    """A name for the connections of one `Database`, by which PostgreSQL shows whose they are."""
    return f"workbench {socket.gethostname()[:30]} {os.getpid()} {secrets.token_hex(4)}"


def postgresql_engine(
    url: URL, *, client: str, writer: bool = True, pool_size: int = 8, patient: bool = False
) -> Engine:
    """A PostgreSQL engine that writes (READ COMMITTED) or only reads, all from one moment.

    Args:
        url: With the driver that `database_address` chose.
        client: Name of the connections, as `client_name` makes them.
        writer: Else transactions are REPEATABLE READ, READ ONLY.
        pool_size: Connections at most; who finds none waits.
        patient: Without limits of time for statements and waits (migrations).
    """
    limits = {"timezone": "UTC"}
    if not patient:
        limits |= {
            "lock_timeout": f"{LOCK_S}s",
            "statement_timeout": f"{WRITE_S if writer else READ_S}s",
            "idle_in_transaction_session_timeout": f"{IDLE_WRITE_S if writer else IDLE_READ_S}s",
        }
    given = url.query.get("options", "")
    options = " ".join(f"-c {name}={value}" for name, value in limits.items())
    engine = create_engine(
        url.difference_update_query(["options"]),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=LOCK_S,
        # A connection that died while nobody looked is replaced before it is used.
        pool_pre_ping=True,
        pool_recycle=1800,
        hide_parameters=True,
        json_serializer=_to_json,
        connect_args={
            "connect_timeout": CONNECT_S,
            "application_name": client,
            # The driver would keep plans: one made while the tables were small reads a whole project for each
            # chunk of a large import.
            "prepare_threshold": None,
            "options": f"{given if isinstance(given, str) else ' '.join(given)} {options}".strip(),
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
        },
    )
    refuse_nul(engine)
    _know_the_lost(engine)
    if writer:
        return engine
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def job_engine_database(url: str | URL) -> Engine:
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


def refuse_nul(engine: Engine) -> None:
    """Have statements refused whose texts hold a NUL character: SQLite would keep it, PostgreSQL does not."""

    @event.listens_for(engine, "before_cursor_execute")
    def _look(
        _connection: Any, _cursor: Any, _statement: str, parameters: Any, _context: Any, many: Any
    ) -> None:
        # An INSERT of many rows at once comes as one flat row although it says `many`.
        rows = (
            parameters
            if many and all(isinstance(one, dict | tuple | list) for one in parameters)
            else (parameters,)
        )
        for row in rows:
            for value in row.values() if isinstance(row, dict) else row:
                if isinstance(value, str) and "\x00" in value:
                    raise InvalidInput(NUL)


def _know_the_lost(engine: Engine) -> None:
    """Have every failure to reach the server count as a lost connection, whatever its words."""

    @event.listens_for(engine, "handle_error")
    def _look(context: Any) -> None:
        problem = context.original_exception
        if isinstance(problem, psycopg.OperationalError) and not problem.sqlstate:
            context.is_disconnect = True


NUL = "a text holds a NUL character (\\x00), which cannot be stored; take it out and send it again"


def _to_json(value: Any) -> str:
    written = json.dumps(value)
    # A backslash before it makes it the six characters themselves, which are harmless.
    if "\\u0000" in written and _holds_nul(value):
        raise InvalidInput(NUL)
    return written


def _holds_nul(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_holds_nul(one) for pair in value.items() for one in pair)
    if isinstance(value, list | tuple):
        return any(_holds_nul(one) for one in value)
    return isinstance(value, str) and "\x00" in value
