"""What one key says about another: names that must exist, things that cannot be together.

Works on the raw data, so that a typing error in one place does not hide a wrong name elsewhere.
Anything of the wrong shape is passed over here: the models report it.
"""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from config.problems import Problem, did_you_mean

Data = dict[str, Any]
PROFILES = Path(__file__).parent / "profiles"


def cross_problems(data: Data) -> Iterator[Problem]:
    """Every problem that needs more than one key to see."""
    yield from _trunks(data)
    yield from _references(data)
    yield from _method_dial(data)
    yield from _switch(data)
    yield from _application(data)
    yield from _storage(data)


def _mapping(data: Any, *path: str) -> Data:
    for part in path:
        data = data.get(part) if isinstance(data, dict) else None
    return data if isinstance(data, dict) else {}


def _list(data: Data, *path: str) -> list[Any]:
    value = _mapping(data, *path[:-1]).get(path[-1])
    return value if isinstance(value, list) else []


def _named_trunks(data: Data) -> Iterator[tuple[int, str, Data]]:
    for index, trunk in enumerate(_list(data, "trunks")):
        if isinstance(trunk, dict) and isinstance(trunk.get("name"), str):
            yield index, trunk["name"], trunk


def _retell_trunk(data: Data) -> str:
    return str(_mapping(data, "retell").get("trunk") or "retell")


def softswitch_on(data: Data) -> bool:
    """Without a SIP listener a real jambonz does the SIP, and trunks are only names."""
    sip = _mapping(data, "sip")
    return "listen" not in sip or bool(sip["listen"])


def _trunks(data: Data) -> Iterator[Problem]:
    names: dict[str, int] = {}
    users = {_mapping(data, "retell", "login").get("username"): "retell"}
    networks: dict[str, str] = {}
    for index, name, trunk in _named_trunks(data):
        path = ("trunks", index)
        if name in names:
            yield Problem((*path, "name"), f"trunk {name} exists already (trunks[{names[name]}])")
        elif name == _retell_trunk(data):
            reason = f"{name} is the name of the trunk to Retell (retell.trunk): choose another"
            yield Problem((*path, "name"), reason)
        names.setdefault(name, index)
        for place, network in enumerate(_list(trunk, "identify")):
            owner = networks.setdefault(str(network), name)
            if owner != name:
                reason = f"{network} already identifies trunk {owner}"
                yield Problem((*path, "identify", place), reason)
        user = _mapping(trunk, "login").get("username")
        if user is not None and users.setdefault(user, name) != name:
            reason = f"{user} is already the user name of {users[user]}"
            yield Problem((*path, "login", "username"), reason)
        profile = trunk.get("profile")
        if isinstance(profile, str) and not (PROFILES / f"{Path(profile).name}.yaml").is_file():
            yield Problem((*path, "profile"), f"there is no profile named {profile}")


def _dialled(data: Data) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Every place that names a trunk to dial."""
    fallback = _mapping(data, "retell", "fallback").get("trunk")
    if isinstance(fallback, str):
        yield ("retell", "fallback", "trunk"), fallback
    for number, entry in _mapping(data, "numbers").items():
        fallback = _mapping(entry, "fallback").get("trunk")
        if isinstance(fallback, str):
            yield ("numbers", number, "fallback", "trunk"), fallback
    for index, route in enumerate(_list(data, "outbound", "routes")):
        if isinstance(route, dict):
            for place, name in enumerate(_list(route, "trunks")):
                if isinstance(name, str):
                    yield ("outbound", "routes", index, "trunks", place), name


def _references(data: Data) -> Iterator[Problem]:
    trunks = {name: trunk for _, name, trunk in _named_trunks(data)}
    for path, name in _dialled(data):
        if name not in trunks:
            yield Problem(path, f"there is no trunk named {name}{did_you_mean(name, trunks)}")
        elif softswitch_on(data) and not trunks[name].get("gateways"):
            yield Problem(path, f"trunk {name} cannot be dialled: it has no gateways")
    prefixes: set[str] = set()
    for index, route in enumerate(_list(data, "outbound", "routes")):
        prefix = str(_mapping(route).get("prefix") or "")
        if prefix in prefixes:
            reason = f'prefix "{prefix}" has a route already'
            yield Problem(("outbound", "routes", index, "prefix"), reason)
        prefixes.add(prefix)


def _method_dial(data: Data) -> Iterator[Problem]:
    """Method 2 registers the call with Retell: it needs an agent and a key."""
    retell = _mapping(data, "retell")
    dialling = [
        (number, entry)
        for number, entry in _mapping(data, "numbers").items()
        if (_mapping(entry).get("method") or retell.get("method")) == "dial"
    ]
    for number, entry in dialling:
        if not (_mapping(entry).get("agent") or retell.get("agent")):
            reason = "method dial needs an agent, here or as retell.agent"
            yield Problem(("numbers", number, "agent"), reason)
    if dialling and not retell.get("api_key"):
        reason = f"is required: method dial is used (numbers.{dialling[0][0]})"
        yield Problem(("retell", "api_key"), reason)


def _switch(data: Data) -> Iterator[Problem]:
    """What the softswitch of this version cannot do, and what it cannot do without."""
    if not softswitch_on(data):
        return
    listeners: set[str] = set()
    for index, listener in enumerate(_list(data, "sip", "listen")):
        if str(listener) in listeners:
            yield Problem(("sip", "listen", index), f"{listener} is listed already")
        listeners.add(str(listener))
    login = _mapping(data, "retell", "login")
    if login.get("username") and not login.get("password"):
        reason = "is required: our softswitch itself checks Retell's digest"
        yield Problem(("retell", "login", "password"), reason)
    yield from _no_tls(("retell", "sip_uri"), _mapping(data, "retell").get("sip_uri"))
    for index, _, trunk in _named_trunks(data):
        path = ("trunks", index)
        for place, gateway in enumerate(_list(trunk, "gateways")):
            yield from _no_tls((*path, "gateways", place), gateway)
        if trunk.get("srtp") == "required":
            yield Problem((*path, "srtp"), "SRTP is not available in this version")
        if str(trunk.get("register")).lower() in ("true", "yes", "on", "1"):
            yield Problem((*path, "register"), "registration is not available in this version")


def _no_tls(path: tuple[str | int, ...], uri: Any) -> Iterator[Problem]:
    text = str(uri).lower()
    if text.startswith("sips:") or ";transport=tls" in text:
        yield Problem(path, "TLS is not available in this version: use transport=tcp or udp")


def _application(data: Data) -> Iterator[Problem]:
    application = _mapping(data, "application")
    for key, other in (("username", "password"), ("password", "username")):
        if application.get(other) and not application.get(key):
            yield Problem(("application", key), f"is required with application.{other}")


def _storage(data: Data) -> Iterator[Problem]:
    url = str(_mapping(data, "storage").get("url") or "")
    if url.startswith("postgresql:") and importlib.util.find_spec("asyncpg") is None:
        yield Problem(("storage", "url"), "PostgreSQL needs the package asyncpg, not installed")
