"""What the entries of `directory` and `schedules` say about each other, and about numbers."""

from collections.abc import Iterator

from config.problems import KeyPath, Problem, did_you_mean
from config.reading.raw import Data, listing, mapping

#: Keys of sounds that a caller hears, or who is called.
_SOUNDS = ("announcement", "ringing")


def directory_problems(data: Data) -> Iterator[Problem]:
    """Every problem of directory, schedules and guard that needs more than one key to see."""
    yield from _names(data)
    yield from _references(data)
    yield from _loops(data)
    yield from _prefixes(data)


def directory_trunks(data: Data) -> Iterator[tuple[KeyPath, str]]:
    """Every trunk that is dialled by an entry, out of hours, or by rules for transfers."""
    found: list[tuple[KeyPath, object]] = []
    for name, entry in _entries(data):
        for index, target in enumerate(listing(entry, "targets")):
            path = ("directory", name, "targets", index, "trunk")
            found.append((path, mapping(target).get("trunk")))
    found += [((*path, "trunk"), closed.get("trunk")) for path, closed in _closed(data)]
    emergency = mapping(data, "outbound", "guard", "emergency")
    found.append((("outbound", "guard", "emergency", "trunk"), emergency.get("trunk")))
    for index, name in enumerate(listing(data, "transfer", "override", "carriers")):
        found.append((("transfer", "override", "carriers", index), name))
    yield from ((path, name) for path, name in found if isinstance(name, str))


def directory_sounds(data: Data) -> Iterator[KeyPath]:
    """Every key of theirs that names a sound."""
    groups: list[tuple[KeyPath, Data]] = [(("transfer",), mapping(data, "transfer"))]
    groups += [(("directory", name), entry) for name, entry in _entries(data)]
    groups += _closed(data)
    for path, group in groups:
        yield from ((*path, key) for key in _SOUNDS if isinstance(group.get(key), str))
    for name, entry in _entries(data):
        for index, target in enumerate(listing(entry, "targets")):
            if mapping(target).get("whisper"):
                yield "directory", name, "targets", index, "whisper"


def _entries(data: Data) -> Iterator[tuple[str, Data]]:
    for name, entry in mapping(data, "directory").items():
        yield name, mapping(entry)


def _closed(data: Data) -> Iterator[tuple[KeyPath, Data]]:
    """Each `closed`, of entries and of numbers."""
    for group in ("directory", "numbers"):
        for name, entry in mapping(data, group).items():
            if mapping(entry, "closed"):
                yield (group, name, "closed"), mapping(entry, "closed")


def _names(data: Data) -> Iterator[Problem]:
    """A name that two entries have would be one of them by chance."""
    taken: dict[str, str] = {}
    for name, _ in _entries(data):
        other = taken.setdefault(name.casefold(), name)
        if other != name:
            reason = f"is a name of {other} already, but for its case"
            yield Problem(("directory", name), reason, at_key=True)
    for name, entry in _entries(data):
        for index, alias in enumerate(listing(entry, "aliases")):
            other = taken.setdefault(str(alias).casefold(), name)
            if other != name:
                path = ("directory", name, "aliases", index)
                yield Problem(path, f"{alias} is a name of {other} already")


def _references(data: Data) -> Iterator[Problem]:
    schedules, entries = mapping(data, "schedules"), mapping(data, "directory")
    for group in ("directory", "numbers"):
        for name, entry in mapping(data, group).items():
            schedule = mapping(entry).get("schedule")
            path: KeyPath = (group, name, "schedule")
            if isinstance(schedule, str) and schedule not in schedules:
                near = did_you_mean(schedule, schedules)
                yield Problem(path, f"there is no schedule named {schedule}{near}")
            if mapping(entry, "closed") and not schedule:
                reason = "has no effect: no schedule says when it is closed"
                yield Problem((group, name, "closed"), reason)
    named = [(path, to) for name, _ in _entries(data) for path, to in _leads_to(data, name)]
    named += [
        ((*path, "entry"), str(closed["entry"]))
        for path, closed in _closed(data)
        if path[0] == "numbers" and closed.get("entry")
    ]
    for path, to in named:
        if to not in entries:
            near = did_you_mean(to, entries)
            yield Problem(path, f"there is no entry named {to} in directory{near}")


def _leads_to(data: Data, name: str) -> list[tuple[KeyPath, str]]:
    """The entries that one goes on to, each with its place."""
    entry = mapping(data, "directory", name)
    path: KeyPath = ("directory", name)
    found: list[tuple[KeyPath, str]] = [
        ((*path, "overflow", index), str(to)) for index, to in enumerate(listing(entry, "overflow"))
    ]
    closed = mapping(entry, "closed").get("entry")
    return [*found, ((*path, "closed", "entry"), closed)] if isinstance(closed, str) else found


def _loops(data: Data) -> Iterator[Problem]:
    """Entries that lead back to themselves, by `overflow` and by `closed`."""
    done: set[str] = set()

    def walk(name: str, way: tuple[str, ...]) -> Iterator[Problem]:
        for path, to in _leads_to(data, name):
            if to in way:
                loop = " → ".join((*way[way.index(to) :], to))
                yield Problem(path, f"leads in a circle: {loop}")
            elif to not in done:
                yield from walk(to, (*way, to))
        done.add(name)

    for name, _ in _entries(data):
        if name not in done:
            yield from walk(name, (name,))


def _prefixes(data: Data) -> Iterator[Problem]:
    guard = mapping(data, "outbound", "guard")
    allowed = listing(guard, "allow")
    for index, prefix in enumerate(listing(guard, "deny")):
        if prefix in allowed:
            path = ("outbound", "guard", "deny", index)
            yield Problem(path, f'"{prefix}" is in outbound.guard.allow, too')
