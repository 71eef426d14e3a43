"""What may be called for which purpose: addresses, ports, hosts and sizes. Pure."""

import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address

import httpx

from integrations.outbound.addresses import (
    LOOPBACK,
    NEVER,
    Address,
    Network,
    is_public,
    plain,
    tunnel_of,
    within,
)
from integrations.outbound.errors import OutboundRefused

WEB_PORTS = frozenset({80, 443, 8080, 8443})
# Programs that take a line of HTTP for one of their own: mail, databases, caches, container engines.
NEVER_PORTS = frozenset(
    {
        *(
            0,
            1,
            7,
            9,
            11,
            13,
            15,
            17,
            19,
            20,
            21,
            22,
            23,
            25,
            37,
            42,
            43,
            53,
            69,
            79,
            110,
            111,
            113,
            119,
            123,
        ),
        *(135, 137, 139, 143, 161, 179, 389, 427, 445, 465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548),
        *(554, 556, 563, 587, 601, 636, 873, 989, 990, 993, 995, 1433, 1521, 2049, 2375, 2376, 2379, 2380),
        *(3306, 3389, 3659, 4045, 5060, 5432, 5433, 5672, 5900, 5984, 6000, 6379, 6443, 6566, 6665, 6666),
        *(6667, 6668, 6669, 6697, 8500, 9042, 9092, 9200, 9300, 10080, 10250, 10255, 11211, 15672, 26257),
        *(27017, 27018, 50070),
    }
)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_LAST_PORT = 65_535
_NAME = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*"
)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.IGNORECASE)
MEGABYTE = 1024 * 1024


class Purpose(StrEnum):
    """Why an address is called."""

    LABEL_STUDIO = "a Label Studio server"
    MODEL = "a model"
    CHANNEL = "a notification channel"
    MEDIA = "an item's file"
    SIGN_IN = "a sign-in provider"
    LOCAL = "a program of this machine"


@dataclass(frozen=True)
class Rules:
    """What may be called.

    Attributes:
        purpose: For the words of a refusal.
        networks: Networks that are not public and may be called all the same, on any port that speaks HTTP.
        ports: Ports of public addresses.
        hosts: Only these names; None for any.
        only_networks: Public addresses are refused as well.
        max_bytes: Longest answer, unpacked.
        setting: The setting that holds `networks`, for the words of a refusal.
    """

    purpose: Purpose
    networks: tuple[Network, ...] = ()
    ports: frozenset[int] = WEB_PORTS
    hosts: frozenset[str] | None = None
    only_networks: bool = False
    max_bytes: int = 16 * MEGABYTE
    setting: str = ""


LOCAL = Rules(Purpose.LOCAL, LOOPBACK, only_networks=True, max_bytes=256 * MEGABYTE)


@dataclass(frozen=True)
class Target:
    """Where a request goes.

    Attributes:
        scheme: `http` or `https`.
        host: In ASCII, lower case; a literal in its one canonical form.
        port: Always a number.
        literal: The address, where the host is one.
    """

    scheme: str
    host: str
    port: int
    literal: Address | None = None

    @property
    def origin(self) -> str:
        """Scheme, host and port, the same for all spellings."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def target_of(url: str | httpx.URL) -> Target:
    """Where an address leads, without asking anybody.

    Raises:
        OutboundRefused: Not http or https, with a name and password in it, or with an odd host.
    """
    try:
        parsed = url if isinstance(url, httpx.URL) else httpx.URL(url.strip())
        host = parsed.raw_host.decode("ascii").lower()
    except (httpx.InvalidURL, UnicodeError, ValueError):
        raise _odd_host() from None
    if parsed.scheme not in _DEFAULT_PORTS:
        raise OutboundRefused("scheme", "only addresses that begin with http:// or https:// can be called")
    if parsed.userinfo:
        raise OutboundRefused(
            "userinfo", "the address carries a name or password; take it out and give credentials apart"
        )
    port = parsed.port or _DEFAULT_PORTS[parsed.scheme]
    if port in NEVER_PORTS or port > _LAST_PORT or parsed.port == 0:
        raise OutboundRefused("port", f"port {parsed.port} is not one of HTTP; give another")
    literal = _literal(host)
    return Target(parsed.scheme, str(literal) if literal else host, port, literal)


def check_host(target: Target, rules: Rules) -> None:
    """Nothing, if the host is among those allowed.

    Raises:
        OutboundRefused: It is not.
    """
    if rules.hosts is not None and target.host not in rules.hosts:
        raise OutboundRefused(
            "hosts", f"{target.host} is not among the hosts allowed for {rules.purpose}; have it added"
        )


def judged(target: Target, answers: Sequence[str], rules: Rules) -> tuple[Address, ...]:
    """The addresses to connect to, when every answer for the host may be called.

    Raises:
        OutboundRefused: One of them may not; or the host or port is not among those allowed.
    """
    check_host(target, rules)
    found = tuple(dict.fromkeys(_judged_one(target, answer, rules) for answer in answers))
    if not found:
        raise OutboundRefused("address", f"{target.host} has no address; correct its name")
    return found


def _judged_one(target: Target, answer: str, rules: Rules) -> Address:
    if "%" in answer:
        raise OutboundRefused("address", f"{target.host} is an address of one network card; give another")
    given = ip_address(answer)
    address = plain(given)
    kind = tunnel_of(address)
    if kind:
        raise OutboundRefused(
            "tunnel",
            f"{target.host} leads through a tunnel ({kind}), which is never called; give its own address",
        )
    if not within(address, NEVER):
        if within(address, rules.networks):
            return address
        if not rules.only_networks and is_public(address):
            if target.port in rules.ports:
                return address
            raise OutboundRefused(
                "port",
                f"port {target.port} is not called on public addresses for {rules.purpose}; "
                f"serve it on one of {', '.join(map(str, sorted(rules.ports)))}",
            )
    raise OutboundRefused("address", _not_public(target, rules, is_never=within(address, NEVER)))


def _not_public(target: Target, rules: Rules, *, is_never: bool) -> str:
    if rules.only_networks:
        return f"{target.host} is not this machine; only its own programs are called here"
    words = (
        f"{target.host} is not (or not only) on the public internet, so it is not called for {rules.purpose}"
    )
    if is_never or not rules.setting:
        return f"{words}; give a public address"
    return f"{words}; give a public address, or have an administrator list its network in {rules.setting}"


def _literal(host: str) -> Address | None:
    if ":" in host:
        if "%" in host:
            raise OutboundRefused("literal", "the address names a network card (%); give one without")
        try:
            return IPv6Address(host)
        except ValueError:
            raise _odd_host() from None
    last = host.rstrip(".").rpartition(".")[2]
    if not _NUMBER.fullmatch(last):
        if not _NAME.fullmatch(host):
            raise _odd_host()
        return None
    try:
        return IPv4Address(host)
    except ValueError:
        raise OutboundRefused("literal", _plainer(host)) from None


def _plainer(host: str) -> str:
    try:
        meant = socket.inet_ntoa(socket.inet_aton(host.rstrip(".")))
    except OSError:
        return "the host is neither a name nor an address; write it as labels.example.com or 192.0.2.1"
    return f"the host is another spelling of {meant}; write addresses as four plain numbers"


def _odd_host() -> OutboundRefused:
    return OutboundRefused("host", "the address has no usable host; write it as https://labels.example.com")
