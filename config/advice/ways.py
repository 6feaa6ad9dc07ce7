"""Routes, fallbacks and gateways that lead nowhere, or back to us."""

from collections.abc import Iterator

from config.advice.peers import address_of, place_of, trunks
from config.findings import Finding, Level
from config.problems import KeyPath
from config.settings import Fallback, Settings

#: A shorter number is an extension or a short code, which only a PBX knows.
SHORTEST_NUMBER = 7


def way_findings(settings: Settings) -> Iterator[Finding]:
    """Everything about where calls are sent."""
    yield from _gateways(settings)
    for path, fallback in _fallbacks(settings):
        yield from _fallback(settings, path, fallback)
    login = settings.retell.login
    if login is not None and not settings.outbound.routes:
        yield Finding(
            code="no-route",
            level=Level.NOTE,
            path=("outbound",),
            text="there are no outbound.routes: calls that Retell places get 404",
            fix='to carry them, add a route such as {prefix: "", trunks: [NAME]}',
        )


def _gateways(settings: Settings) -> Iterator[Finding]:
    ours = {listener.advertise for listener in settings.sip.listen} | {settings.sip.advertise}
    listeners = [listener.address for listener in settings.sip.listen]
    for path, trunk in trunks(settings):
        for index, uri in enumerate(trunk.gateways):
            there = place_of(uri)
            for at in listeners:
                anywhere = at.host in ("0.0.0.0", "::")
                address = address_of(there.host)
                loops = address is not None and address.is_loopback and anywhere
                here = there.host in (at.host, *ours) or loops
                if here and (there.port, there.transport) == (at.port, at.transport):
                    yield Finding(
                        code="leads-to-us",
                        level=Level.ERROR,
                        path=(*path, "gateways", index),
                        text=f"{uri} is {at} of this gateway: calls to trunk {trunk.name} come"
                        " back to us",
                        fix="write the peer's own address",
                    )
                    break


def _fallbacks(settings: Settings) -> Iterator[tuple[KeyPath, Fallback]]:
    if settings.retell.fallback is not None:
        yield ("retell", "fallback"), settings.retell.fallback
    for number, entry in settings.numbers.items():
        if entry.fallback is not None:
            yield ("numbers", number, "fallback"), entry.fallback
        if entry.fax is not None:
            yield ("numbers", number, "fax"), entry.fax


def _fallback(settings: Settings, path: KeyPath, fallback: Fallback) -> Iterator[Finding]:
    trunk, to = settings.trunk(fallback.trunk), fallback.to
    if trunk is None or trunk.kind != "carrier" or to.startswith(("sip:", "sips:")):
        return
    key = (*path, "to")
    if to in settings.numbers:
        yield Finding(
            code="fallback-loops",
            level=Level.ERROR,
            path=key,
            text=f"{to} is a number of this gateway: trunk {trunk.name} sends the call back here",
            fix="name a number that rings elsewhere",
        )
    elif to.isdecimal() and len(to) < SHORTEST_NUMBER:
        yield Finding(
            code="fallback-extension",
            level=Level.WARNING,
            path=key,
            text=f"{to} is an extension, and trunk {trunk.name} is a carrier: it knows full"
            " numbers",
            fix="write the number in E.164, or fall back to the PBX's own trunk",
        )
