"""Addresses and ports that cannot do what they are for."""

from collections.abc import Iterator
from ipaddress import ip_network

from config.advice.peers import address_of, is_inside, is_outside, trunks
from config.findings import Finding, Level
from config.problems import KeyPath
from config.settings import Settings

#: RTP and RTCP, on both legs (docs/config.md, `media.ports`).
PORTS_A_CALL = 4


def address_findings(settings: Settings) -> Iterator[Finding]:
    """Everything about `advertise`, `http.listen` and `media.ports`."""
    if settings.sip.listen:
        yield from _advertised(settings)
        yield from _http_port(settings)
        yield from _media_ports(settings)


def _advertised(settings: Settings) -> Iterator[Finding]:
    """Peers outside must be told an address that they can reach."""
    outside = [trunk.name for trunk in settings.every_trunk() if is_outside(trunk)]
    if not outside:
        return
    told: list[tuple[KeyPath, str, str]] = []
    for group, public in (("sip", settings.sip.advertise), ("media", settings.media.advertise)):
        if public is not None and address_of(public) is not None:
            told.append(((group, "advertise"), public, outside[0]))
    for index, listener in enumerate(settings.sip.listen):
        if listener.advertise is not None:
            told.append((("sip", "listen", index, "advertise"), listener.advertise, outside[0]))
    for path, trunk in trunks(settings):
        if is_outside(trunk) and address_of(trunk.advertise) is not None:
            told.append(((*path, "advertise"), trunk.advertise, trunk.name))
    for key, address, peer in told:
        network = ip_network(address)
        if network.is_loopback:
            yield Finding(
                code="advertise-loopback",
                level=Level.ERROR,
                path=key,
                text=f"{address} is this machine's own, and trunk {peer} is elsewhere:"
                " neither its requests nor its audio come back",
                fix="write the address that it can reach",
            )
        elif is_inside(network):
            yield Finding(
                code="advertise-private",
                level=Level.WARNING,
                path=key,
                text=f"{address} is private, and trunk {peer} is outside:"
                " what it sends there does not arrive",
                fix="write the public address that leads here",
            )


def _http_port(settings: Settings) -> Iterator[Finding]:
    http = settings.http.listen
    listeners = [one.address for one in settings.sip.listen]
    # the worst first: one finding is enough
    for listener in sorted(listeners, key=lambda one: one.transport == "udp"):
        if listener.port != http.port or not _meet(listener.host, http.host):
            continue
        if listener.transport == "udp":
            text = f"port {http.port} is SIP's over UDP: SIP over TCP cannot be had beside it"
            level = Level.WARNING
        else:
            text = f"port {http.port} is that of {listener} in sip.listen: only one can have it"
            level = Level.ERROR
        yield Finding(
            code="http-on-sip-port",
            level=level,
            path=("http", "listen"),
            text=text,
            fix="give HTTP a port of its own, such as 8080",
        )
        return


def _meet(one: str, other: str) -> bool:
    return one == other or not {"0.0.0.0", "::"}.isdisjoint((one, other))


def _media_ports(settings: Settings) -> Iterator[Finding]:
    if "builtin" not in settings.media.engine:
        return
    path: KeyPath = ("media", "ports")
    ports, limit = settings.media.ports, settings.limits.calls
    room = ports.calls
    if room < limit and settings.media.engine == ("builtin",):  # else others take the rest
        yield Finding(
            code="media-ports-few",
            level=Level.WARNING,
            path=path,
            text=f"{ports.first}-{ports.last} is enough for {room} calls, and limits.calls lets"
            f" {limit} in: those beyond get 503 without having reached Retell",
            fix=f"widen it to {PORTS_A_CALL * limit} ports, or set limits.calls to {room}",
        )
    for listener in (one.address for one in settings.sip.listen):
        if listener.transport == "udp" and ports.first <= listener.port <= ports.last:
            yield Finding(
                code="media-ports-over-listener",
                level=Level.ERROR,
                path=path,
                text=f"port {listener.port} of {listener} in sip.listen lies within"
                f" {ports.first}-{ports.last}",
                fix="choose a range apart from every listener",
            )
