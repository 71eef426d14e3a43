"""Browsers signed in with a role, for tests of pages."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from starlette.testclient import TestClient

from workbench.app import FEATURES, create_app
from workbench.auth.domain import EVERYWHERE, Role, csrf_token
from workbench.auth.leads import make_lead
from workbench.auth.service import create_user_hashed, open_session
from workbench.outside import Outside
from workbench.people.tables import SupplierRow


def client_as(
    outside: Outside,
    role: str = "admin",
    *,
    project_id: int = EVERYWHERE,
    client: TestClient | None = None,
    features: Sequence[str] = FEATURES,
) -> TestClient:
    """A client whose requests come from a fresh user with this role; "" for nobody."""
    client = client or TestClient(create_app(outside, features=features), follow_redirects=False)
    if not role:
        return client
    with outside.db.write() as session:
        user = create_user_hashed(
            session, outside, email=f"{role}-{secrets.token_hex(4)}@example.org", name=role.title(),
            password_hash="", role=role, project_id=project_id,
        )  # fmt: skip
        if role == Role.SUPPLIER_LEAD:
            supplier = session.query(SupplierRow).first()
            if supplier is None:
                supplier = SupplierRow(key="in-house", name="In-house", time_zone="UTC")
                session.add(supplier)
                session.flush()
            make_lead(session, outside, user.id, supplier.id)
        cookie = open_session(session, outside, user.id, browser="test")
    client.cookies.set("wb_session", cookie)
    client.headers["X-CSRF-Token"] = csrf_token(cookie, "test")
    return client
