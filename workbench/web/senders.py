"""Which machine a request comes from, and by which name it reached us."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from workbench.settings import Settings

_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_EVERY_INTERFACE = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - compared with, not bound to


def client_address(request: HTTPConnection) -> str:
    """The sender's address; behind a trusted proxy the one that it names, IPv6 as its /64.

    `X-Forwarded-For` is read from the right, past proxies of `trusted_proxies`: what stands further left
    was written by whoever sent the request.
    """
    settings: Settings = request.app.state.outside.settings
    address = request.client.host if request.client else ""
    given = ",".join(request.headers.getlist("x-forwarded-for"))
    hops = [hop.strip() for hop in given.split(",") if hop.strip()]
    while _trusted(settings, address) and hops:
        address = hops.pop()
    return _network_of(address)


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(address.strip("[]"))
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _trusted(settings: Settings, address: str) -> bool:
    found = _parsed(address)
    return found is not None and any(found in network for network in settings.trusted_proxies)


def _network_of(address: str) -> str:
    found = _parsed(address)
    if isinstance(found, ipaddress.IPv6Address) and not found.is_loopback:
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found) if found is not None else ""


def host_name(host: str) -> str:
    """The name in a `Host` header, without port; empty where it cannot be read."""
    try:
        parts = urlsplit(f"//{host}")
        parts.port  # noqa: B018 - raises for a port that is none
    except ValueError:
        return ""
    plain = not (parts.path or parts.query or parts.fragment or "@" in host)
    return (parts.hostname or "").rstrip(".") if plain else ""


def knows_host(settings: Settings, host: str) -> bool:
    """Whether a request with this `Host` is meant for us; another name is how DNS rebinding looks.

    An address in figures is no name that somebody could point at us; it is taken where the service
    listens beyond this machine.
    """
    name = host_name(host)
    public = urlsplit(settings.public_url).hostname or ""
    known = {one.lower() for one in settings.allowed_hosts} | _LOOPBACK_NAMES | {public, settings.host}
    if not name:
        return False
    beyond = settings.host not in _LOOPBACK_NAMES
    return name in known - _EVERY_INTERFACE or (beyond and _parsed(name) is not None)


def own_origins(settings: Settings, host: str) -> frozenset[str]:
    """The origins whose pages may send changes: exactly the public address, else the host that was named."""
    public = urlsplit(settings.public_url)
    if public.netloc:
        return frozenset({f"{public.scheme}://{public.netloc}".lower()})
    scheme = "https" if settings.secure_cookies else "http"
    return frozenset({f"{scheme}://{host}".lower()})
