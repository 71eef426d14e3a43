import uuid

import pytest

from integrations.label_studio.accounts import invite_link, sign_up
from integrations.label_studio.client import LabelStudioClient
from integrations.label_studio.errors import AccountExists, LabelStudioRefused, LabelStudioRejected
from tests.label_studio_server import PASSWORD

pytestmark = pytest.mark.label_studio


def test_an_invited_person_gets_an_account_with_a_name(label_studio, label_studio_server):
    member, email = label_studio_server.new_member("Zoë")
    assert (member.email, member.first_name, member.last_name) == (email, "Zoë", "Tester")
    assert member in label_studio.members()
    with label_studio_server.sign_in(email) as browser:
        assert browser.get("/api/current-user/whoami").json()["active_organization"] == 1


def test_the_owner_renames_an_account(label_studio, label_studio_server):
    member, _ = label_studio_server.new_member("Old")
    label_studio.set_names(member.user_id, first_name="New", last_name="Name")
    [found] = [one for one in label_studio.members() if one.user_id == member.user_id]
    assert (found.first_name, found.last_name) == ("New", "Name")


def test_a_second_account_for_one_address_is_refused_as_such(label_studio, label_studio_server):
    _, email = label_studio_server.new_member("Twin")
    with pytest.raises(AccountExists, match="already"):
        sign_up(label_studio_server.url, label_studio.invite_token(), email.upper(), PASSWORD)


@pytest.mark.parametrize(("email", "password"), [("not an address", PASSWORD), ("x@example.com", "short")])
def test_a_bad_address_or_password_is_refused(label_studio, label_studio_server, email, password):
    with pytest.raises(LabelStudioRejected, match="does not take this e-mail address or password"):
        sign_up(label_studio_server.url, label_studio.invite_token(), email, password)


def test_a_wrong_invitation_is_refused(label_studio_server):
    with pytest.raises(LabelStudioRefused, match="new invitation link"):
        sign_up(label_studio_server.url, "wrong", f"{uuid.uuid4().hex}@example.com", PASSWORD)


def test_the_invitation_link_opens_the_sign_up_page(label_studio, label_studio_server, ann):
    link = invite_link(label_studio, "https://labels.example.com/")
    assert link == f"https://labels.example.com/user/signup/?token={label_studio.invite_token()}"


def test_a_personal_token_works_and_is_refreshed(label_studio, label_studio_server):
    _, email = label_studio_server.new_member("Pat")
    with label_studio_server.sign_in(email) as browser:
        token = browser.post("/api/token/").json()["token"]
    with LabelStudioClient(label_studio_server.url, token) as client:
        assert client.probe().user_email == email
        client._transport._auth._access = "spoilt"
        with pytest.raises(LabelStudioRefused):
            client.probe()
        assert client.probe().user_email == email
    with LabelStudioClient(label_studio_server.url, token[:-3] + "abc") as forged:
        with pytest.raises(LabelStudioRefused, match="new token"):
            forged.probe()
