"""Callers who are refused: /api/v1/blocked-callers. Those of the configuration are not listed."""

from typing import Final

from aiohttp import web
from pydantic import Field, TypeAdapter, ValidationError

from config.money_settings import CallerPattern
from gateway.calls.numbers import e164
from gateway.http.app_keys import BLOCKED, SETTINGS
from gateway.http.problems import ProblemError
from gateway.http.rules.route import Route, asked, sent
from gateway.http.rules.shapes import Page, PageQuery, Shape, cut
from gateway.http.rules.times import Moment, Time
from gateway.http.rules.tokens import TOKEN
from gateway.iso import iso, iso_or_none
from gateway.storage.blocked_callers import Blocked

_PATTERN: Final = TypeAdapter[str](CallerPattern)


class BlockWish(Shape):
    """Whom to refuse."""

    caller: str = Field(
        min_length=1,
        max_length=32,
        description="a number, the beginning of one and a *, an extension, or anonymous",
    )
    number: str = Field(
        "", max_length=64, description="the number of ours that it must not reach; empty: any"
    )
    note: str = Field("", max_length=255, description="why, in at most 255 letters")
    until: Moment | None = Field(
        None, description="a time such as 2026-12-20T08:00:00Z; null: for good"
    )


class BlockedCaller(Shape):
    """A caller who is refused."""

    block_id: str
    caller: str
    number: str = Field(description="the number of ours that it does not reach; empty: any")
    note: str
    by: str | None = Field(description="the name of the token that blocked it")
    since: Time
    until: Time | None = Field(description="null: for good")


async def list_blocked_callers(request: web.Request) -> Page[BlockedCaller]:
    """The blocks that hold, the newest first."""
    held = [_shown(one) for one in request.app[BLOCKED].all()]
    return cut(held, asked(request, PageQuery), lambda one: one.block_id)


async def block_caller(request: web.Request) -> BlockedCaller:
    """Refuse a caller from now on. Calls that are up go on."""
    wish = sent(request, BlockWish)
    country = request.app[SETTINGS].settings.outbound.default_country
    caller = e164(wish.caller, country) or wish.caller
    try:
        caller = _PATTERN.validate_python(caller)
    except ValidationError:
        must = BlockWish.model_fields["caller"].description
        raise ProblemError(400, "bad-body", f"caller must be {must}") from None
    blocked = await request.app[BLOCKED].add(
        caller,
        number=wish.number,
        note=wish.note,
        by=request[TOKEN].name,
        until_ms=wish.until,
    )
    return _shown(blocked)


async def unblock_caller(request: web.Request) -> None:
    """Let a caller through again. 404 where there is no such block."""
    block_id = request.match_info["block_id"]
    if await request.app[BLOCKED].remove(block_id) is None:
        raise ProblemError(404, "no-such-block", f"there is no block {block_id}")


def _shown(one: Blocked) -> BlockedCaller:
    return BlockedCaller(
        block_id=one.block_id,
        caller=one.caller,
        number=one.number,
        note=one.note,
        by=one.by,
        since=iso(one.since_ms),
        until=iso_or_none(one.until_ms),
    )


ROUTES: Final = (
    Route(
        method="GET",
        path="/blocked-callers",
        handler=list_blocked_callers,
        summary="Callers who are refused, the newest first",
        role="read",
        query=PageQuery,
        answer=Page[BlockedCaller],
    ),
    Route(
        method="POST",
        path="/blocked-callers",
        handler=block_caller,
        summary="Refuse a caller",
        role="operate",
        body=BlockWish,
        answer=BlockedCaller,
        status=201,
    ),
    Route(
        method="DELETE",
        path="/blocked-callers/{block_id}",
        handler=unblock_caller,
        summary="Let a caller through again",
        role="operate",
        answer=None,
        status=204,
        refusals={404: "no-such-block"},
    ),
)
