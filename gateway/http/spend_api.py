"""What calls cost on a day: /api/v1/spend."""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Final

from aiohttp import web
from pydantic import Field

from gateway.calls.live_calls import LiveCalls
from gateway.calls.rates import amount
from gateway.http.app_keys import CALLS, SETTINGS, SPEND
from gateway.http.rules.route import Route, asked
from gateway.http.rules.shapes import Shape
from gateway.storage.spend import SpendScope, Spent


class SpendQuery(Shape):
    """Of which day."""

    day: date | None = Field(None, description="a day such as 2026-12-01; not given: today")


class SpendSum(Shape):
    """What some of the calls cost, in the currency."""

    name: str = Field(description="a trunk, a country, or the start of numbers that have a rate")
    spent: float = Field(description="by the rates, `reserved` included")
    reserved: float = Field(description="of that, what calls that are up have reserved")
    limit: float | None = Field(description="the stop of a day, where there is one")
    calls: int = Field(description="legs that were dialled")
    talked_s: float = Field(description="seconds of those that are over")


class SpendDay(Shape):
    """What the calls of a day cost. Legs belong to the day on which they were dialled."""

    day: date
    time_zone: str = Field(description="where the day begins at midnight")
    currency: str
    all: SpendSum
    trunks: list[SpendSum]
    countries: list[SpendSum] = Field(description="the dearest first; no name: of no country")
    prefixes: list[SpendSum] = Field(description="by rate, the dearest first")


async def show_spend(request: web.Request) -> SpendDay:
    """By the rates of the configuration, which are the operator's word and no carrier's bill."""
    calls, settings = request.app[CALLS], request.app[SETTINGS].settings
    today = calls.spend.today(calls.outgoing.now)
    day = asked(request, SpendQuery).day or today
    rows = await _rows(request, calls, day)
    limits = calls.spend.limits if day == today else {}
    reserved = calls.spend.reserved(day)

    def shown(scope: SpendScope) -> list[SpendSum]:
        found = [_shown(row, reserved, limits) for row in rows if row.scope == scope]
        there = {one.name for one in found}
        for kept, name in limits:
            if kept == scope and name not in there:
                empty = Spent(day, scope, name, 0, 0, 0.0)
                found.append(_shown(empty, reserved, limits))
        return sorted(found, key=lambda one: (-one.spent, one.name))

    nothing = _shown(Spent(day, "all", "", 0, 0, 0.0), reserved, limits)
    return SpendDay(
        day=day,
        time_zone=settings.outbound.guard.time_zone,
        currency=settings.outbound.spend.currency,
        all=next(iter(shown("all")), nothing),
        trunks=shown("trunk"),
        countries=shown("country"),
        prefixes=shown("prefix"),
    )


async def _rows(request: web.Request, calls: LiveCalls, day: date) -> Iterable[Spent]:
    """Those at hand, which are the newest; else those that are stored."""
    return calls.spend.sums(day) or await request.app[SPEND].of_day(day)


def _shown(
    row: Spent,
    reserved: Mapping[tuple[SpendScope, str], int],
    limits: Mapping[tuple[SpendScope, str], int],
) -> SpendSum:
    limit = limits.get((row.scope, row.key))
    return SpendSum(
        name=row.key,
        spent=amount(row.micros),
        reserved=amount(reserved.get((row.scope, row.key), 0)),
        limit=None if limit is None else amount(limit),
        calls=row.calls,
        talked_s=round(row.seconds, 3),
    )


ROUTES: Final = (
    Route(
        method="GET",
        path="/spend",
        handler=show_spend,
        summary="What the calls of a day cost, by trunk, country and rate",
        role="read",
        query=SpendQuery,
        answer=SpendDay,
    ),
)
