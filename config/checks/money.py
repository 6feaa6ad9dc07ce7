"""What the keys about money and about callers say of each other."""

from collections.abc import Iterator
from typing import Any

from config.problems import KeyPath, Problem, did_you_mean
from config.reading.raw import Data, listing, mapping, named_trunks
from config.twilio_settings import TWILIO


def money_problems(data: Data) -> Iterator[Problem]:
    """Every problem of `outbound.rates`, `outbound.spend` and `inbound`."""
    yield from _spend(data)
    yield from _rates(data)
    for path, inbound in _inbound(data):
        yield from _caps(path, inbound)
        if inbound.get("announcement") and not _has_longest(data, inbound):
            reason = "has no effect: no max_duration_s says when it is heard"
            yield Problem((*path, "announcement"), reason)


def inbound_sounds(data: Data) -> Iterator[KeyPath]:
    """Every place there that names a file to play."""
    for path, inbound in _inbound(data):
        if inbound.get("announcement"):
            yield *path, "announcement"


def _spend(data: Data) -> Iterator[Problem]:
    outbound = mapping(data, "outbound")
    spend = mapping(outbound, "spend")
    stops = [key for key in ("day", "trunk", "per_call") if spend.get(key) not in (None, {})]
    unknown = spend.get("unknown", "refuse")
    if stops and unknown == "refuse" and not (outbound.get("rates") or outbound.get("rates_file")):
        reason = (
            "lets no call out: there are no outbound.rates and no outbound.rates_file that say what"
            " one costs (outbound.spend.unknown can say it of all)"
        )
        yield Problem(("outbound", "spend", stops[0]), reason)
    trunks = _payable(data)
    for name in mapping(spend, "trunk"):
        if name not in trunks:
            reason = f"there is no trunk named {name}{did_you_mean(name, trunks)}"
            yield Problem(("outbound", "spend", "trunk", name), reason)


def _payable(data: Data) -> list[str]:
    """The trunks by which calls cost something; those that Twilio places for us are one."""
    placed = [TWILIO] if mapping(data, "twilio") else []
    return [*(name for _, name, _ in named_trunks(data)), *placed]


def _rates(data: Data) -> Iterator[Problem]:
    trunks = _payable(data)
    seen: set[tuple[str, Any]] = set()
    for index, rate in enumerate(listing(data, "outbound", "rates")):
        path = ("outbound", "rates", index)
        told = mapping(rate)
        name = told.get("trunk")
        if isinstance(name, str) and name not in trunks:
            reason = f"there is no trunk named {name}{did_you_mean(name, trunks)}"
            yield Problem((*path, "trunk"), reason)
        prefix = str(told.get("prefix") or "")
        if (prefix, name) in seen:
            of = f" of trunk {name}" if name else ""
            yield Problem((*path, "prefix"), f'prefix "{prefix}"{of} has a rate already')
        seen.add((prefix, name))


def _inbound(data: Data) -> Iterator[tuple[KeyPath, Data]]:
    yield ("inbound",), mapping(data, "inbound")
    for number, entry in mapping(data, "numbers").items():
        yield ("numbers", number, "inbound"), mapping(entry, "inbound")


def _has_longest(data: Data, inbound: Data) -> bool:
    """Whether it, or for a number that of all, or for all that of some number, has one."""
    of_all = mapping(data, "inbound")
    asked = [one for _, one in _inbound(data)] if inbound is of_all else [inbound, of_all]
    return any(one.get("max_duration_s") for one in asked)


def _caps(path: KeyPath, inbound: Data) -> Iterator[Problem]:
    """A cap that another one never lets a caller reach."""
    for who in ("caller", "number"):
        caps = mapping(inbound, who)
        hour, day = (str(caps.get(f"calls_per_{span}")) for span in ("hour", "day"))
        if hour.isdecimal() and day.isdecimal() and int(hour) > int(day):
            reason = f"has no effect: calls_per_day lets no more than {day} through"
            yield Problem((*path, who, "calls_per_hour"), reason)
