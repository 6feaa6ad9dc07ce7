"""Who answers a number: Retell by one method or the other, or somebody on another trunk."""

from collections.abc import Iterator

from config.checks.workspaces import workspace_of
from config.problems import KeyPath, Problem, did_you_mean
from config.reading.raw import Data, listing, mapping, named_trunks, retell_trunk


def agent_problems(data: Data) -> Iterator[Problem]:
    """Every problem of the agents and extensions of `numbers`."""
    yield from _extensions(data)
    #: the first number of each workspace that has no key and needs one
    unsigned: dict[KeyPath, str] = {}
    for number, entry in _numbers(data):
        path = ("numbers", number)
        for index, each in enumerate(listing(entry, "agents")):
            yield from _agent(data, (*path, "agents", index), mapping(each), entry)
        for place, each in _at_retell(data, entry):
            if _method(data, entry, each) == "dial":
                to = each.get("to") or entry.get("retell_number") or number
                whose, keys = workspace_of(data, to)
                if not keys.get("api_key"):
                    unsigned.setdefault(whose, number)
                if not (each.get("agent") or entry.get("agent") or keys.get("agent")):
                    reason = "method dial needs an agent, here or as retell.agent"
                    yield Problem((*path, *place, "agent"), reason)
            elif not (each.get("to") or entry.get("retell_number") or _is_number(number)):
                reason = (
                    "is required with method trunk: the number that is imported at Retell, and"
                    " whose agent answers"
                )
                yield Problem((*path, *place, "to" if place else "retell_number"), reason)
    for whose, number in unsigned.items():
        reason = f"is required: method dial is used (numbers.{number})"
        yield Problem((*whose, "api_key"), reason)


def other_trunks(data: Data) -> Iterator[tuple[KeyPath, str]]:
    """Every place of an agent that is not Retell's, and the trunk that it names."""
    for number, entry in _numbers(data):
        for place, each in enumerate(listing(entry, "agents")):
            trunk = mapping(each).get("trunk")
            if isinstance(trunk, str) and trunk != retell_trunk(data):
                yield ("numbers", number, "agents", place, "trunk"), trunk


def _extensions(data: Data) -> Iterator[Problem]:
    trunks = {name for _, name, _ in named_trunks(data)}
    for number, _ in _numbers(data):
        trunk, slash, _ = number.partition("/")
        if slash and trunk not in trunks:
            reason = f"there is no trunk named {trunk}{did_you_mean(trunk, trunks)}"
            yield Problem(("numbers", number), reason)


def _agent(data: Data, path: KeyPath, each: Data, entry: Data) -> Iterator[Problem]:
    to = each.get("to")
    if each.get("trunk") != retell_trunk(data):
        if each.get("method"):
            yield Problem((*path, "method"), f"is Retell's alone ({retell_trunk(data)})")
    elif isinstance(to, str) and not to.startswith("+"):
        yield Problem((*path, "to"), f"{to!r} is not a number that is imported at Retell")
    elif each.get("agent") and _method(data, entry, each) != "dial":
        reason = (
            "needs method: dial. With method trunk the agent is that of the number in Retell's"
            " settings: tell agents apart by `to`"
        )
        yield Problem((*path, "agent"), reason)


def _at_retell(data: Data, entry: Data) -> Iterator[tuple[KeyPath, Data]]:
    """The agents of an entry that are Retell's, and where each stands below it."""
    agents = listing(entry, "agents")
    if not agents:
        yield (), {}
    for place, each in enumerate(agents):
        if mapping(each).get("trunk") == retell_trunk(data):
            yield ("agents", place), mapping(each)


def _method(data: Data, entry: Data, each: Data) -> object:
    return each.get("method") or entry.get("method") or _retell(data).get("method")


def _retell(data: Data) -> Data:
    return mapping(data, "retell")


def _numbers(data: Data) -> Iterator[tuple[str, Data]]:
    for number, entry in mapping(data, "numbers").items():
        yield str(number), mapping(entry)


def _is_number(key: str) -> bool:
    """Whether what callers dial is what may be imported: all but an extension that is no number."""
    return key.partition("/")[2].startswith("+") or "/" not in key
