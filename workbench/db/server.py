"""What a PostgreSQL server must be for us, and how it is seen."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

OLDEST = 15


@dataclass(frozen=True)
class Server:
    """What the server says of itself.

    Attributes:
        problem: Why it cannot be used, or empty.
        remedy: What to do about that.
    """

    version: str
    encoding: str
    time_zone: str
    problem: str = ""
    remedy: str = ""


def server_of(session: Session) -> Server:
    """The PostgreSQL server behind this session."""
    row = session.execute(
        text(
            "SELECT current_setting('server_version'), current_setting('server_version_num')::int / 10000, "
            "current_setting('server_encoding'), current_setting('TimeZone')"
        )
    ).one()
    version, major, encoding, zone = row
    problem, remedy = "", ""
    if major < OLDEST:
        problem = f"is PostgreSQL {version}; {OLDEST} or newer is needed"
        remedy = "upgrade the server, then set WORKBENCH_DATABASE_URL to the new one"
    elif encoding != "UTF8":
        problem = f"keeps texts as {encoding}; not every item could be stored"
        remedy = "make one that can: CREATE DATABASE workbench ENCODING 'UTF8' TEMPLATE template0"
    elif zone != "UTC":
        problem = f"answers in the time zone {zone} although UTC was asked for"
        remedy = "let the pooler between us and the server pass the option TimeZone on"
    return Server(str(version), str(encoding), str(zone), problem, remedy)
