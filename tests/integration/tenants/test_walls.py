"""Row-level security: PostgreSQL itself keeps suppliers apart, whatever a query in our code forgets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import Session

from tests.integration.tenants.worlds import build
from tests.postgresql_server import PostgreSQLServer
from workbench.db.tenancy import Own, marked, may_take_role
from workbench.outside import Outside, outside_of
from workbench.settings import load_settings

pytestmark = pytest.mark.database("postgresql")


@pytest.fixture
def acme(outside: Outside) -> tuple[Outside, int]:
    build(outside)
    with outside.db.read() as session:
        found = session.scalar(text("SELECT id FROM suppliers WHERE key = 'acme'"))
    return outside, int(found or 0)


def test_a_raw_select_sees_own_rows_alone(acme: tuple[Outside, int]) -> None:
    outside, supplier_id = acme
    assert may_take_role(outside.db.reader)
    with outside.db.read(tenant=supplier_id) as session:
        bare = Session.connection(session)
        for one in marked():
            mark, name = one.__tenant__, one.__tablename__  # type: ignore[attr-defined]
            if isinstance(mark, Own) and mark.column == "supplier_id":
                owners = {row[0] for row in bare.execute(text(f"SELECT supplier_id FROM {name}"))}
                assert owners <= {supplier_id}, name
        assert bare.scalar(text("SELECT count(*) FROM visits")) == 40
        assert bare.scalar(text("SELECT count(id) FROM items")) == 40
        assert bare.scalar(text("SELECT count(id) FROM suppliers")) == 1
        assert bare.scalar(text("SELECT count(*) FROM tally_pairs")) > 0
        theirs = "SELECT count(*) FROM tally_hours WHERE person_id NOT IN (SELECT id FROM persons)"
        assert bare.scalar(text(theirs)) == 0


@pytest.mark.parametrize(
    "query",
    ["SELECT email FROM users", "SELECT token FROM label_studio_servers", "SELECT external_id FROM items",
     "SELECT * FROM projects", "SELECT token_sha256 FROM invitations", "SELECT * FROM decisions",
     "SELECT * FROM tally_patterns", "UPDATE persons SET name = 'x'", "SELECT email_domains FROM suppliers"],
)  # fmt: skip
def test_what_is_not_for_suppliers_is_refused_by_the_database(acme: tuple[Outside, int], query: str) -> None:
    outside, supplier_id = acme
    with pytest.raises((ProgrammingError, Exception)) as refused:
        with outside.db.read(tenant=supplier_id) as session:
            Session.connection(session).execute(text(query))
    assert "permission denied" in str(refused.value) or "read-only" in str(refused.value)


def test_the_next_user_of_the_connection_starts_without_a_tenant(acme: tuple[Outside, int]) -> None:
    outside, supplier_id = acme
    for _ in range(20):
        with outside.db.read(tenant=supplier_id) as session:
            Session.connection(session)
        with outside.db.read() as session:
            assert session.scalar(text("SELECT count(DISTINCT supplier_id) FROM visits")) == 2
            assert session.scalar(text("SELECT current_setting('workbench.supplier', true)")) in {"", None}


def test_every_marked_table_has_its_wall(acme: tuple[Outside, int]) -> None:
    outside, _ = acme
    with outside.db.read() as session:
        walled = {
            row[0]
            for row in session.execute(
                text("SELECT tablename FROM pg_policies WHERE policyname = 'supplier_reads'")
            )
        }
        guarded = {
            row[0] for row in session.execute(text("SELECT relname FROM pg_class WHERE relrowsecurity"))
        }
    assert walled == guarded == {one.__tablename__ for one in marked()}


@pytest.mark.parametrize("may_make_roles", [True, False])
def test_an_owner_who_is_no_superuser(
    postgresql_server: PostgreSQLServer, tmp_path: Path, clock: Any, may_make_roles: bool
) -> None:
    """With CREATEROLE the walls stand; without, the application's own stand and `doctor` says so."""
    from workbench.cli.tenant_checks import suppliers
    from workbench.db import migrate

    url = postgresql_server.new()
    name = make_url(url).database
    user = f"app_{name}"
    postgresql_server.run(f"CREATE ROLE {user} LOGIN {'CREATEROLE' if may_make_roles else ''}")
    if may_make_roles:
        postgresql_server.run("ALTER ROLE workbench_supplier RENAME TO workbench_supplier_kept")
    postgresql_server.run(f"ALTER DATABASE {name} OWNER TO {user}")
    try:
        address = make_url(url).set(username=user).render_as_string(hide_password=False)
        settings = load_settings(data_dir=tmp_path / "d", database_url=address)
        migrate.upgrade(settings)
        outside = outside_of(settings, label_studio=lambda *_: None, now=clock)  # type: ignore[arg-type, return-value]
        try:
            build(outside)
            with outside.db.read() as session:
                acme = session.scalar(text("SELECT id FROM suppliers WHERE key = 'acme'"))
            with outside.db.read(tenant=acme) as session:
                seen = Session.connection(session).scalar(text("SELECT count(*) FROM persons"))
            said = [check.sentence for check in suppliers(outside)]
        finally:
            outside.db.close()
    finally:
        if may_make_roles:
            postgresql_server.run(f"DROP DATABASE {name}")
            postgresql_server.run("DROP ROLE workbench_supplier")
            postgresql_server.run("ALTER ROLE workbench_supplier_kept RENAME TO workbench_supplier")
    assert seen == (3 if may_make_roles else 6)
    assert ("each sees what is its own" in said[-1]) is may_make_roles, said
