"""What the workspaces at Retell say of each other: who placed a call must be certain."""

from collections.abc import Iterator

from config.problems import KeyPath, Problem
from config.reading.raw import Data, listing, mapping, named_trunks, retell_trunk, softswitch_on

_FIRST: KeyPath = ("retell",)


def workspaces(data: Data) -> Iterator[tuple[KeyPath, str, Data]]:
    """Place, name and keys of each: first those of `retell` itself."""
    yield _FIRST, retell_trunk(data), mapping(data, "retell")
    for index, entry in enumerate(listing(data, "retell", "workspaces")):
        yield ("retell", "workspaces", index), str(mapping(entry).get("name")), mapping(entry)


def workspace_of(data: Data, number: object) -> tuple[KeyPath, Data]:
    """That in which a number is imported; the first where none says so."""
    for path, _, keys in workspaces(data):
        if path != _FIRST and number in listing(keys, "numbers"):
            return path, keys
    return _FIRST, mapping(data, "retell")


def workspace_problems(data: Data) -> Iterator[Problem]:
    """Every problem of the workspaces that needs more than one key to see."""
    several = bool(listing(data, "retell", "workspaces"))
    yield from _twice(data)
    for path, name, keys in workspaces(data):
        login, evidence = mapping(keys, "login"), mapping(keys, "evidence")
        if several and not (login or evidence):
            reason = f"is required with several workspaces: how calls of {name} are known"
            yield Problem((*path, "login"), f"{reason} (or evidence)")
        if evidence and not softswitch_on(data):
            reason = "is looked at by our own softswitch, and sip.listen is empty"
            yield Problem((*path, "evidence"), reason)
        if softswitch_on(data) and login.get("username") and not login.get("password"):
            reason = "is required: our softswitch itself checks Retell's digest"
            yield Problem((*path, "login", "password"), reason)


def _twice(data: Data) -> Iterator[Problem]:
    names = {name: f"trunks[{index}]" for index, name, _ in named_trunks(data)}
    seen: dict[tuple[str, object], str] = {}
    for path, name, keys in workspaces(data):
        if path != _FIRST and name in names:
            yield Problem((*path, "name"), f"{name} is the name of {names[name]} already")
        names.setdefault(name, "another workspace" if path != _FIRST else "the trunk to Retell")
        evidence = mapping(keys, "evidence")
        bare = evidence if evidence and not mapping(keys, "login") else {}
        once: tuple[tuple[KeyPath, object], ...] = (
            (("api_key",), keys.get("api_key")),
            (("evidence", "value"), bare.get("value")),
            *((("numbers", place), one) for place, one in enumerate(listing(keys, "numbers"))),
        )
        for key, value in once:
            if not isinstance(value, str):
                continue
            if (whose := seen.setdefault((str(key[0]), value), name)) != name:
                reason = f"is that of workspace {whose} too: a call could be of either"
                yield Problem((*path, *key), reason)
