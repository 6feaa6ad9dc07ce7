"""Hosts at which a number or an extension means the same as without a host."""

import re
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Final

from config.settings import Settings
from config.trunk_settings import PeerSettings
from config.values import Network

_HOST: Final = re.compile(r"sips?:(?:[^@]*@)?(\[[^]]+\]|[^:;?]+)", re.IGNORECASE)


class OwnHosts:
    """Ours, Retell's and the trunks': a Refer-To names any of them, according to whose address the
    referring side had before it."""

    def __init__(self, settings: Settings) -> None:
        self._names = frozenset(host.strip("[]").lower() for host in _names(settings))
        self._networks: tuple[Network, ...] = tuple(
            source.network for trunk in settings.every_trunk() for source in trunk.identify
        )

    def __contains__(self, host: str) -> bool:
        """`host` without brackets, and without a port."""
        if host.lower() in self._names:
            return True
        try:
            address = ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in self._networks)


def first_host(trunk: PeerSettings) -> str | None:
    """Where the trunk is called, with brackets if it is an IPv6 address; None if it registers."""
    uris = (*trunk.gateways, trunk.registration.registrar)
    return next((match[1] for uri in uris if (match := _HOST.match(uri or ""))), None)


def _names(settings: Settings) -> Iterator[str]:
    sip = settings.sip
    yield sip.realm
    if sip.advertise is not None:
        yield sip.advertise
    for listener in sip.listen:
        yield listener.address.host
        if listener.advertise is not None:
            yield listener.advertise
    for trunk in settings.every_trunk():
        yield from _names_of(trunk)


def _names_of(trunk: PeerSettings) -> Iterator[str]:
    """Its gateways and registrar, and our own names towards it."""
    for uri in (*trunk.gateways, trunk.registration.registrar, trunk.registration.aor):
        match = _HOST.match(uri or "")
        if match is not None:
            yield match[1]
    for name in (trunk.contact_domain, trunk.caller_id.from_domain):
        if name is not None:
            yield name.partition(":")[0]
