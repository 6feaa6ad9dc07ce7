"""Values of the example that were never replaced by the operator's own."""

import re
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Final

from config.advice.peers import address_of, host_is_inside, place_of, trunks
from config.findings import Finding, Level
from config.problems import KeyPath
from config.settings import Settings
from config.values import Network

#: RFC 5737 and 3849: no packet to them leaves a provider.
_NETWORKS: Final = tuple(
    ip_network(network)
    for network in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
)
#: RFC 2606 and 6761, and the names that the example makes of carriers' own domains.
_HOST: Final = re.compile(
    r"(.*\.)?example(\.(com|net|org))?|.*\.(invalid|test)|example\..*", re.IGNORECASE
)
#: Numbers that are reserved for stories.
_NUMBER: Final = re.compile(r"\+1\d{3}55501\d\d")
_AGENT: Final = re.compile(r"agent_(1|0123456789|sandbox)")


def example_findings(settings: Settings) -> Iterator[Finding]:
    """Everything that config/gateway.example.yaml made up. Beside a Retell on this machine, which
    is a trial, anything goes."""
    if host_is_inside(place_of(settings.retell.sip_uri).host):
        return
    yield from _ours(settings)
    for path, trunk in trunks(settings):
        uris: list[tuple[KeyPath, str]] = [
            ((*path, "gateways", index), uri) for index, uri in enumerate(trunk.gateways)
        ]
        if trunk.registration.registrar:
            uris.append(((*path, "registration", "registrar"), trunk.registration.registrar))
        for key, uri in uris:
            if _made_up(place_of(uri).host):
                yield _left(Level.ERROR, key, uri, "calls to it reach nobody")
        for index, source in enumerate(trunk.identify):
            if _in_books(source.network):
                key = (*path, "identify", index)
                yield _left(Level.WARNING, key, str(source), "nobody sends from there")
    for number, entry in settings.numbers.items():
        if _NUMBER.fullmatch(number):
            yield _left(Level.WARNING, ("numbers", number), number, "nobody can dial it")
        if entry.agent is not None and _AGENT.fullmatch(entry.agent):
            key = ("numbers", number, "agent")
            yield _left(Level.WARNING, key, entry.agent, "Retell knows no such agent")


def _ours(settings: Settings) -> Iterator[Finding]:
    advertise, realm, agent = settings.sip.advertise, settings.sip.realm, settings.retell.agent
    told = None if advertise is None else address_of(advertise)
    if told is not None and _in_books(ip_network(told)):
        why = "no peer's requests or audio come back"
        yield _left(Level.ERROR, ("sip", "advertise"), str(told), why)
    if _made_up(realm):
        yield _left(Level.WARNING, ("sip", "realm"), realm, "peers see it as our name")
    if agent is not None and _AGENT.fullmatch(agent):
        yield _left(Level.WARNING, ("retell", "agent"), agent, "Retell knows no such agent")


def _left(level: Level, path: KeyPath, value: str, why: str) -> Finding:
    return Finding(
        code="example-value",
        level=level,
        path=path,
        text=f"{value} is the example's: {why}",
        fix="write your own, or take the entry out",
    )


def _made_up(host: str) -> bool:
    try:
        return _in_books(ip_network(host))
    except ValueError:
        return _HOST.fullmatch(host) is not None


def _in_books(network: Network) -> bool:
    return any(
        network.version == book.version
        and network.network_address in book
        and network.broadcast_address in book
        for book in _NETWORKS
    )
