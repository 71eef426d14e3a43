"""Addresses of databases: SQLite by file, PostgreSQL by URL, nothing else."""

from __future__ import annotations

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from workbench.errors import InvalidInput

DRIVERS = {"sqlite": ("", "pysqlite"), "postgresql": ("", "psycopg"), "postgres": ("",)}


def database_address(url: str) -> URL:
    """The address with the driver we use (psycopg 3 on PostgreSQL).

    Raises:
        InvalidInput: It is none, or names another kind of database or driver; a password is never repeated.

    >>> database_address("postgresql://me:secret@db.example.org/wb").drivername
    'postgresql+psycopg'
    """
    try:
        address = make_url(url)
    except (ArgumentError, ValueError):
        raise InvalidInput(
            "the database's address cannot be read; write postgresql://USER:PASSWORD@HOST:5432/NAME "
            "(WORKBENCH_DATABASE_URL), or leave it empty for SQLite in the data folder"
        ) from None
    backend, _, driver = address.drivername.partition("+")
    if backend not in DRIVERS:
        raise InvalidInput(
            f"the database's address names {backend}; the workbench works with postgresql://… "
            "or, left empty, with SQLite in the data folder"
        )
    if driver not in DRIVERS[backend]:
        raise InvalidInput(
            f"the database's address names the driver {driver}; write {backend}://… without a driver"
        )
    if backend == "sqlite":
        return address
    return address.set(drivername="postgresql+psycopg")


def is_sqlite(url: str) -> bool:
    """Whether the address is that of an SQLite file."""
    return database_address(url).get_backend_name() == "sqlite"


def shown_address(url: str) -> str:
    """The address as people may see it: without its password."""
    return database_address(url).render_as_string(hide_password=True)
