"""Which IP addresses are on the public internet, whatever clothes they wear. Pure."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

LOOPBACK: tuple[Network, ...] = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))
# Nobody may list these: they mean no one machine, or the keeper of a cloud machine's own credentials.
NEVER: tuple[Network, ...] = (
    IPv4Network("0.0.0.0/8"),
    IPv4Network("169.254.0.0/16"),
    IPv4Network("100.100.100.200/32"),
    IPv4Network("192.0.0.192/32"),
    IPv4Network("224.0.0.0/4"),
    IPv4Network("240.0.0.0/4"),
    IPv6Network("::/128"),
    IPv6Network("fe80::/10"),
    IPv6Network("fec0::/10"),
    IPv6Network("ff00::/8"),
    IPv6Network("fd00:ec2::/32"),
)
# Beyond what Python's tables of this release call private.
_NOT_PUBLIC: tuple[Network, ...] = (
    IPv4Network("10.0.0.0/8"),
    IPv4Network("100.64.0.0/10"),
    IPv4Network("127.0.0.0/8"),
    IPv4Network("172.16.0.0/12"),
    IPv4Network("192.0.0.0/24"),
    IPv4Network("192.0.2.0/24"),
    IPv4Network("192.88.99.0/24"),
    IPv4Network("192.168.0.0/16"),
    IPv4Network("198.18.0.0/15"),
    IPv4Network("198.51.100.0/24"),
    IPv4Network("203.0.113.0/24"),
    IPv6Network("2001::/23"),
    IPv6Network("2001:db8::/32"),
    IPv6Network("3fff::/20"),
)
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
_TUNNELS: tuple[tuple[str, IPv6Network], ...] = (
    ("6to4", IPv6Network("2002::/16")),
    ("Teredo", IPv6Network("2001::/32")),
    ("local NAT64", IPv6Network("64:ff9b:1::/48")),
    ("IPv4-compatible", IPv6Network("::/96")),
    ("IPv4-translated", IPv6Network("::ffff:0:0:0/96")),
)
_ISATAP = {0x00005EFE, 0x02005EFE}


def plain(address: Address) -> Address:
    """The address itself, or the IPv4 one that an IPv4-mapped address stands for."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def tunnel_of(address: Address) -> str:
    """The kind of tunnel that an IPv6 address hides an IPv4 one in; empty for none."""
    if not isinstance(address, IPv6Address) or address.is_loopback or address.is_unspecified:
        return ""
    for kind, network in _TUNNELS:
        if address in network:
            return kind
    return "ISATAP" if (int(address) >> 32) & 0xFFFFFFFF in _ISATAP else ""


def is_public(address: Address) -> bool:
    """Whether packets to this address go to a machine on the public internet."""
    address = plain(address)
    if isinstance(address, IPv6Address):
        if address in _NAT64:
            return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
        if tunnel_of(address) or address not in _GLOBAL_UNICAST:
            return False
    return address.is_global and not within(address, NEVER) and not within(address, _NOT_PUBLIC)


def within(address: Address, networks: tuple[Network, ...]) -> bool:
    """Whether one of the networks holds the address; only of the same version."""
    return any(address.version == one.version and address in one for one in networks)


def network(text: str) -> Network:
    """A network as settings write it, `10.0.0.0/8` or one address.

    Raises:
        ValueError: It is none, or holds addresses that may never be called; the message says so.
    """
    found = ip_network(text.strip())
    for one in NEVER:
        if found.version == one.version and found.subnet_of(one):  # type: ignore[arg-type]
            raise ValueError(f"{found} can never be called; leave it out")
    return found
