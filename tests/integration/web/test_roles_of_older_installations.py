"""An installation of the first release gets the roles of this one; what its admin took away stays away."""

from __future__ import annotations

from sqlalchemy import create_engine, select, text

from workbench.auth.domain import DEFAULT_ROLES, Permission, Role
from workbench.auth.service import ensure_roles
from workbench.auth.store import role_permissions
from workbench.auth.tables import PermissionRow
from workbench.db import migrate
from workbench.db.urls import database_address
from workbench.outside import Outside, outside_of
from workbench.settings import load_settings

FIRST_RELEASE = "0001"
NEW = {
    Permission.SUPPLIERS_READ, Permission.SUPPLIERS_EDIT, Permission.ACTIVITY_READ, Permission.OPERATIONS_READ,
    Permission.OWN_SUPPLIER_READ, Permission.OWN_SUPPLIER_INVITE, Permission.OWN_SUPPLIER_COSTS,
    Permission.OWN_SUPPLIER_EXPORT,
}  # fmt: skip
"""What the first release did not know."""
TAKEN_AWAY = {(Role.QA_LEAD, Permission.ROUTING_ACTIVATE), (Role.VIEWER, Permission.COSTS_READ)}


def _of_the_first_release(tmp_path, url: str) -> Outside:
    settings = load_settings(data_dir=tmp_path, database_url=url)
    migrate.upgrade(settings, FIRST_RELEASE)
    engine = create_engine(database_address(settings.database_url))
    with engine.begin() as connection:
        for role, granted in DEFAULT_ROLES.items():
            for permission in granted - NEW:
                if role is not Role.SUPPLIER_LEAD and (role, permission) not in TAKEN_AWAY:
                    connection.execute(
                        text("INSERT INTO role_permissions (role, permission) VALUES (:role, :permission)"),
                        {"role": role.value, "permission": permission.value},
                    )
    engine.dispose()
    migrate.upgrade(settings)
    return outside_of(settings, label_studio=lambda url, token: None)  # type: ignore[arg-type,return-value]


def test_new_rows_come_and_removed_ones_stay_away(tmp_path, database_kind, request) -> None:
    url = request.getfixturevalue("empty_postgresql") if database_kind == "postgresql" else ""
    outside = _of_the_first_release(tmp_path, url)
    try:
        wanted = {
            role.value: {permission.value for permission in granted if (role, permission) not in TAKEN_AWAY}
            for role, granted in DEFAULT_ROLES.items()
        }
        assert _rows(outside) == wanted
        assert _rows(outside) == wanted, "a second start changes nothing"
        with outside.db.write() as session:
            for row in session.scalars(
                select(PermissionRow).where(PermissionRow.permission == Permission.ACTIVITY_READ)
            ):
                if row.role in {Role.PM, Role.ADMIN}:
                    session.delete(row)
        for role in (Role.PM, Role.ADMIN):
            wanted[role].remove(Permission.ACTIVITY_READ)
        assert _rows(outside) == wanted, "nor does one after an admin took away what was new"
    finally:
        outside.db.close()


def _rows(outside: Outside) -> dict[str, set[str]]:
    with outside.db.write() as session:
        ensure_roles(session)
    with outside.db.read() as session:
        return {role: set(granted) for role, granted in role_permissions(session).items()}
