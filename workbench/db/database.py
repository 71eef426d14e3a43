"""Sessions: writers take turns, readers see one moment, on SQLite and PostgreSQL alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from workbench.db.engines import client_name, job_engine_database, postgresql_engine, wal_engine
from workbench.db.fence import require_fence
from workbench.db.locks import lock_number
from workbench.db.tenancy import tenant_session
from workbench.db.urls import database_address
from workbench.errors import Unavailable, WorkbenchError

__all__ = ["Database", "DatabaseAway", "job_engine_database", "wal_engine"]

log = structlog.get_logger(__name__)

READERS_SQLITE = 12
_SLEPT = "25P03"  # The transaction was taken from a process that did nothing in it for long.


class DatabaseAway(Unavailable):
    """The database cannot be reached: work waits for it, people are told to try again."""


_ALONE = text("SELECT pg_advisory_xact_lock(:application)")
_ALONE_IN_PROJECT = text("SELECT pg_advisory_xact_lock_shared(:application), pg_advisory_xact_lock(:project)")


class Database:
    """The application's database.

    `write()` opens a transaction that commits when the block ends, `read()` a snapshot that cannot change
    anything, `append()` a transaction that waits for nobody. They never stand inside one another.

    All raise what SQLAlchemy raises, apart from `Unavailable` where PostgreSQL cannot be reached or a lock
    was not given in time, and `Fenced` where the work has another owner by now.

    Args:
        url: `sqlite:///FILE` or `postgresql://USER:PASSWORD@HOST/NAME`.
        connections: PostgreSQL: connections at most, for writing and again for reading.
    """

    def __init__(self, url: str, *, connections: int = 8) -> None:
        self.url = url
        self.address = database_address(url)
        self.is_sqlite = self.address.get_backend_name() == "sqlite"
        self.client = client_name()
        if self.is_sqlite:
            path = self.address.database
            if path and path != ":memory:":
                Path(path).parent.mkdir(parents=True, exist_ok=True)
            self.writer = wal_engine(self.address, writer=True, pool_size=1)
            self.reader = wal_engine(self.address, writer=False, pool_size=READERS_SQLITE)
            self._beside = self.writer
        else:
            self.writer = postgresql_engine(self.address, client=self.client, pool_size=connections)
            self.reader = postgresql_engine(
                self.address, client=self.client, pool_size=connections, writer=False
            )
            # Of its own, so that a sign of life never waits for a connection.
            self._beside = postgresql_engine(self.address, client=self.client, pool_size=1)

    @contextmanager
    def write(self, project: int | None = None) -> Iterator[Session]:
        """A session whose work is committed once, at the end of the block.

        Args:
            project: Alone in this project, while others go on; None: alone in the whole application.
                (SQLite has one writer anyway.)
        """
        with _told_plainly(), Session(self.writer, expire_on_commit=False) as session, session.begin():
            if not self.is_sqlite:
                _take_turn(session, project)
            require_fence(session)
            yield session

    @contextmanager
    def append(self) -> Iterator[Session]:
        """A session for rows that stand by themselves: it takes no turn, so nothing it reads may matter."""
        with _told_plainly(), Session(self.writer, expire_on_commit=False) as session, session.begin():
            require_fence(session)
            yield session

    @contextmanager
    def beside(self) -> Iterator[Session]:
        """A short transaction outside all turns and fences: signs of life and leases."""
        with _told_plainly(), Session(self._beside, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def read(self, tenant: int | None = None) -> Iterator[Session]:
        """A session that only reads, all from one moment.

        Args:
            tenant: The supplier whose rows alone it sees, whatever is asked; None: everything.
        """
        with _told_plainly(), self._reading(tenant) as session:
            yield session

    def _reading(self, tenant: int | None) -> Session:
        if tenant is None:
            return Session(self.reader, expire_on_commit=False)
        return tenant_session(self.reader, tenant)

    def check_lease(self) -> None:
        """Nothing, if the work at hand is still this process's; ask before acting on another system.

        Raises:
            Fenced: It was declared dead, and somebody else does this work.
        """
        with self.append():
            pass

    def close(self) -> None:
        """Give back all connections."""
        for engine in (self.writer, self.reader, self._beside):
            engine.dispose()


def _take_turn(session: Session, project: int | None) -> None:
    application = lock_number("application")
    if project is None:
        session.execute(_ALONE, {"application": application})
    else:
        keys = {"application": application, "project": lock_number(f"project:{project}")}
        session.execute(_ALONE_IN_PROJECT, keys)


@contextmanager
def _told_plainly() -> Iterator[None]:
    try:
        yield
    except DBAPIError as problem:
        if not _passes(problem):
            raise
        # The driver's words may hold addresses and names; ours go to people.
        log.warning("the database did not answer", error=type(problem.orig).__name__, state=_state(problem))
        if _is_busy(problem):
            raise Unavailable("the database is busy; try again in a moment") from None
        raise DatabaseAway(
            "the database cannot be reached just now; nothing was changed, try again in a moment"
        ) from None
    except PoolTimeout:
        log.warning("no connection to the database was free in time")
        raise Unavailable("the database is busy; try again in a moment") from None
    except StatementError as problem:
        if isinstance(problem.orig, WorkbenchError):
            raise problem.orig from None
        raise


def _passes(problem: DBAPIError) -> bool:
    """Whether waiting may help; on PostgreSQL mistakes of ours have other classes."""
    if type(problem.orig).__module__.startswith("psycopg"):
        return isinstance(problem, OperationalError | InterfaceError) or _state(problem) == _SLEPT
    return isinstance(problem, OperationalError) and "database is locked" in str(problem.orig)


def _state(problem: StatementError) -> str:
    return str(getattr(problem.orig, "sqlstate", None) or "")


def _is_busy(problem: StatementError) -> bool:
    return _state(problem) in {"40001", "40P01", "55P03", "57014"} or "locked" in str(problem.orig)
