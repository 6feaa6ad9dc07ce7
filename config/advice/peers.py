"""Where the peers of a configuration are: on this machine, in a network of our own, outside."""

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final, NamedTuple

from config.problems import KeyPath
from config.settings import Settings
from config.trunk_settings import PeerSettings
from config.values import Network

IpAddress = IPv4Address | IPv6Address

_URI: Final = re.compile(r"(sips?):(?:[^@]*@)?(\[[^]]+\]|[^:;?]+)(?::(\d+))?(.*)", re.IGNORECASE)
#: RFC 1918, 4193, 6598, 3927, 4291, and loopback: not `is_private`, which holds more than that.
_INSIDE: Final = tuple(
    ip_network(network)
    for network in (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16"),
        *("127.0.0.0/8", "::1/128", "fc00::/7", "fe80::/10"),
    )
)


class Place(NamedTuple):
    """Where a SIP URI leads."""

    host: str
    port: int
    transport: str


def place_of(uri: str) -> Place:
    """Host, port and transport of a checked SIP URI, with RFC 3261's defaults."""
    match = _URI.match(uri)
    assert match is not None, "a SIP URI of the configuration is checked"
    scheme, host, port, rest = match.groups()
    found = re.search(r";transport=(\w+)", rest, re.IGNORECASE)
    transport = found[1].lower() if found else "tls" if scheme.lower() == "sips" else "udp"
    usual = 5061 if transport == "tls" else 5060
    return Place(host.strip("[]").lower(), int(port) if port else usual, transport)


def address_of(host: str) -> IpAddress | None:
    """The address that `host` is; None for a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def is_inside(network: Network) -> bool:
    """Whether all of it lies within networks that the Internet does not reach."""
    return any(
        network.version == inside.version
        and network.network_address in inside
        and network.broadcast_address in inside
        for inside in _INSIDE
    )


def host_is_inside(host: str) -> bool:
    """The same of a host; a name without a dot is one of our own network."""
    address = address_of(host)
    if address is None:
        return "." not in host or host.endswith((".local", ".internal", ".lan"))
    return is_inside(ip_network(address))


def is_outside(trunk: PeerSettings) -> bool:
    """Whether this peer is out of our own networks: by where we call it, else by where it calls
    from."""
    registrar = trunk.registration.registrar
    uris = (*trunk.gateways, registrar) if registrar else trunk.gateways
    if uris:
        return not all(host_is_inside(place_of(uri).host) for uri in uris)
    return not all(is_inside(source.network) for source in trunk.identify)


def trunks(settings: Settings) -> Iterator[tuple[KeyPath, PeerSettings]]:
    """Every trunk of `trunks`, with its place."""
    for index, trunk in enumerate(settings.trunks):
        yield ("trunks", index), trunk
