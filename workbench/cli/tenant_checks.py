"""What `workbench doctor` says of suppliers: what keeps them apart, and who shares a server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from workbench.cli.check import Check

if TYPE_CHECKING:
    from workbench.outside import Outside


def suppliers(outside: Outside) -> Iterator[Check]:
    """Walls in the database, and servers of their own."""
    from sqlalchemy import text

    from workbench.db.tenancy import ROLE, may_take_role
    from workbench.suppliers.administration import suppliers_view

    name = "suppliers"
    with outside.db.read() as session:
        found = suppliers_view(session)
        walls = 0
        if not outside.db.is_sqlite:
            query = text("SELECT count(*) FROM pg_policies WHERE policyname = 'supplier_reads'")
            walls = session.scalar(query) or 0
    sharing = [one.row.name for one in found if one.shares]
    if sharing:
        yield Check.doubtful(
            name,
            f"{', '.join(sharing[:5])} work on a Label Studio where others work too and see their names",
            "give each supplier a server of its own on the Suppliers page",
        )
    if not outside.db.is_sqlite and not (walls and may_take_role(outside.db.reader)):
        yield Check.doubtful(
            name,
            "are kept apart by the application alone: PostgreSQL's row-level security is not in force",
            f"as its administrator: CREATE ROLE {ROLE} NOLOGIN, grant it to the application's user, then take"
            " the schema from 0002 to 0003 again",
        )
    elif not sharing:
        yield Check.good(name, f"{len(found)}, each sees what is its own")
