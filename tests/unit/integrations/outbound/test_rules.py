from dataclasses import replace
from ipaddress import ip_address

import pytest

from integrations.outbound.addresses import LOOPBACK, is_public, network
from integrations.outbound.client import check, outbound_client
from integrations.outbound.errors import OutboundRefused
from integrations.outbound.rules import LOCAL, Purpose, Rules, judged, target_of

PUBLIC = Rules(Purpose.LABEL_STUDIO, setting="WORKBENCH_LABEL_STUDIO_NETWORKS")
WITH_LOOPBACK = replace(PUBLIC, networks=LOOPBACK)
WITH_OFFICE = replace(PUBLIC, networks=(network("10.20.0.0/16"), network("fd12:3456::/32")))
MEDIA = Rules(Purpose.MEDIA, hosts=frozenset({"media.example.com"}))
ANY = ["93.184.215.14"]

# The name of the case, the address, what its host resolves to, the rules, and the rule that refuses it.
REFUSED = [
    ("file", "file:///etc/passwd", ANY, PUBLIC, "scheme"),
    ("gopher", "gopher://labels.example.com/_x", ANY, PUBLIC, "scheme"),
    ("no scheme", "labels.example.com", ANY, PUBLIC, "scheme"),
    ("web socket", "ws://labels.example.com", ANY, PUBLIC, "scheme"),
    ("userinfo", "http://user:pw@labels.example.com", ANY, PUBLIC, "userinfo"),
    ("user that looks like a host", "http://labels.example.com@127.0.0.1", ANY, PUBLIC, "userinfo"),
    ("backslash before @", "http://labels.example.com\\@127.0.0.1", ANY, PUBLIC, "userinfo"),
    ("no host", "http://", ANY, PUBLIC, "host"),
    ("space in host", "http://labels example.com", ANY, PUBLIC, "host"),
    ("percent in host", "http://127%2e0%2e0%2e1", ANY, PUBLIC, "host"),
    ("NUL in host", "http://labels\x00.example.com", ANY, PUBLIC, "host"),
    ("closing dot", "http://labels.example.com./", ANY, PUBLIC, "host"),
    ("full-width digits", "http://\uff11\uff12\uff17.0.0.1", ANY, PUBLIC, "host"),
    ("circled letters", "http://\u24db\u24de\u24d2alhost", ANY, PUBLIC, "host"),
    ("ideographic full stops", "http://127\u30020\u30020\u30021", ANY, PUBLIC, "address"),
    ("decimal literal", "http://2130706433", ANY, PUBLIC, "literal"),
    ("octal literal", "http://0177.0.0.1", ANY, PUBLIC, "host"),
    ("hex literal", "http://0x7f000001", ANY, PUBLIC, "literal"),
    ("hex parts", "http://0x7f.0.0.0x1", ANY, PUBLIC, "literal"),
    ("short literal", "http://127.1", ANY, PUBLIC, "literal"),
    ("octal number", "http://017700000001", ANY, PUBLIC, "literal"),
    ("leading zeros", "http://127.000.000.001", ANY, PUBLIC, "host"),
    ("literal with closing dot", "http://127.0.0.1.", ANY, PUBLIC, "literal"),
    ("number too large", "http://4294967296", ANY, PUBLIC, "literal"),
    ("zone id", "http://[fe80::1%25eth0]", ANY, PUBLIC, "literal"),
    ("loopback", "http://127.0.0.1", ANY, PUBLIC, "address"),
    ("another loopback", "http://127.8.9.10", ANY, PUBLIC, "address"),
    ("IPv6 loopback", "http://[::1]", ANY, PUBLIC, "address"),
    ("long IPv6 loopback", "http://[0:0:0:0:0:0:0:1]", ANY, PUBLIC, "address"),
    ("unspecified", "http://0.0.0.0", ANY, WITH_LOOPBACK, "address"),
    ("IPv6 unspecified", "http://[::]", ANY, WITH_LOOPBACK, "address"),
    ("class A private", "http://10.1.2.3", ANY, PUBLIC, "address"),
    ("class B private", "http://172.31.255.1", ANY, PUBLIC, "address"),
    ("class C private", "http://192.168.1.1", ANY, PUBLIC, "address"),
    ("carrier NAT", "http://100.64.0.1", ANY, PUBLIC, "address"),
    ("benchmarking", "http://198.18.0.1", ANY, PUBLIC, "address"),
    ("documentation", "http://192.0.2.7", ANY, PUBLIC, "address"),
    ("multicast", "http://224.0.0.1", ANY, PUBLIC, "address"),
    ("broadcast", "http://255.255.255.255", ANY, PUBLIC, "address"),
    ("cloud metadata", "http://169.254.169.254", ANY, PUBLIC, "address"),
    ("another cloud's metadata", "http://100.100.100.200", ANY, PUBLIC, "address"),
    ("unique local", "http://[fd00::1]", ANY, PUBLIC, "address"),
    ("IPv6 link local", "http://[fe80::1]", ANY, PUBLIC, "address"),
    ("IPv6 metadata", "http://[fd00:ec2::254]", ANY, PUBLIC, "address"),
    ("IPv4-mapped loopback", "http://[::ffff:127.0.0.1]", ANY, PUBLIC, "address"),
    ("IPv4-mapped in hex", "http://[::ffff:7f00:1]", ANY, PUBLIC, "address"),
    ("IPv4-compatible", "http://[::7f00:1]", ANY, PUBLIC, "tunnel"),
    ("6to4 of loopback", "http://[2002:7f00:1::]", ANY, PUBLIC, "tunnel"),
    ("6to4 of a public one", "http://[2002:5db8:d70e::1]", ANY, PUBLIC, "tunnel"),
    ("Teredo", "http://[2001:0:4136:e378:8000:63bf:3fff:fdd2]", ANY, PUBLIC, "tunnel"),
    ("ISATAP", "http://[2600:1f00::5efe:7f00:1]", ANY, PUBLIC, "tunnel"),
    ("NAT64 of loopback", "http://[64:ff9b::7f00:1]", ANY, PUBLIC, "address"),
    ("NAT64 of local use", "http://[64:ff9b:1::5db8:d70e]", ANY, PUBLIC, "tunnel"),
    ("name of loopback", "http://localtest.example.com", ["127.0.0.1"], PUBLIC, "address"),
    ("name of the metadata service", "http://m.example.com", ["169.254.169.254"], PUBLIC, "address"),
    ("mixed answers", "http://labels.example.com", ["93.184.215.14", "10.0.0.1"], PUBLIC, "address"),
    ("mixed versions", "http://labels.example.com", ["93.184.215.14", "::1"], PUBLIC, "address"),
    ("no answer", "http://labels.example.com", [], PUBLIC, "address"),
    ("scoped answer", "http://labels.example.com", ["fe80::1%eth0"], PUBLIC, "address"),
    ("port of mail", "http://labels.example.com:25", ANY, PUBLIC, "port"),
    ("port of a database", "http://labels.example.com:5432", ANY, PUBLIC, "port"),
    ("port of a database in the office", "http://10.20.1.1:6379", ANY, WITH_OFFICE, "port"),
    ("port nobody listed", "http://labels.example.com:9000", ANY, PUBLIC, "port"),
    ("port 0", "http://labels.example.com:0", ANY, PUBLIC, "port"),
    ("port too large", "http://10.20.1.1:70000", ANY, WITH_OFFICE, "port"),
    ("network beside the listed one", "http://10.21.0.1", ANY, WITH_OFFICE, "address"),
    ("listed for another purpose", "http://10.20.0.1", ANY, Rules(Purpose.CHANNEL), "address"),
    ("media from a host not listed", "http://other.example.com", ANY, MEDIA, "hosts"),
    ("media from a listed host at home", "http://media.example.com", ["10.0.0.1"], MEDIA, "address"),
    (
        "media where nothing is listed",
        "http://m.example.com",
        ANY,
        replace(MEDIA, hosts=frozenset()),
        "hosts",
    ),
    ("local program elsewhere", "http://labels.example.com", ANY, LOCAL, "address"),
]
ALLOWED = [
    ("name", "https://labels.example.com/ls", ["93.184.215.14"], PUBLIC, ["93.184.215.14"]),
    ("name in other letters", "https://b\u00fccher.example", ANY, PUBLIC, ANY),
    ("upper case", "HTTPS://LABELS.Example.Com", ANY, PUBLIC, ANY),
    ("underscore, as containers are called", "http://label_studio:8080", ANY, PUBLIC, ANY),
    ("public literal", "http://93.184.215.14", ["93.184.215.14"], PUBLIC, ["93.184.215.14"]),
    ("public IPv6", "https://[2606:2800:21f::1]", ["2606:2800:21f::1"], PUBLIC, ["2606:2800:21f::1"]),
    ("NAT64 of a public one", "http://l.example.com", ["64:ff9b::5db8:d70e"], PUBLIC, ["64:ff9b::5db8:d70e"]),
    ("IPv4-mapped public one", "http://l.example.com", ["::ffff:93.184.215.14"], PUBLIC, ["93.184.215.14"]),
    ("loopback where allowed", "http://127.0.0.1:8081", ["127.0.0.1"], WITH_LOOPBACK, ["127.0.0.1"]),
    ("mapped loopback where allowed", "http://l:8081", ["::ffff:127.0.0.1"], WITH_LOOPBACK, ["127.0.0.1"]),
    ("office where listed", "http://labels.office:8081", ["10.20.1.1"], WITH_OFFICE, ["10.20.1.1"]),
    (
        "both of a listed and a public one",
        "http://l.example.com",
        ["10.20.1.1", *ANY],
        WITH_OFFICE,
        ["10.20.1.1", *ANY],
    ),
    ("unique local where listed", "http://l.office", ["fd12:3456::7"], WITH_OFFICE, ["fd12:3456::7"]),
    ("media from its host", "https://media.example.com/a.png", ANY, MEDIA, ANY),
]


def dialled(url, answers, rules):
    target = target_of(url)
    return [str(one) for one in judged(target, [str(target.literal)] if target.literal else answers, rules)]


@pytest.mark.parametrize(
    ("url", "answers", "rules", "rule"), [one[1:] for one in REFUSED], ids=[one[0] for one in REFUSED]
)
def test_refused(url, answers, rules, rule):
    with pytest.raises(OutboundRefused) as caught:
        dialled(url, answers, rules)
    assert caught.value.rule == rule
    assert ";" in str(caught.value) or "can be called" in str(caught.value)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "answers", "rules", "wanted"), [one[1:] for one in ALLOWED], ids=[one[0] for one in ALLOWED]
)
def test_allowed(url, answers, rules, wanted):
    assert dialled(url, answers, rules) == wanted


def test_the_refusal_names_the_setting_that_helps():
    with pytest.raises(OutboundRefused, match="WORKBENCH_LABEL_STUDIO_NETWORKS"):
        check("http://192.168.1.1:8080", PUBLIC)
    with pytest.raises(OutboundRefused) as caught:
        check("http://169.254.169.254", PUBLIC)
    assert "WORKBENCH" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["169.254.0.0/16", "0.0.0.0/8", "::", "ff02::1", "300.0.0.0/8", "10.0.0.1/8", ""]
)
def test_networks_that_cannot_be_listed(text):
    with pytest.raises(ValueError, match=r"\w"):
        network(text)


def test_what_is_never_called_is_not_called_within_a_larger_network_either():
    everything = replace(PUBLIC, networks=(network("0.0.0.0/0"), network("::/0")))
    for host in ("169.254.169.254", "[fe80::1]", "0.0.0.0", "[2002:7f00:1::]"):
        with pytest.raises(OutboundRefused):
            check(f"http://{host}", everything)
    assert check("http://10.0.0.1", everything).literal == ip_address("10.0.0.1")


@pytest.mark.parametrize("text", ["8.8.8.8", "2606:4700::1111", "1.1.1.1"])
def test_public(text):
    assert is_public(ip_address(text))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("http://a.example.com", "http://A.example.com:80/x?y#z", True),
        ("https://a.example.com", "https://a.example.com:443", True),
        ("http://[::1]:8080", "http://[0:0::1]:8080/", True),
        ("http://a.example.com", "https://a.example.com", False),
        ("http://a.example.com", "http://a.example.com:8080", False),
        ("http://a.example.com", "http://b.example.com", False),
    ],
)
def test_origins(one, other, same):
    assert (target_of(one).origin == target_of(other).origin) is same


def test_credentials_need_an_origin():
    for more in ({"keep_cookies": True}, {"auth": object()}):
        with pytest.raises(OutboundRefused, match="belong to"):
            outbound_client(PUBLIC, origin=None, **more)
