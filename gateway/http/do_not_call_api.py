"""Numbers that are never called: /api/v1/do-not-call."""

from typing import Annotated, Final

from aiohttp import web
from pydantic import Field

from gateway.calls.numbers import e164
from gateway.http.app_keys import SETTINGS, WISHES
from gateway.http.problems import ProblemError
from gateway.http.queue_api import queue_of
from gateway.http.rules.audit import WANTED
from gateway.http.rules.route import Route, asked, sent
from gateway.http.rules.shapes import Page, PageQuery, Shape
from gateway.http.rules.times import Time
from gateway.http.rules.tokens import TOKEN
from gateway.http.wishes import problem_of
from gateway.iso import iso
from gateway.outbound.errors import WishError
from gateway.storage.do_not_call import DoNotCall

#: Numbers of one request.
MOST: Final = 1000


class BarWish(Shape):
    """Whom nobody shall call."""

    numbers: list[Annotated[str, Field(min_length=1, max_length=64)]] = Field(
        min_length=1, max_length=MOST, description=f"1 to {MOST} telephone numbers"
    )
    reason: str = Field("", max_length=255, description="why, up to 255 characters")


class Barred(Shape):
    """A number that is never called."""

    number: str
    reason: str
    by: str = Field(description="the name of the token that entered it")
    at: Time


class BarDone(Shape):
    """What was entered."""

    numbers: int = Field(description="how many numbers were sent")


async def list_do_not_call(request: web.Request) -> Page[Barred]:
    """By number, a page at a time."""
    query = asked(request, PageQuery)
    found = await queue_of(request).barred(query.cursor, query.limit)
    cursor = found[-1].number if len(found) == query.limit else None
    return Page(items=[_shown(one) for one in found], next=cursor)


async def add_do_not_call(request: web.Request) -> BarDone:
    """Never call these numbers, those that wait in the queue included."""
    wish = sent(request, BarWish)
    request[WANTED] = f"never call {len(wish.numbers)} numbers"
    country = request.app[SETTINGS].settings.outbound.default_country
    at_ms = round(request.app[WISHES].now() * 1000)
    entries = [
        DoNotCall(
            number=e164(number, country) or number,
            reason=wish.reason,
            by=request[TOKEN].name,
            at_ms=at_ms,
        )
        for number in wish.numbers
    ]
    try:
        await queue_of(request).bar(entries)
    except WishError as error:
        raise problem_of(error) from None
    return BarDone(numbers=len(entries))


async def remove_do_not_call(request: web.Request) -> None:
    """The number may be called again."""
    number = request.match_info["number"]
    country = request.app[SETTINGS].settings.outbound.default_country
    try:
        there = await queue_of(request).unbar(e164(number, country) or number)
    except WishError as error:
        raise problem_of(error) from None
    if not there:
        raise ProblemError(404, "no-such-number", f"{number} is not on the list")


def _shown(one: DoNotCall) -> Barred:
    return Barred(number=one.number, reason=one.reason, by=one.by, at=iso(one.at_ms))


ROUTES: Final = (
    Route(
        method="GET",
        path="/do-not-call",
        handler=list_do_not_call,
        summary="Numbers that are never called",
        role="read",
        query=PageQuery,
        answer=Page[Barred],
        refusals={409: "no-queue"},
    ),
    Route(
        method="POST",
        path="/do-not-call",
        handler=add_do_not_call,
        summary="Never call these numbers",
        role="operate",
        body=BarWish,
        answer=BarDone,
        refusals={409: "no-queue", 422: "bad-number"},
    ),
    Route(
        method="DELETE",
        path="/do-not-call/{number}",
        handler=remove_do_not_call,
        summary="The number may be called again",
        role="operate",
        answer=None,
        status=204,
        refusals={404: "no-such-number", 409: "no-queue", 422: "bad-number"},
    ),
)
