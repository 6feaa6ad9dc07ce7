"""Routes, phones and gateways that lead nowhere, or back to us."""

from collections.abc import Iterator
from typing import NamedTuple

from config.advice.peers import address_of, place_of, trunks
from config.directory_settings import ClosedSettings
from config.findings import Finding, Level
from config.problems import KeyPath
from config.settings import Settings

#: A shorter number is an extension or a short code, which only a PBX knows.
SHORTEST_NUMBER = 7


class Phone(NamedTuple):
    """What the configuration itself has called: where it says so, by which trunk, and whom."""

    path: KeyPath
    trunk: str
    to: str


def way_findings(settings: Settings) -> Iterator[Finding]:
    """Everything about where calls are sent."""
    yield from _gateways(settings)
    for phone in phones(settings):
        yield from _phone(settings, phone)
    yield from _confirming(settings)
    known = any(one.login or one.evidence for one in settings.retell.every_workspace())
    if known and not settings.outbound.routes:
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


def phones(settings: Settings) -> Iterator[Phone]:
    """Every fallback, fax, phone of the directory, and who is called out of hours."""
    if settings.retell.fallback is not None:
        path: KeyPath = ("retell", "fallback")
        yield Phone(path, settings.retell.fallback.trunk, settings.retell.fallback.to)
    for number, entry in settings.numbers.items():
        path = ("numbers", number)
        if entry.fallback is not None:
            yield Phone((*path, "fallback"), entry.fallback.trunk, entry.fallback.to)
        if entry.fax is not None:
            yield Phone((*path, "fax"), entry.fax.trunk, entry.fax.to)
        yield from _closed(path, entry.closed)
    for name, listed in settings.directory.items():
        path = ("directory", name)
        for index, target in enumerate(listed.targets):
            yield Phone((*path, "targets", index), target.trunk, target.to)
        yield from _closed(path, listed.closed)


def _closed(path: KeyPath, closed: ClosedSettings | None) -> Iterator[Phone]:
    if closed is not None and closed.trunk is not None and closed.to is not None:
        yield Phone((*path, "closed"), closed.trunk, closed.to)


def _phone(settings: Settings, phone: Phone) -> Iterator[Finding]:
    trunk, to = settings.trunk(phone.trunk), phone.to
    if trunk is None or trunk.kind != "carrier" or to.startswith(("sip:", "sips:")):
        return
    key = (*phone.path, "to")
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
            fix="write the number in E.164, or call the PBX by its own trunk",
        )


def _confirming(settings: Settings) -> Iterator[Finding]:
    """Nobody presses a key that nobody has asked for."""
    for name, entry in settings.directory.items():
        for index, target in enumerate(entry.targets):
            if target.confirm and target.whisper is None:
                yield Finding(
                    code="confirm-unsaid",
                    level=Level.WARNING,
                    path=("directory", name, "targets", index, "confirm"),
                    text=f"who answers at {target.to} must press 1, and hears nothing that says so",
                    fix="add a whisper that asks for it",
                )
