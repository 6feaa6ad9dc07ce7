"""Ways out of the configuration that cost nobody knows what, while money is limited."""

from collections.abc import Iterator
from datetime import UTC, datetime

from config.advice.ways import phones
from config.findings import Finding, Level
from config.settings import Settings
from gateway.calls.guard import Guard
from gateway.calls.rates import Rates
from gateway.calls.spend import Spend


def rated(settings: Settings) -> Iterator[Finding]:
    """Each carrier of a route, and each phone, that the stops would let no call out to."""
    spend = settings.outbound.spend
    if not spend.stops:
        return
    rates = Rates(settings.outbound.every_rate())
    if spend.unknown == "refuse":
        for index, route in enumerate(settings.outbound.routes):
            for place, carrier in enumerate(route.trunks):
                if not rates.any_begins(route.prefix, carrier.trunk):
                    yield Finding(
                        code="rate-missing",
                        level=Level.ERROR,
                        path=("outbound", "routes", index, "trunks", place),
                        text=f'no rate is known for numbers that begin with "{route.prefix}" by'
                        f" trunk {carrier.trunk}: outbound.spend lets no such call out",
                        fix="add it to outbound.rates, or set outbound.spend.unknown",
                    )
    guard, stops, now = Guard(settings), Spend(settings), datetime.now(UTC)
    for phone in phones(settings):
        number = guard.counted(phone.to, phone.trunk)
        no_way = None if number is None else stops.judge(number, phone.trunk, now)
        if no_way is not None:
            yield Finding(
                code="spend-refuses",
                level=Level.ERROR,
                path=(*phone.path, "to"),
                text=f"no call to it leaves: {no_way.words}",
                fix="add a rate for it, or change outbound.spend",
            )
