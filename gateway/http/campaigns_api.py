"""Campaigns: /api/v1/campaigns."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Final, Literal

from aiohttp import web
from pydantic import Field

from gateway.calls.live_calls import new_call_id
from gateway.http.app_keys import CAMPAIGNS, OUTBOX, SETTINGS, WISHES
from gateway.http.campaign_files import (
    CSV,
    Bad,
    CampaignQuery,
    CampaignWish,
    Listed,
    read_campaign,
)
from gateway.http.door import let_wait
from gateway.http.problems import ProblemError
from gateway.http.queue_api import earlier, granting, queue_of
from gateway.http.rules.audit import WANTED
from gateway.http.rules.route import Answer, Route, asked, uploaded
from gateway.http.rules.shapes import Page, Shape, StoredQuery
from gateway.http.rules.times import Time
from gateway.http.rules.tokens import TOKEN
from gateway.http.rules.uploads import ANSWER_S, Upload
from gateway.iso import iso
from gateway.outbound.campaign_csv import write_rows
from gateway.outbound.campaigns import Campaigns, Standing
from gateway.outbound.errors import WishError, WishesError
from gateway.outbound.views import call_view, try_view
from gateway.storage.campaigns import Campaign as Row
from gateway.storage.queued_call import QueuedCall, Try

#: Bytes of a campaign's file.
MAX_FILE: Final = 20 << 20
#: Lines that are told to be wrong, of however many.
MAX_TOLD: Final = 1000
NDJSON: Final = "application/x-ndjson"
#: The columns of a result.
COLUMNS: Final = (
    *("queued_id", "to", "from", "agent", "state", "result", "detail", "tries"),
    *("created_at", "ended_at", "call_id", "retell_call_id", "answered_at", "duration_s"),
    *("sip_status", "cause", "amd", "cost_estimate", "variables", "metadata", "tag"),
)


class BadCall(Shape):
    """A call that cannot be queued."""

    line: int = Field(description="of a CSV file its line; of JSON which call it is, from 1")
    code: str = Field(description="such as bad-number; bad-line where it cannot be read")
    reason: str


class CampaignTaken(Shape):
    """What came of it."""

    campaign_id: str | None = Field(description="null where it was only checked")
    name: str
    calls: int = Field(description="those that are, or could be, queued")
    errors: list[BadCall] = Field(description=f"lines that are wrong, {MAX_TOLD} at most")
    error_count: int = Field(description="how many there are in all")


class Campaign(Shape):
    """A campaign as it stands."""

    campaign_id: str
    name: str
    state: Literal["running", "paused", "cancelled", "done"]
    calls: int = Field(description="in all")
    counts: dict[str, int] = Field(description="calls by state, and by result:RESULT")
    made_by: str = Field(description="the name of a token")
    created_at: Time


class CampaignCancelled(Shape):
    """What its end meant."""

    calls: int = Field(description="those that waited or were up")


async def start_campaign(request: web.Request) -> CampaignTaken:
    """Have many people called. The lines of a file are all taken or, where one of them is wrong,
    none, unless `skip_bad` is said."""
    query, campaigns = asked(request, CampaignQuery), _campaigns(request)
    known = await earlier(request)
    found = None if known is None else await campaigns.get(known)
    if found is not None and not found.withdrawn:
        return _taken(found.campaign, known, [])
    file, settings = uploaded(request), request.app[SETTINGS].settings
    listed = await asyncio.to_thread(read_campaign, file, query, settings)
    name = query.name or listed.name
    for url in listed.callbacks:
        if (reason := request.app[OUTBOX].why_not(url)) is not None:
            raise ProblemError(
                422, "bad-callback", f"callback {url[:200]} cannot be told: {reason}"
            )
    errors = await _judged(request, listed)
    request[WANTED] = f"campaign {name!r} of {len(listed.calls)} calls"
    if query.check:
        request[WANTED] += ", checked"
        return _taken(_row(name, len(listed.calls)), None, errors)
    if (errors and not query.skip_bad) or not listed.calls:
        raise _refused(errors)
    campaign_id = new_call_id(request.app[WISHES].now())
    try:
        begun = await campaigns.start(
            campaign_id,
            name,
            [wish for _, wish in listed.calls],
            by=request[TOKEN].name,
            beside=granting(request, campaign_id),
        )
    except WishesError as error:  # the list, the money or the room has changed meanwhile
        raise _refused([_bad(listed.calls[i][0], one) for i, one in error.errors.items()]) from None
    return _taken(begun, campaign_id, errors)


async def list_campaigns(request: web.Request) -> Page[Campaign]:
    """Newest first, a page at a time."""
    query = asked(request, StoredQuery)
    found = await _campaigns(request).page(query.limit, query.cursor)
    cursor = found[-1].campaign.campaign_id if len(found) == query.limit else None
    return Page(items=[_shown(one) for one in found], next=cursor)


async def get_campaign(request: web.Request) -> Campaign:
    """One of them."""
    return _shown(await _standing(request))


async def pause_campaign(request: web.Request) -> Campaign:
    """Make no new tries; calls that are up go on. It outlasts a restart."""
    standing = await _standing(request)
    await _campaigns(request).pause(standing.campaign.campaign_id, request[TOKEN].name)
    return _shown(await _standing(request))


async def resume_campaign(request: web.Request) -> Campaign:
    """Make tries again."""
    standing = await _standing(request)
    if standing.state == "cancelled":
        raise ProblemError(409, "already-over", "the campaign is cancelled: begin another one")
    await _campaigns(request).resume(standing.campaign.campaign_id, request[TOKEN].name)
    return _shown(await _standing(request))


async def cancel_campaign(request: web.Request) -> CampaignCancelled:
    """Call nobody more: who waits is not called, and calls that are up are ended."""
    standing = await _standing(request)
    count = await _campaigns(request).cancel(standing.campaign.campaign_id, request[TOKEN].name)
    return CampaignCancelled(calls=count)


async def get_campaign_results(request: web.Request) -> web.StreamResponse:
    """A CSV file, a line a call, those that are not over included."""
    response = await _file(request, CSV, "csv")
    await response.write(write_rows([COLUMNS]).encode())
    async for some in _campaigns(request).results(request.match_info["campaign_id"]):
        await response.write(write_rows(_cells(call, tries) for call, tries in some).encode())
    await response.write_eof()
    return response


async def get_campaign_results_as_json(request: web.Request) -> web.StreamResponse:
    """A JSON object a line, each a queued call with its `history`."""
    response = await _file(request, NDJSON, "ndjson")
    async for some in _campaigns(request).results(request.match_info["campaign_id"]):
        lines = (
            json.dumps({**call_view(call), "history": [try_view(one) for one in tries]})
            for call, tries in some
        )
        await response.write("".join(f"{line}\n" for line in lines).encode())
    await response.write_eof()
    return response


async def _file(request: web.Request, kind: str, ending: str) -> web.StreamResponse:
    standing = await _standing(request)
    let_wait(request, ANSWER_S)
    name = f"{standing.campaign.campaign_id}.{ending}"
    response = web.StreamResponse(
        headers={"Content-Type": kind, "Content-Disposition": f'attachment; filename="{name}"'}
    )
    await response.prepare(request)
    return response


def _cells(call: QueuedCall, tries: list[Try]) -> list[object]:
    last = try_view(tries[-1]) if tries else {}
    told = {**last, **call_view(call)}
    told["detail"] = told["detail"] or last.get("detail")
    cells = (told.get(name) for name in COLUMNS)
    return [
        json.dumps(cell, ensure_ascii=False) if isinstance(cell, dict | list) else cell
        for cell in cells
    ]


async def _judged(request: web.Request, listed: Listed) -> list[Bad]:
    """What is wrong, by line; only what could be queued is left in `listed`."""
    refused = await queue_of(request).check([wish for _, wish in listed.calls])
    errors = [*listed.errors, *(_bad(listed.calls[i][0], one) for i, one in refused.items())]
    listed.calls[:] = [call for i, call in enumerate(listed.calls) if i not in refused]
    return sorted(errors, key=lambda one: one.line)


def _bad(line: int, error: WishError) -> Bad:
    return Bad(line, error.code, error.words)


def _refused(errors: list[Bad]) -> ProblemError:
    if not errors:
        return ProblemError(422, "no-calls", "the file names nobody to call")
    first = errors[0]
    detail = (
        f"{len(errors)} lines are wrong, and nobody is called: line {first.line}: {first.reason}."
        " Mend them, or leave them out with skip_bad=true"
    )
    told = [_told(one).model_dump() for one in errors[:MAX_TOLD]]
    more = {"errors": told, "error_count": len(errors)}
    return ProblemError(422, "bad-lines", detail, more=more)


def _told(bad: Bad) -> BadCall:
    return BadCall(line=bad.line, code=bad.code, reason=bad.reason)


def _taken(row: Row, campaign_id: str | None, errors: list[Bad]) -> CampaignTaken:
    return CampaignTaken(
        campaign_id=campaign_id,
        name=row.name,
        calls=row.calls,
        errors=[_told(one) for one in errors[:MAX_TOLD]],
        error_count=len(errors),
    )


def _row(name: str, calls: int) -> Row:
    return Row(campaign_id="", name=name, calls=calls, made_by="", at_ms=0)


def _shown(standing: Standing) -> Campaign:
    row = standing.campaign
    return Campaign(
        campaign_id=row.campaign_id,
        name=row.name,
        state=standing.state,
        calls=row.calls,
        counts=standing.counts,
        made_by=row.made_by,
        created_at=iso(row.at_ms),
    )


async def _standing(request: web.Request) -> Standing:
    """The campaign that the path names. Raises ProblemError."""
    campaign_id = request.match_info["campaign_id"]
    found = await _campaigns(request).get(campaign_id)
    if found is None:
        raise ProblemError(404, "no-such-campaign", f"there is no campaign {campaign_id}")
    return found


def _campaigns(request: web.Request) -> Campaigns:
    queue_of(request)
    return request.app[CAMPAIGNS]


_NONE: Final = {404: "no-such-campaign", 409: "no-queue"}


def _steering(
    what: str,
    handler: Callable[[web.Request], Awaitable[Answer]],
    summary: str,
    answer: type[Shape] = Campaign,
) -> Route:
    return Route(
        method="POST",
        path=f"/campaigns/{{campaign_id}}/{what}",
        handler=handler,
        summary=summary,
        role="operate",
        answer=answer,
        refusals={**_NONE, 409: "already-over, no-queue"},
    )


ROUTES: Final = (
    Route(
        method="POST",
        path="/campaigns",
        handler=start_campaign,
        summary="Have many people called",
        role="operate",
        query=CampaignQuery,
        upload=Upload({CSV: None, "application/json": CampaignWish}, MAX_FILE),
        answer=CampaignTaken,
        refusals={
            409: "no-queue",
            422: "bad-file, bad-lines, bad-callback, no-calls",
        },
    ),
    Route(
        method="GET",
        path="/campaigns",
        handler=list_campaigns,
        summary="Campaigns, the newest first",
        role="read",
        query=StoredQuery,
        answer=Page[Campaign],
        refusals={409: "no-queue"},
    ),
    Route(
        method="GET",
        path="/campaigns/{campaign_id}",
        handler=get_campaign,
        summary="One campaign",
        role="read",
        answer=Campaign,
        refusals=_NONE,
    ),
    _steering("pause", pause_campaign, "Make no new tries of a campaign"),
    _steering("resume", resume_campaign, "Make tries of a campaign again"),
    _steering("cancel", cancel_campaign, "End a campaign", CampaignCancelled),
    Route(
        method="GET",
        path="/campaigns/{campaign_id}/results",
        handler=get_campaign_results,
        summary="What came of a campaign's calls, as CSV",
        role="read",
        answer=CSV,
        refusals=_NONE,
    ),
    Route(
        method="GET",
        path="/campaigns/{campaign_id}/results.ndjson",
        handler=get_campaign_results_as_json,
        summary="The same, a JSON object a line",
        role="read",
        answer=NDJSON,
        refusals=_NONE,
    ),
)
