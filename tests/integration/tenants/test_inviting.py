"""Whom a supplier's lead may invite."""

from __future__ import annotations

from tests.integration.tenants.worlds import build, ids, lead
from workbench.outside import Outside
from workbench.people.tables import InvitationRow, PersonRow, SupplierRow
from workbench.suppliers.service import set_person_active


def test_whose_work_was_ended_is_not_let_in_again_by_a_lead(outside: Outside) -> None:
    build(outside)
    mine = ids("acme")
    client = lead(outside)
    form = {"email": "0@acme.example", "name": "", "pool": mine["pool"]}
    assert client.post("/supplier/people/invitations", data=form).status_code == 200
    with outside.db.write() as session:
        supplier = session.query(SupplierRow).filter_by(key="acme").one()
        set_person_active(session, outside, supplier, mine["person_id"], active=False, by="pm@example.org")
        before = session.query(InvitationRow).count()
    answer = client.post("/supplier/people/invitations", data=form)
    assert answer.status_code == 422
    assert "ended by a project manager" in answer.text
    with outside.db.read() as session:
        assert session.query(PersonRow).filter_by(public_id=mine["person_id"]).one().active is False
        assert session.query(InvitationRow).count() == before
