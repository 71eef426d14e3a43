"""Guards: who may read what, and what may never change, kept by the database itself"""

# ruff: noqa: ISC004, S608, S110, RUF100, D103
from alembic import op
import sqlalchemy as sa

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    fill_suppliers()
    raise_walls()
    guard_activity()


def downgrade() -> None:
    release_activity()
    lower_walls()


# --- Suppliers ------------------------------------------------------------------------------------------------------

ROLE = "workbench_supplier"
OWN = (
    "activity",
    "annotation_revisions",
    "annotations",
    "answers",
    "incidents",
    "invitations",
    "label_studio_accounts",
    "lanes",
    "ledger",
    "persons",
    "pool_members",
    "pools",
    "rate_cards",
    "supplier_projects",
    "visits",
)
THROUGH = {
    "items": ("SELECT v.item_id FROM visits v WHERE v.supplier_id = {me}", ("id",)),
    "label_studio_servers": ("SELECT l.server_id FROM lanes l WHERE l.supplier_id = {me}", ("id",)),
    "projects": ("SELECT p.project_id FROM supplier_projects p WHERE p.supplier_id = {me}", ("id",)),
    "project_labels": (
        "SELECT p.project_id FROM supplier_projects p WHERE p.supplier_id = {me}",
        ("project_id",),
    ),
    "tally_hours": ("SELECT p.id FROM persons p WHERE p.supplier_id = {me}", ("person_id",)),
    "tally_pairs": ("SELECT p.id FROM persons p WHERE p.supplier_id = {me}", ("person_a", "person_b")),
}
COLUMNS = {
    "invitations": "id, person_id, supplier_id, expires_at, accepted_at",
    "items": "id, public_id",
    "label_studio_servers": "id, name, url, state",
    "projects": "id, state, time_zone, currency, due_at",
    "project_labels": "id, project_id, position, value",
    "suppliers": "id, name, time_zone",
}
ME = "(SELECT nullif(current_setting('workbench.supplier', true), '')::bigint)"


def fill_suppliers() -> None:
    """Rows from before 0002 say whose they are; each table after those it asks."""
    for table in ("suppliers", "pools", "label_studio_servers"):
        op.execute(f"UPDATE {table} SET public_id = {_drawn()} WHERE public_id IS NULL")
    for statement in (
        "UPDATE persons SET supplier_id = (SELECT p.supplier_id FROM pool_members m JOIN pools p"
        " ON p.id = m.pool_id WHERE m.person_id = persons.id ORDER BY m.joined_at, p.id LIMIT 1)"
        " WHERE supplier_id IS NULL",
        "UPDATE pool_members SET supplier_id = (SELECT p.supplier_id FROM pools p"
        " WHERE p.id = pool_members.pool_id) WHERE supplier_id IS NULL",
        *(
            f"UPDATE {table} SET supplier_id = (SELECT p.supplier_id FROM persons p"
            f" WHERE p.id = {table}.person_id) WHERE supplier_id IS NULL"
            for table in ("label_studio_accounts", "invitations")
        ),
        "UPDATE lanes SET supplier_id = (SELECT p.supplier_id FROM pools p WHERE p.id = lanes.pool_id)"
        " WHERE supplier_id IS NULL",
        "UPDATE visits SET supplier_id = (SELECT l.supplier_id FROM lanes l WHERE l.id = visits.lane_id)"
        " WHERE supplier_id IS NULL",
        "UPDATE annotations SET supplier_id = coalesce("
        "(SELECT p.supplier_id FROM persons p WHERE p.id = annotations.person_id),"
        " (SELECT v.supplier_id FROM visits v WHERE v.id = annotations.visit_id)) WHERE supplier_id IS NULL",
        *(
            f"UPDATE {table} SET supplier_id = (SELECT a.supplier_id FROM annotations a"
            f" WHERE a.id = {table}.annotation_id) WHERE supplier_id IS NULL"
            for table in ("answers", "annotation_revisions")
        ),
        "UPDATE rate_cards SET supplier_id = (SELECT p.supplier_id FROM pools p"
        " WHERE p.id = rate_cards.pool_id) WHERE supplier_id IS NULL AND pool_id IS NOT NULL",
        "UPDATE ledger SET supplier_id = coalesce("
        "(SELECT p.supplier_id FROM persons p WHERE p.id = ledger.person_id),"
        " (SELECT r.supplier_id FROM rate_cards r WHERE r.id = ledger.rate_card_id))"
        " WHERE supplier_id IS NULL",
        "INSERT INTO supplier_projects (supplier_id, project_id, public_id, title, since)"
        f" SELECT found.supplier_id, found.project_id, {_drawn()}, p.title, p.created_at FROM"
        " (SELECT DISTINCT supplier_id, project_id FROM lanes WHERE supplier_id IS NOT NULL"
        " UNION SELECT supplier_id, project_id FROM rate_cards"
        " WHERE supplier_id IS NOT NULL AND project_id IS NOT NULL) AS found"
        " JOIN projects p ON p.id = found.project_id WHERE NOT EXISTS (SELECT 1 FROM supplier_projects s"
        " WHERE s.supplier_id = found.supplier_id AND s.project_id = found.project_id)",
    ):
        op.execute(statement)


def _drawn() -> str:
    """An opaque id for each row, drawn by the database itself."""
    if _is_postgresql():
        return "substr(replace(gen_random_uuid()::text, '-', ''), 1, 24)"
    return "lower(hex(randomblob(12)))"


def raise_walls() -> None:
    """Row-level security for suppliers' sessions; only PostgreSQL has it, and only where the role may be had.

    Everybody else is the owner of the tables and is not held up by the policies.
    """
    if not (_is_postgresql() and _role_is_ours()):
        return
    schema = op.get_bind().scalar(sa.text("SELECT quote_ident(current_schema())"))
    op.execute(f"GRANT USAGE ON SCHEMA {schema} TO {ROLE}")
    for table in sorted({*OWN, *THROUGH, "suppliers"}):
        columns = f" ({COLUMNS[table]})" if table in COLUMNS else ""
        op.execute(f"GRANT SELECT{columns} ON {table} TO {ROLE}")
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY supplier_reads ON {table} FOR SELECT TO {ROLE} USING ({_mine(table)})")


def _mine(table: str) -> str:
    if table == "suppliers":
        return f"id = {ME}"
    if table in OWN:
        return f"supplier_id = {ME}"
    rows, columns = THROUGH[table]
    return " AND ".join(f"{column} IN ({rows.format(me=ME)})" for column in columns)


def _role_is_ours() -> bool:
    """The role is there and can be taken; it is made where this user may make roles."""
    connection = op.get_bind()
    for statement in (f"CREATE ROLE {ROLE} NOLOGIN NOINHERIT", f"GRANT {ROLE} TO CURRENT_USER"):
        try:
            with connection.begin_nested():
                connection.execute(sa.text(statement))
        except sa.exc.DBAPIError:
            pass  # it is there already, or is not ours to make: `workbench doctor` says so
    return bool(
        connection.scalar(
            sa.text(
                "SELECT coalesce((SELECT pg_has_role(current_user, oid, 'MEMBER') FROM pg_roles"
                " WHERE rolname = :role), false)"
            ),
            {"role": ROLE},
        )
    )


def lower_walls() -> None:
    """Back to a database without them; the role stays, since other databases of the cluster may use it."""
    if not _is_postgresql():
        return
    there = op.get_bind().scalar(sa.text(f"SELECT count(*) FROM pg_roles WHERE rolname = '{ROLE}'"))
    for table in sorted({*OWN, *THROUGH, "suppliers"}):
        op.execute(f"DROP POLICY IF EXISTS supplier_reads ON {table}")
        op.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
        if there:
            op.execute(f"REVOKE ALL ON {table} FROM {ROLE}")


def _is_postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"


# --- Activity: append-only ------------------------------------------------------------------------------------------


def guard_activity() -> None:
    """Events can be added and read, nothing else."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION activity_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ "
            "BEGIN RAISE EXCEPTION 'the activity record is append-only: % is refused', TG_OP "
            "USING ERRCODE = 'restrict_violation'; END $$"
        )
        op.execute(
            "CREATE TRIGGER activity_append_only BEFORE UPDATE OR DELETE ON activity "
            "FOR EACH ROW EXECUTE FUNCTION activity_is_append_only()"
        )
        op.execute(
            "CREATE TRIGGER activity_never_emptied BEFORE TRUNCATE ON activity "
            "FOR EACH STATEMENT EXECUTE FUNCTION activity_is_append_only()"
        )
        return
    for event in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER activity_no_{event.lower()} BEFORE {event} ON activity "
            f"BEGIN SELECT RAISE(ABORT, 'the activity record is append-only: {event} is refused'); END"
        )
    # INSERT OR REPLACE takes the old row away without the trigger on DELETE.
    op.execute(
        "CREATE TRIGGER activity_no_replace BEFORE INSERT ON activity "
        "WHEN EXISTS (SELECT 1 FROM activity WHERE seq = NEW.seq) "
        "BEGIN SELECT RAISE(ABORT, 'the activity record is append-only: REPLACE is refused'); END"
    )


def release_activity() -> None:
    """An ordinary table again."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP TRIGGER IF EXISTS activity_never_emptied ON activity")
        op.execute("DROP TRIGGER IF EXISTS activity_append_only ON activity")
        op.execute("DROP FUNCTION IF EXISTS activity_is_append_only()")
        return
    for name in ("update", "delete", "replace"):
        op.execute(f"DROP TRIGGER IF EXISTS activity_no_{name}")
