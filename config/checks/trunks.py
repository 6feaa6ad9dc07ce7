"""What the keys of a trunk say about each other, and about other trunks."""

from collections.abc import Iterator
from contextlib import suppress

from config.checks.workspaces import workspaces
from config.problems import Problem
from config.reading.profiles import misses_profile
from config.reading.raw import (
    Data,
    listing,
    mapping,
    named_trunks,
    retell_trunk,
    said,
    softswitch_on,
)
from config.values import Source

#: With one of these a request says whose it is, though its address says the same of two trunks.
_TELLS_APART = ("login", "identify_headers", "identify_certificates")


def trunk_problems(data: Data) -> Iterator[Problem]:
    """Every problem of the trunks that needs more than one key to see."""
    yield from _names(data)
    if not softswitch_on(data):
        return
    yield from _same_peer(data)
    tls = mapping(data, "sip", "tls")
    for index, _, trunk in named_trunks(data):
        path = ("trunks", index)
        if said(trunk, "register"):
            yield from _register(path, trunk)
        if said(trunk, "registrar") and not trunk.get("login"):
            reason = "is required: who registers with us must prove who it is (registrar: true)"
            yield Problem((*path, "login"), reason)
        if trunk.get("identify_certificates") and not _asks_for_certificates(tls):
            reason = "needs sip.tls.client_certificates: optional or required"
            yield Problem((*path, "identify_certificates"), reason)


def _names(data: Data) -> Iterator[Problem]:
    names: dict[str, int] = {}
    users: dict[object, str] = {}
    for path, name, keys in workspaces(data):
        user = mapping(keys, "login").get("username")
        if isinstance(user, str) and users.setdefault(user, name) != name:
            reason = f"{user} is already the user name of {users[user]}"
            yield Problem((*path, "login", "username"), reason)
    for index, name, trunk in named_trunks(data):
        path = ("trunks", index)
        if name in names:
            yield Problem((*path, "name"), f"trunk {name} exists already (trunks[{names[name]}])")
        elif name == retell_trunk(data):
            reason = f"{name} is the name of the trunk to Retell (retell.trunk): choose another"
            yield Problem((*path, "name"), reason)
        names.setdefault(name, index)
        user = mapping(trunk, "login").get("username")
        if isinstance(user, str) and users.setdefault(user, name) != name:
            reason = f"{user} is already the user name of {users[user]}"
            yield Problem((*path, "login", "username"), reason)


def _same_peer(data: Data) -> Iterator[Problem]:
    """Trunks that would never get a call, since another, listed before, takes all from there.

    The first that fits is taken, so a narrower network may be listed before a wider one.
    """
    earlier: list[tuple[Source, str, Data]] = []
    for index, name, trunk in named_trunks(data):
        for place, source in _sources(trunk):
            for wider, other, their in earlier:
                if other != name and _covers(wider, source) and not _told_apart(trunk, their):
                    reason = (
                        f"{source} already identifies trunk {other}"
                        if source == wider
                        else f"{source} lies within {wider} of trunk {other}: list this trunk first"
                    )
                    tools = "identify_headers, identify_certificates or login can tell them apart"
                    yield Problem(("trunks", index, "identify", place), f"{reason}; {tools}")
                    break
        earlier += [(source, name, trunk) for _, source in _sources(trunk)]


def _sources(trunk: Data) -> Iterator[tuple[int, Source]]:
    for place, written in enumerate(listing(trunk, "identify")):
        with suppress(ValueError):
            yield place, Source.parse(written)


def _covers(wider: Source, source: Source) -> bool:
    if wider.port not in (None, source.port):
        return False
    ours, theirs = wider.network, source.network
    if ours.version == 4 and theirs.version == 4:
        return theirs.subnet_of(ours)
    return ours.version == 6 and theirs.version == 6 and theirs.subnet_of(ours)


def _told_apart(one: Data, other: Data) -> bool:
    return any(one.get(key) != other.get(key) for key in _TELLS_APART)


def _register(path: tuple[str | int, ...], trunk: Data) -> Iterator[Problem]:
    if not trunk.get("credentials"):
        reason = "is required: registering needs a user name and a password (register: true)"
        yield Problem((*path, "credentials"), reason)
    told = trunk.get("gateways") or mapping(trunk, "registration").get("registrar")
    if not told and not misses_profile(trunk):
        reason = "needs a gateway, or registration.registrar, to register with"
        yield Problem((*path, "register"), reason)


def _asks_for_certificates(tls: Data) -> bool:
    return tls.get("client_certificates") in ("optional", "required")
