import pytest

from integrations.label_studio.errors import LabelStudioRejected
from integrations.outbound.client import check
from integrations.outbound.errors import OutboundRefused
from integrations.outbound.rules import Purpose
from tests.factories import make_server
from workbench.adapters import label_studio_clients
from workbench.errors import InvalidInput, Unavailable
from workbench.outbound import rules_for, trusted
from workbench.people.service import client_for
from workbench.settings import load_settings

TOKEN = "0" * 40


def may_call(url, **settings):
    try:
        check(url, rules_for(load_settings(**settings), Purpose.LABEL_STUDIO))
    except OutboundRefused:
        return False
    return True


@pytest.mark.parametrize(
    ("settings", "here", "office"),
    [
        ({}, True, False),
        ({"host": "localhost"}, True, False),
        ({"host": "::1"}, True, False),
        ({"host": "0.0.0.0"}, False, False),
        ({"host": "10.0.0.5"}, False, False),
        ({"public_url": "https://workbench.example.com"}, False, False),
        ({"label_studio_networks": ""}, False, False),
        ({"label_studio_networks": "10.0.0.0/8"}, False, True),
        (
            {"label_studio_networks": "127.0.0.1, 10.0.0.0/8", "public_url": "https://w.example.com"},
            True,
            True,
        ),
        ({"label_studio_networks": ["127.0.0.0/8"], "host": "0.0.0.0"}, True, False),
    ],
)
def test_which_private_label_studio_servers_may_be_called(settings, here, office):
    assert may_call("http://127.0.0.1:8081", **settings) is here
    assert may_call("http://10.1.2.3:8081", **settings) is office
    assert may_call("https://93.184.215.14", **settings)
    assert not may_call("http://169.254.169.254", **settings)


def test_a_network_for_one_purpose_is_none_for_another():
    settings = load_settings(label_studio_networks="10.0.0.0/8")
    for purpose in (Purpose.CHANNEL, Purpose.MODEL, Purpose.SIGN_IN):
        with pytest.raises(OutboundRefused):
            check("http://10.0.0.1", rules_for(settings, purpose))
    with pytest.raises(OutboundRefused, match="not among the hosts"):
        check("https://media.example.com", rules_for(settings, Purpose.MEDIA))


def test_networks_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("WORKBENCH_LABEL_STUDIO_NETWORKS", "10.0.0.0/8,fd00:1::/32")
    assert len(load_settings().label_studio_networks) == 2
    monkeypatch.setenv("WORKBENCH_LABEL_STUDIO_NETWORKS", "169.254.0.0/16")
    with pytest.raises(InvalidInput, match="can never be called"):
        load_settings()


def test_the_real_adapters_keep_the_rules():
    client = label_studio_clients(load_settings(public_url="https://w.example.com"))
    with pytest.raises(LabelStudioRejected, match="WORKBENCH_LABEL_STUDIO_NETWORKS"):
        client("http://127.0.0.1:8080", TOKEN)
    label_studio_clients(load_settings())("http://127.0.0.1:8080", TOKEN)


def test_a_file_of_authorities_that_is_none_says_so(tmp_path):
    file = tmp_path / "ca.pem"
    file.write_text("none")
    with pytest.raises(InvalidInput, match="PEM"):
        trusted(load_settings(outbound_ca_file=file))
    assert trusted(load_settings()) is None


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://labels.example.com/other", True),
        ("http://labels.example.com", False),
        ("https://labels.example.com:8443", False),
        ("https://evil.example.com", False),
    ],
)
def test_another_origin_takes_the_token_away(outside, url, kept):
    with outside.db.write() as session:
        row = make_server(session, url="https://labels.example.com", token=outside.vault.lock(b"canary"))
        row.url = url
        assert bool(row.token) is kept
        if not kept:
            with pytest.raises(Unavailable, match="enter it again"):
                client_for(outside, row)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::", "http://[::1]:8000"),
        ("10.0.0.5", "http://10.0.0.5:8000"),
        ("localhost", "http://localhost:8000"),
    ],
)
def test_our_own_web_process_may_be_called_wherever_it_listens(host, address):
    settings = load_settings(host=host)
    assert settings.local_address == address
    rules = rules_for(settings, Purpose.LOCAL)
    check(settings.local_address, rules)
    with pytest.raises(OutboundRefused):
        check("http://10.0.0.6:8000", rules)
    with pytest.raises(OutboundRefused):
        check("http://93.184.215.14", rules)
