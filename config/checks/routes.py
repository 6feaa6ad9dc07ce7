"""What the routes of numbers that leave say about each other."""

from collections.abc import Iterator

from config.problems import KeyPath, Problem
from config.reading.raw import Data, listing, mapping


def route_trunks(data: Data) -> Iterator[tuple[KeyPath, str]]:
    """Every trunk that a route names, and where."""
    for index, route in enumerate(listing(data, "outbound", "routes")):
        for place, entry in enumerate(listing(route, "trunks")):
            path = ("outbound", "routes", index, "trunks", place)
            name = mapping(entry).get("trunk") if isinstance(entry, dict) else entry
            if isinstance(name, str):
                yield (*path, "trunk") if isinstance(entry, dict) else path, name


def route_problems(data: Data) -> Iterator[Problem]:
    """Routes of which one would never be taken, and trunks that a route names twice."""
    seen: set[tuple[str, str]] = set()
    for index, route in enumerate(listing(data, "outbound", "routes")):
        prefix = str(mapping(route).get("prefix") or "")
        for place, owned in _from(mapping(route)):
            if (prefix, owned) in seen:
                whose = f" from {owned}" if owned else ""
                reason = f'prefix "{prefix}"{whose} has a route already'
                yield Problem(("outbound", "routes", index, *place), reason)
            seen.add((prefix, owned))
        if mapping(route).get("order") == "cost" and not _has_rates(data):
            reason = "needs outbound.rates or outbound.rates_file, which say what calls cost"
            yield Problem(("outbound", "routes", index, "order"), reason)
    named: set[tuple[object, str]] = set()
    for path, name in route_trunks(data):
        if (path[2], name) in named:
            yield Problem(path, f"{name} is in this route already: it would be tried twice")
        named.add((path[2], name))


def _has_rates(data: Data) -> bool:
    outbound = mapping(data, "outbound")
    return bool(outbound.get("rates") or outbound.get("rates_file"))


def _from(route: Data) -> Iterator[tuple[KeyPath, str]]:
    """Each beginning of callers' numbers that the route is for, and the key to blame."""
    listed = listing(route, "from")
    if not listed:
        yield ("prefix",), ""
    for place, owned in enumerate(listed):
        yield ("from", place), str(owned)
