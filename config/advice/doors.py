"""Who is let in: trunks that anybody can speak for, that nobody can, or that two can."""

from collections.abc import Iterator
from itertools import combinations

from config.advice.peers import is_inside, trunks
from config.findings import Finding, Level
from config.problems import KeyPath
from config.settings import RETELL_TRUNK, Settings
from config.trunk_settings import PeerSettings
from config.values import Network, Source

#: A public network of fewer fixed bits holds hosts of all the world; of IPv4, and of IPv6.
WIDE = {4: 12, 6: 24}


def door_findings(settings: Settings) -> Iterator[Finding]:
    """Everything about who may place calls here."""
    yield from _jambonz(settings)
    if not settings.sip.listen:
        return
    if not settings.sip.tls.verify:
        yield Finding(
            code="tls-unverified",
            level=Level.WARNING,
            path=("sip", "tls", "verify"),
            text="servers are not verified: whoever stands between can listen",
            fix="take it out; a PBX's own authority goes into sip.tls.ca",
        )
    yield from _retell_by_address(settings)
    for path, trunk in trunks(settings):
        yield from _sources(path, trunk)
        yield from _retell(settings, path, trunk)
        if not _is_known(trunk):
            yield Finding(
                code="trunk-unidentified",
                level=Level.WARNING,
                path=path,
                text=f"nothing identifies trunk {trunk.name}: what it sends gets no answer",
                fix="give it identify, login, identify_headers or register; if you only ever call"
                " it, nothing needs doing",
            )
    yield from _overlaps(settings)


def _jambonz(settings: Settings) -> Iterator[Finding]:
    """Whoever connects at /retell commands calls. Beside our own softswitch only this machine may
    without a password."""
    listen, application = settings.http.listen, settings.application
    open_to_all = not settings.sip.listen and application.password is None
    if open_to_all and listen.host not in ("127.0.0.1", "::1", "localhost"):
        yield Finding(
            code="jambonz-open",
            level=Level.WARNING,
            path=("sip", "listen"),
            text=f"whoever reaches {listen.host}:{listen.port} may speak as your jambonz and place"
            " calls: sip.listen is empty and there is no application.password",
            fix="set application.username and application.password, and the same at jambonz",
        )


def _retell_by_address(settings: Settings) -> Iterator[Finding]:
    """Its addresses are those of all its customers."""
    first = settings.retell.every_workspace()[0]
    if settings.outbound.routes and not (first.login or first.evidence):
        yield Finding(
            code="retell-by-address",
            level=Level.WARNING,
            path=("retell",),
            text="Retell is known by its address alone, which all its customers share: whoever of"
            " them knows ours can have calls placed at your cost",
            fix="set retell.login, and enter it at each number in Retell; or retell.evidence",
        )


def _sources(path: KeyPath, trunk: PeerSettings) -> Iterator[Finding]:
    for index, source in enumerate(trunk.identify):
        key = (*path, "identify", index)
        network = source.network
        if network.prefixlen == 0:
            proves = _proof(trunk)
            yield Finding(
                code="identify-everyone",
                level=Level.WARNING if proves else Level.ERROR,
                path=key,
                text=f"{source} is every address there is: nobody is ever banned or slowed"
                if proves
                else f"{source} is every address there is: anybody may place calls as"
                f" trunk {trunk.name}",
                fix="write the peer's own addresses, or none and a login",
            )
        elif network.prefixlen < WIDE[network.version] and not is_inside(network):
            yield Finding(
                code="identify-wide",
                level=Level.WARNING,
                path=key,
                text=f"{source} holds {network.num_addresses:,} addresses, most of them strangers'",
                fix="write the networks that the peer names as its own",
            )


def _retell(settings: Settings, path: KeyPath, trunk: PeerSettings) -> Iterator[Finding]:
    """Calls from Retell's own network must be Retell's: else they skip its password."""
    known = map(Source.parse, RETELL_TRUNK["identify"])
    theirs = {source.network for source in (*settings.retell.identify, *known)}
    for index, source in enumerate(trunk.identify):
        if source.port is not None or source.network.prefixlen == 0:
            continue
        met = next((one for one in theirs if _overlap(one, source.network)), None)
        if met is not None:
            yield Finding(
                code="identify-retell",
                level=Level.WARNING if _proof(trunk) else Level.ERROR,
                path=(*path, "identify", index),
                text=f"{source} meets {met}, where Retell calls from: its calls would be taken for"
                f" those of trunk {trunk.name}",
                fix="take it out: retell.identify has Retell's addresses already",
            )


def _overlaps(settings: Settings) -> Iterator[Finding]:
    """Two trunks of which the first takes calls of the second."""
    for (_, first), (path, second) in combinations(trunks(settings), 2):
        if _told_apart(first, second):
            continue
        both = next(
            (
                (index, one, other)
                for index, other in enumerate(second.identify)
                for one in first.identify
                if one.port in (None, other.port) and _overlap(one.network, other.network)
            ),
            None,
        )
        if both is not None and both[1].network.prefixlen > 0:
            index, one, other = both
            yield Finding(
                code="identities-overlap",
                level=Level.WARNING,
                path=(*path, "identify", index),
                text=f"{other} and {one} of trunk {first.name} overlap: calls from both are taken"
                f" for those of {first.name}, which is listed first",
                fix="keep them apart, or tell them apart by login, identify_headers or"
                " identify_certificates",
            )
        elif not first.identify and not second.identify and _proof(first) and _proof(second):
            yield Finding(
                code="identities-overlap",
                level=Level.WARNING,
                path=path,
                text=f"trunks {first.name} and {second.name} are known by the same"
                f" proof alone: calls of both are taken for those of {first.name}",
                fix="give each of them one of its own",
            )


def _is_known(trunk: PeerSettings) -> bool:
    return bool(trunk.identify or _proof(trunk) or trunk.registers or trunk.registrar)


def _proof(trunk: PeerSettings) -> bool:
    """Whether an address alone is not enough to speak for it."""
    return bool(trunk.login or trunk.identify_headers or trunk.identify_certificates)


def _told_apart(one: PeerSettings, other: PeerSettings) -> bool:
    return (
        one.login != other.login
        or one.identify_headers != other.identify_headers
        or one.identify_certificates != other.identify_certificates
    )


def _overlap(one: Network, other: Network) -> bool:
    return one.version == other.version and (
        one.network_address in other or other.network_address in one
    )
