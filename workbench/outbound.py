"""What this installation may call, by purpose, as its settings say."""

from __future__ import annotations

import ssl
from dataclasses import replace
from functools import cache
from ipaddress import ip_address
from pathlib import Path

import httpx

from integrations.outbound.addresses import LOOPBACK, Network, network
from integrations.outbound.rules import LOCAL, MEGABYTE, Purpose, Rules
from workbench.errors import InvalidInput
from workbench.settings import Settings

_LARGEST_MB = 256


def rules_for(settings: Settings, purpose: Purpose, *, hosts: frozenset[str] = frozenset()) -> Rules:
    """What may be called for this purpose.

    Args:
        settings: Of this installation.
        purpose: Why something is called.
        hosts: For `Purpose.MEDIA`: the project's list of hosts; nothing else is called.
    """
    own: tuple[Network, ...] = ()
    ports, setting, size = settings.outbound_ports, "", MEGABYTE
    match purpose:
        case Purpose.LOCAL:
            return replace(LOCAL, networks=(*LOOPBACK, *_own_address(settings)))
        case Purpose.MEDIA:
            return Rules(purpose, ports=ports, hosts=hosts, max_bytes=_LARGEST_MB * MEGABYTE)
        case Purpose.LABEL_STUDIO:
            own, setting = _label_studio_networks(settings), "WORKBENCH_LABEL_STUDIO_NETWORKS"
            size = _LARGEST_MB * MEGABYTE
        case Purpose.CHANNEL:
            own, setting = settings.channel_networks, "WORKBENCH_CHANNEL_NETWORKS"
        case Purpose.SIGN_IN:
            own, setting = settings.sign_in_networks, "WORKBENCH_SIGN_IN_NETWORKS"
        case Purpose.MODEL:
            pass
    return Rules(purpose, own, ports, max_bytes=size, setting=setting)


def trusted(settings: Settings) -> ssl.SSLContext | None:
    """Certificates to trust beyond those that browsers trust; None where there are none.

    Raises:
        InvalidInput: The file cannot be read.
    """
    return None if settings.outbound_ca_file is None else _with_own(settings.outbound_ca_file)


@cache
def _with_own(path: Path) -> ssl.SSLContext:
    context = httpx.create_ssl_context(trust_env=False)
    try:
        context.load_verify_locations(path)
    except OSError:
        raise InvalidInput(
            f"WORKBENCH_OUTBOUND_CA_FILE {path} holds no certificates that can be read; give a PEM file"
        ) from None
    return context


def _label_studio_networks(settings: Settings) -> tuple[Network, ...]:
    if settings.label_studio_networks is not None:
        return settings.label_studio_networks
    # Who can reach a workbench that listens to this machine alone can call its other programs anyway. One
    # that others reach must not become their way in.
    return LOOPBACK if not settings.public_url and _is_loopback(settings.host) else ()


def _own_address(settings: Settings) -> tuple[Network, ...]:
    try:
        return (network(settings.host),)
    except ValueError:
        return ()


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
