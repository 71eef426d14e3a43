from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from integrations.label_studio import accounts
from integrations.label_studio.errors import AccountExists, LabelStudioRefused, LabelStudioUnavailable
from integrations.label_studio.interface import Member, ServerInfo
from tests.conftest import Clock
from tests.factories import make_pool, make_project, make_rate_card, make_server
from workbench.auth.domain import DEFAULT_ROLES, Permission, Role
from workbench.auth.service import create_user
from workbench.auth.store import roles_of
from workbench.errors import AlreadyExists, InvalidInput, NotAllowed, NotFound, WrongState
from workbench.outside import Outside
from workbench.people import service, store
from workbench.people.invitations import accept_invitation, invite_person, welcome
from workbench.people.tables import AccountRow, InvitationRow, PersonRow, ServerRow
from workbench.people.views import people_of

ALL = frozenset(Permission)
PASSWORD = "a long password"


class Server:
    """Answers like a server whose version, members and mood a test chooses."""

    def __init__(self) -> None:
        self.version = "1.23.2"
        self.problem: Exception | None = None
        self.people: list[Member] = []

    def probe(self) -> ServerInfo:
        if self.problem:
            raise self.problem
        return ServerInfo(self.version, 1, 1, "owner@example.org", True, 1.0, {"community": True})

    def members(self) -> list[Member]:
        return self.people

    def invite_token(self) -> str:
        if self.problem:
            raise self.problem
        return "invite"

    def sign_up(self, url: str, token: str, email: str, password: str, **names: Any) -> Member:
        if any(member.email == email for member in self.people):
            raise AccountExists("there is one")
        made = Member(len(self.people) + 10, email, names["first_name"], names["last_name"])
        self.people.append(made)
        return made


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server()
    monkeypatch.setattr(accounts, "sign_up", made.sign_up)
    return made


@pytest.fixture
def there(outside: Outside, server: Server) -> Outside:
    return replace(outside, label_studio=lambda url, token: server)  # type: ignore[arg-type,return-value]


def connected(there: Outside, **values: str) -> ServerRow:
    given = {"name": "main", "url": "http://labels.example/", "token": "secret-token"} | values
    return service.connect_server(there, **given)


class TestConnecting:
    def test_keeps_what_the_server_told_and_its_token_encrypted(self, there: Outside) -> None:
        row = connected(there)
        assert (row.state, row.version, row.url) == ("ready", "1.23.2", "http://labels.example")
        assert b"secret-token" not in row.token
        assert there.vault.unlock(row.token) == b"secret-token"

    def test_the_same_address_again_changes_the_token(self, there: Outside) -> None:
        assert connected(there).id == connected(there, token="another", name="renamed").id

    @pytest.mark.parametrize("problem", [LabelStudioUnavailable("down"), LabelStudioRefused("no")])
    def test_stores_nothing_where_the_server_cannot_be_used(
        self, there: Outside, server: Server, problem: Exception
    ) -> None:
        server.problem = problem
        with pytest.raises(type(problem)):
            connected(there)
        with there.db.read() as session:
            assert store.servers(session) == []

    def test_refuses_what_is_too_old_or_named_like_another(self, there: Outside, server: Server) -> None:
        server.version = "1.13.1"
        with pytest.raises(InvalidInput, match=r"version 1\.13\.1; the workbench needs 1\.20"):
            connected(there)
        server.version = "1.23.2"
        connected(there)
        with pytest.raises(AlreadyExists, match="called 'main'"):
            connected(there, url="http://other.example")

    def test_looking_again_tells_the_problem_and_its_end(self, there: Outside, server: Server) -> None:
        row = connected(there)
        server.problem = LabelStudioUnavailable("Label Studio cannot be reached")
        down = service.refresh_server(there, row.id)
        assert (down.state, down.problem) == ("unreachable", "Label Studio cannot be reached")
        server.problem = LabelStudioRefused("give another token")
        assert service.refresh_server(there, row.id).state == "refused"
        server.problem = None
        assert service.refresh_server(there, row.id).state == "ready"

    def test_accounts_found_there_become_persons_once(self, there: Outside, server: Server) -> None:
        row = connected(there)
        server.people = [Member(5, "Ann@example.org", "Ann", "Lee")]
        assert [service.adopt_members(there, row.id), service.adopt_members(there, row.id)] == [1, 0]


class Invited:
    def __init__(self, there: Outside, **values: Any) -> None:
        with there.db.write() as session:
            self.pool = make_pool(session)
            self.server = make_server(session, token=there.vault.lock(b"t"))
            self.project = make_project(session, server_id=self.server.id, pool_id=self.pool.id)
            given = {
                "email": "Ann@Example.org", "name": "Ann Lee", "pool_id": self.pool.id,
                "project_id": self.project.id, "server_id": None, "by": "pm", "may": ALL,
            } | values  # fmt: skip
            self.made = invite_person(session, there, **given)
            self.token = self.made.token


class TestInvitations:
    def test_accepting_makes_user_and_account_once(self, there: Outside, server: Server) -> None:
        case = Invited(there)
        done = accept_invitation(there, case.token, PASSWORD)
        with there.db.read() as session:
            assert roles_of(session, done.user_id) == {0: {"annotator"}}
            person = store.person_of_user(session, done.user_id)
            assert person is not None
            assert (person.name, person.email) == ("Ann Lee", "ann@example.org")
            assert session.query(AccountRow).one().ls_user_id == 10
            assert session.query(InvitationRow).one().token_sha256 != case.token.encode()
        assert [(one.first_name, one.last_name) for one in server.people] == [("Ann", "Lee")]
        with pytest.raises(WrongState, match="used already"):
            accept_invitation(there, case.token, PASSWORD)

    def test_a_server_that_is_down_costs_nothing(self, there: Outside, server: Server) -> None:
        case = Invited(there)
        server.problem = LabelStudioUnavailable("down")
        with pytest.raises(LabelStudioUnavailable):
            accept_invitation(there, case.token, PASSWORD)
        server.problem = None
        assert not accept_invitation(there, case.token, PASSWORD).adopted

    def test_an_account_from_a_try_that_broke_off_is_adopted(self, there: Outside, server: Server) -> None:
        case = Invited(there)
        server.people = [Member(77, "ann@example.org", "", "")]
        assert accept_invitation(there, case.token, PASSWORD).adopted
        with there.db.read() as session:
            assert session.query(AccountRow).one().ls_user_id == 77

    def test_an_account_that_polling_found_first_is_the_same_persons(
        self, there: Outside, server: Server
    ) -> None:
        case = Invited(there)
        server.people = [Member(77, "ann@example.org", "", "")]
        service.adopt_members(there, case.server.id)
        accept_invitation(there, case.token, PASSWORD)
        with there.db.read() as session:
            assert (session.query(AccountRow).count(), session.query(PersonRow).count()) == (1, 1)

    def test_a_link_cannot_take_over_a_user_that_is_there(self, there: Outside) -> None:
        with there.db.write() as session:
            create_user(
                session, there, email="ann@example.org", name="Ann", password="her own password", role="admin"
            )
        case = Invited(there)
        with pytest.raises(InvalidInput, match="account here already"):
            accept_invitation(there, case.token, PASSWORD)
        accept_invitation(there, case.token, "her own password")
        with there.db.read() as session:
            assert roles_of(session, 1) == {0: {"admin", "annotator"}}

    def test_links_expire_and_unknown_ones_are_unknown(self, there: Outside, clock: Clock) -> None:
        case = Invited(there)
        clock.forward(days=7)
        with there.db.read() as session:
            with pytest.raises(WrongState, match="expired"):
                welcome(session, there, case.token)
            with pytest.raises(NotFound):
                welcome(session, there, "nonsense")

    def test_nobody_gives_more_than_they_have(self, there: Outside) -> None:
        with pytest.raises(NotAllowed, match="as admin"):
            Invited(there, role="admin", may=DEFAULT_ROLES[Role.PM])
        with pytest.raises(InvalidInput, match="e-mail"):
            Invited(there, email="not an address")

    def test_other_roles_hold_in_the_project_alone(self, there: Outside) -> None:
        case = Invited(there, role="qa_lead", pool_id=None)
        done = accept_invitation(there, case.token, PASSWORD)
        with there.db.read() as session:
            assert roles_of(session, done.user_id) == {case.project.id: {"qa_lead"}}


class TestPrices:
    def test_a_new_price_ends_the_one_before(self, outside: Outside, clock: Clock) -> None:
        with outside.db.write() as session:
            pool = make_pool(session)
            project = make_project(session, pool_id=pool.id)
            make_rate_card(session, pool, price="0.05")
            for price in ("0.08", "0.10"):
                service.set_price(
                    session, project_id=project.id, pool=pool, unit="item", price=Decimal(price),
                    currency="USD", valid_from=outside.now(),
                )  # fmt: skip
                clock.forward(days=1)
            cards = store.rate_cards_for(session, project.id, pool, outside.now())
            assert [card.price for card in cards] == [Decimal("0.1")]
            before = store.rate_cards_for(session, project.id, pool, outside.now() - timedelta(hours=30))
            assert [card.price for card in before] == [Decimal("0.08")]
            view = people_of(session, project.id, outside.now(), None)
            assert sorted(line.state for line in view.prices) == ["ended", "now", "now"]
            assert view.unpriced == []

    @pytest.mark.parametrize(
        "values",
        [{"unit": "day"}, {"price": Decimal(-1)}, {"price": Decimal("NaN")}, {"currency": "dollars"}],
    )
    def test_refuses_what_is_no_price(self, outside: Outside, values: dict[str, Any]) -> None:
        with outside.db.write() as session:
            pool = make_pool(session)
            given = {
                "project_id": make_project(session).id, "pool": pool, "unit": "item", "price": Decimal(1),
                "currency": "USD", "valid_from": outside.now(),
            } | values  # fmt: skip
            with pytest.raises(InvalidInput):
                service.set_price(session, **given)

    def test_days_begin_in_the_projects_zone_and_never_in_the_past(self) -> None:
        now = datetime(2026, 3, 2, 23, 0, tzinfo=UTC)  # the third of March in Shanghai
        assert service.price_begins(None, "Asia/Shanghai", now) == now
        assert service.price_begins(date(2026, 3, 3), "Asia/Shanghai", now) == now
        begins = service.price_begins(date(2026, 3, 5), "Asia/Shanghai", now)
        assert begins == datetime(2026, 3, 4, 16, 0, tzinfo=UTC)
        with pytest.raises(InvalidInput, match="today or later"):
            service.price_begins(date(2026, 3, 1), "Asia/Shanghai", now)


def test_members_join_leave_and_join_again(outside: Outside) -> None:
    with outside.db.write() as session:
        pool = make_pool(session)
        project = make_project(session)
        person = PersonRow(
            public_id="p", name="P", email="p@example.org", active=True, created_at=outside.now()
        )
        session.add(person)
        session.flush()
        for _ in range(2):
            service.add_to_pool(session, outside, pool.id, person.id)
            assert [one.name for one in store.members_of(session, pool.id)] == ["P"]
            service.remove_from_pool(session, outside, pool.id, person.id)
            session.flush()
            assert store.members_of(session, pool.id) == []
        made = service.ensure_default_pool(session, project.id, project.title, project.key)
        assert service.ensure_default_pool(session, project.id, project.title, project.key).id == made.id
