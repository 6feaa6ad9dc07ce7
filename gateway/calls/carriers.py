"""Which carriers a number that leaves is called by, one after another: pure.

The route with the longest prefix of the called number decides; of several with that prefix the one
that says most about the number it is called from, so that a carrier gets the caller IDs that it
owns.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, TypeAlias

from config.route_settings import RouteSettings, RouteTrunkSettings
from config.settings import OutboundSettings, Settings
from gateway.calls.endings import NO_ROUTE
from gateway.calls.no_way import NoWay
from gateway.calls.rates import Rates

#: Carriers are compared by a call of this length.
_MINUTE_S: Final = 60
#: What a trunk costs, in any unit.
Cost: TypeAlias = Callable[[str], float]


def carriers_for(
    settings: Settings, number: str, from_number: str, *, pick: float
) -> tuple[str, ...] | NoWay:
    """The trunks to try for `number`, called from `from_number`; both in E.164.

    `pick` (0 up to 1) chooses among those that share a route's calls: `pick_of` makes it of the
    call's id, so that a call goes the same way however often it is asked.
    """
    fitting = [one for one in settings.outbound.routes if number.startswith(one.prefix)]
    if not fitting:
        return NoWay(NO_ROUTE, f"no outbound.routes has a prefix for {number}")
    owned = [(len(one.prefix), owned, one) for one in fitting for owned in _owned(one, from_number)]
    if not owned:
        whose = from_number or "a caller without a number"
        words = f"outbound.routes has prefixes for {number}, but none of these routes is from"
        return NoWay(NO_ROUTE, f"{words} {whose}: name it there, or leave out from of one of them")
    _, _, route = max(owned, key=lambda each: each[:2])
    cost = _costs(settings.outbound, number) if route.order == "cost" else _alike
    return _in_turn(route.trunks, pick, cost)


def pick_of(call_id: str) -> float:
    """A die for each call, the same after a restart: its id is random already."""
    digest = hashlib.blake2b(call_id.encode(), digest_size=6).digest()
    return int.from_bytes(digest) / 2**48


def _owned(route: RouteSettings, from_number: str) -> Iterator[int]:
    """How many characters of the caller's number the route names, once for each that fits; 0 where
    it takes any, nothing where it is for others."""
    if not route.from_numbers:
        yield 0
    for one in route.from_numbers:
        if from_number.startswith(one):
            yield len(one)


def _in_turn(trunks: Sequence[RouteTrunkSettings], pick: float, cost: Cost) -> tuple[str, ...]:
    """Those with a weight first: one by its share, then the rest from the heaviest on. Then those
    without. Of equals the cheapest first; where they cost the same, as they are listed."""

    def heaviest(one: RouteTrunkSettings) -> tuple[int, float]:
        return -(one.weight or 0), cost(one.trunk)

    sharing = sorted((one for one in trunks if one.weight is not None), key=heaviest)
    waiting = sorted((one for one in trunks if one.weight is None), key=heaviest)
    if sharing:
        first = _drawn(sharing, pick)
        sharing.remove(first)
        sharing.insert(0, first)
    return tuple(one.trunk for one in (*sharing, *waiting))


def _drawn(sharing: Iterable[RouteTrunkSettings], pick: float) -> RouteTrunkSettings:
    weights = [(one, one.weight or 0) for one in sharing]
    point = pick * sum(weight for _, weight in weights)
    for one, weight in weights:
        point -= weight
        if point < 0:
            return one
    return weights[-1][0]  # rounding


def _alike(_: str) -> float:
    """Nobody asks what a trunk costs."""
    return 0.0


def _costs(outbound: OutboundSettings, number: str) -> Cost:
    """What a minute to that number costs, by trunk; what is not known comes last."""
    if not _made or _made[0][0] is not outbound:
        _made[:] = [(outbound, Rates(outbound.every_rate()))]
    rates = _made[0][1]

    def cost(trunk: str) -> float:
        rate = rates.of(number, trunk)
        return float("inf") if rate is None else rate.cost(_MINUTE_S)

    return cost


#: The rates of the configuration that was asked last: a file may hold thousands.
_made: list[tuple[OutboundSettings, Rates]] = []
