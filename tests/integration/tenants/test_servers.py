"""I14: nothing of a supplier reaches another's server; one project works on several servers at once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.factories import LABELS, make_items, make_person, make_pool, make_project, make_server
from tests.integration.line.label_studio_double import LabelStudioDouble
from tests.integration.line.world import Run
from workbench.decisions import jobs as deciding
from workbench.decisions.service import new_policy
from workbench.errors import Conflict, WrongState
from workbench.items.domain import ItemState
from workbench.labeling import jobs as syncing
from workbench.labeling.lanes import set_up_lane
from workbench.labeling.sending import top_up
from workbench.labeling.tables import AnnotationRow, LaneRow, VisitRow
from workbench.outside import Outside
from workbench.people.accounts import adopt_accounts
from workbench.people.tables import AccountRow, PersonRow, PoolRow, ServerRow, SupplierRow
from workbench.suppliers import service
from workbench.tallies.tables import LedgerRow

PLACES = {"acme": "http://acme.example", "bolt": "http://bolt.example", "all": "http://shared.example"}
RULES = {
    "rules": [
        {"name": "first half to acme", "when": "language == 'en'", "pool": "acme"},
        {"name": "rest to bolt", "when": "true", "pool": "bolt"},
    ]
}


class Servers:
    """An installation with three Label Studios, one project and two suppliers."""

    def __init__(self, outside: Outside) -> None:
        self.doubles = {url: LabelStudioDouble(outside.now) for url in PLACES.values()}
        self.outside = replace(
            outside,
            label_studio=lambda url, token: self.doubles[url],  # type: ignore[arg-type, return-value]
        )
        with outside.db.write() as session:
            self.servers = {}
            for key, url in PLACES.items():
                server = make_server(session, name=key, url=url, token=outside.vault.lock(b"token"))
                self.servers[key] = server.id
            shared = session.get_one(ServerRow, self.servers["all"])
            self.suppliers, self.pools = {}, {}
            for key in ("acme", "bolt"):
                row = SupplierRow(key=key, name=key.title(), time_zone="UTC")
                session.add(row)
                session.flush()
                pool = make_pool(session, key, supplier_id=row.id)
                self.suppliers[key], self.pools[key] = row.id, pool.id
            project = make_project(session, server_id=shared.id, pool_id=self.pools["acme"])
            self.project_id = project.id
            for n, item in enumerate(make_items(session, project, 10, ItemState.IMPORTED)):
                item.language = "en" if n % 2 else "zh"
            new_policy(
                session, project.id, RULES, labels=LABELS, pools=["acme", "bolt"], by="t", now=outside.now()
            )

    def own_server(self, key: str, server: str = "") -> None:
        with self.outside.db.write() as session:
            supplier = session.get_one(SupplierRow, self.suppliers[key])
            service.set_server(session, self.outside, supplier, self.servers[server or key], by="pm")

    def work(self) -> None:
        with self.outside.db.read() as session:
            undecided = session.query(VisitRow).count() == 0
        if undecided:
            deciding.run(Run(self.outside), {"project_id": self.project_id, "without_model": True})
        syncing.run(Run(self.outside), {"project_id": self.project_id})

    def there(self, key: str) -> int:
        return len(self.doubles[PLACES[key]].tasks)


@pytest.fixture
def three(outside: Outside) -> Servers:
    return Servers(outside)


def test_each_supplier_works_on_its_own_server(three: Servers) -> None:
    three.own_server("acme")
    three.own_server("bolt")
    three.work()
    assert (three.there("acme"), three.there("bolt"), three.there("all")) == (5, 5, 0)
    with three.outside.db.read() as session:
        lanes = {lane.supplier_id: lane.server_id for lane in session.query(LaneRow)}
        visits = {(v.supplier_id, v.lane_id) for v in session.query(VisitRow)}
    assert lanes == {three.suppliers[key]: three.servers[key] for key in ("acme", "bolt")}
    assert len(visits) == 2


def test_without_a_server_of_its_own_a_supplier_works_on_the_projects(three: Servers) -> None:
    three.own_server("bolt")
    three.work()
    assert (three.there("acme"), three.there("bolt"), three.there("all")) == (0, 5, 5)


def test_a_lane_on_anothers_server_is_never_filled(three: Servers) -> None:
    """The assertion in the code that pushes, with rows bent as no page of ours would bend them."""
    three.work()
    with three.outside.db.write() as session:
        lane = session.query(LaneRow).filter_by(supplier_id=three.suppliers["acme"]).one()
        server = session.get_one(ServerRow, lane.server_id)
        server.supplier_id = three.suppliers["bolt"]
        lane_id = lane.id
        for visit in session.query(VisitRow).filter_by(lane_id=lane.id):
            visit.state, visit.ls_task_id = "queued", None
    before = three.there("all")
    for act in (top_up, set_up_lane):
        with pytest.raises(WrongState, match="belongs to another supplier"):
            act(three.outside, lane_id)
    assert three.there("all") == before


def test_what_waits_moves_to_a_new_server(three: Servers) -> None:
    with three.outside.db.write() as session:
        session.query(three_project()).update({"lane_limit": 2})
    three.work()
    three.own_server("acme")
    with three.outside.db.write() as session:
        session.query(three_project()).update({"lane_limit": 100})
    three.work()
    three.work()
    assert three.there("acme") > 0
    with three.outside.db.read() as session:
        stuck = session.query(VisitRow).join(LaneRow, LaneRow.id == VisitRow.lane_id).filter(
            LaneRow.server_id == three.servers["all"], VisitRow.supplier_id == three.suppliers["acme"],
            VisitRow.state == "queued",
        ).count()  # fmt: skip
    assert stuck == 0
    assert three.there("acme") + three.there("all") == 10


def three_project() -> type:
    from workbench.projects.tables import ProjectRow

    return ProjectRow


def test_a_server_that_holds_work_of_others_cannot_be_made_ones_own(three: Servers) -> None:
    three.work()
    with pytest.raises(Conflict, match="holds work of others"):
        three.own_server("acme", "all")


def test_a_server_belongs_to_one_supplier(three: Servers) -> None:
    three.own_server("acme")
    with pytest.raises(Conflict):
        three.own_server("bolt", "acme")


def test_a_stopped_supplier_gets_no_new_work(three: Servers) -> None:
    three.own_server("acme")
    with three.outside.db.write() as session:
        supplier = session.get_one(SupplierRow, three.suppliers["acme"])
        service.set_supplier_active(session, three.outside, supplier, active=False, by="pm")
    three.work()
    assert three.there("acme") == 0
    assert three.there("all") == 5


def test_answers_and_pay_say_whose_they_are(three: Servers) -> None:
    three.own_server("acme")
    with three.outside.db.write() as session:
        from tests.factories import make_rate_card

        pool = session.get_one(PoolRow, three.pools["acme"])
        card = make_rate_card(session, pool)
        card.supplier_id = pool.supplier_id
        server = session.get_one(ServerRow, three.servers["acme"])
        make_person(session, server, pool, 7, supplier_id=pool.supplier_id)
    three.work()
    double = three.doubles[PLACES["acme"]]
    double.answer(next(iter(double.tasks.values())), 7, LABELS[0])
    three.work()
    with three.outside.db.read() as session:
        assert [row.supplier_id for row in session.query(AnnotationRow)] == [three.suppliers["acme"]]
        assert [row.supplier_id for row in session.query(LedgerRow) if row.source_kind == "annotation"] == [
            three.suppliers["acme"]
        ]


def test_an_account_in_anothers_name_is_somebody_else(three: Servers) -> None:
    """Who rules a supplier's server can make accounts there with any address."""
    from integrations.label_studio.interface import Member

    three.own_server("acme")
    with three.outside.db.write() as session:
        theirs = PersonRow(
            public_id="b" * 24, name="Bea", email="bea@bolt.example", active=True,
            supplier_id=three.suppliers["bolt"], created_at=three.outside.now(),
        )  # fmt: skip
        session.add(theirs)
    member = Member(user_id=5, email="bea@bolt.example", first_name="Not", last_name="Bea")
    adopt_accounts(three.outside, three.servers["acme"], [member])
    with three.outside.db.read() as session:
        account = session.query(AccountRow).one()
        person = session.get_one(PersonRow, account.person_id)
    assert person.public_id != "b" * 24
    assert person.supplier_id == account.supplier_id == three.suppliers["acme"]
