"""Calls that go out: POST /api/v1/calls, and the queue that they wait in, /api/v1/queue."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Final, Literal

from aiohttp import web
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.calls.live_calls import new_call_id
from gateway.http.app_keys import OUTBOX, QUEUE, SETTINGS, WISHES
from gateway.http.problems import ProblemError
from gateway.http.rules.audit import WANTED
from gateway.http.rules.idempotency import KEY, reused
from gateway.http.rules.route import Route, asked, sent
from gateway.http.rules.shapes import Page, Shape, StoredQuery
from gateway.http.rules.times import Moment, Time
from gateway.http.rules.tokens import TOKEN
from gateway.http.wishes import REFUSALS, CallWish, problem_of, sound_problem, wish_of
from gateway.outbound.call_queue import CallQueue
from gateway.outbound.errors import WishesError
from gateway.outbound.views import call_view, try_view
from gateway.outbound.wish import Wish
from gateway.storage.queued_call import OVER, QueuedCall, QueueState, Try
from gateway.storage.queued_calls import QueueQuery as Query


class QueueQuery(StoredQuery):
    """Which queued calls: those of which all that is said is so."""

    state: Literal["waiting", "calling", "done", "cancelled", "unknown"] | None = Field(
        None, description="waiting, calling, done, cancelled or unknown"
    )
    campaign: str | None = Field(None, description="the id of a campaign")
    to: str | None = Field(None, description="the number that is called")
    since: Moment | None = Field(None, description="a time such as 2026-12-01T08:00:00Z")
    until: Moment | None = Field(None, description="a time such as 2026-12-01T08:00:00Z")


class Queued(Shape):
    """A person to be called; null is not known, or not yet."""

    queued_id: str
    state: str = Field(description="waiting, calling, done, cancelled or unknown")
    result: str | None = Field(description="what came of it, such as answered or busy")
    detail: str | None = Field(description="why, in a sentence")
    to: str
    from_: str | None = Field(alias="from", serialization_alias="from")
    mode: str = Field(description="callee_first, retell or twilio")
    agent: str | None
    agent_version: int | str | None
    trunk: str | None = Field(description="the only one that it may go by")
    variables: dict[str, str]
    metadata: dict[str, Any]
    tag: dict[str, Any]
    campaign: str | None
    priority: int
    created_at: Time
    not_before: Time
    due_at: Time | None = Field(description="when it is tried next, at the earliest")
    expires_at: Time
    ended_at: Time | None
    window: str | None = Field(description="the schedule that it is called in")
    time_zones: list[str] = Field(description="by whose clocks")
    tries: int = Field(description="those made")
    call_id: str | None = Field(description="the call of the last one")


class TryMade(Shape):
    """One try: a call, whose record has the same id."""

    call_id: str
    number: int = Field(description="from 1")
    started_at: Time
    ringing_at: Time | None
    answered_at: Time | None
    agent_answered_at: Time | None
    ended_at: Time | None
    result: str | None
    cause: str | None
    sip_status: int | None
    reason: str | None = Field(description="the far side's own words")
    detail: str | None
    retell_call_id: str | None
    duration_s: float | None
    amd: dict[str, Any] | None = Field(description="what answered: a person, a machine, …")
    cost_estimate: float | None


class QueuedWhole(Queued):
    """The same with its tries."""

    history: list[TryMade] = Field(description="its tries, the first one first")


class QueueSummary(Shape):
    """The queue as it stands."""

    paused: bool = Field(description="whether somebody has paused all of it")
    counts: dict[str, int] = Field(description="calls by state, and by result:RESULT")


async def queue_call(request: web.Request) -> Queued:
    """Have one person called, when there is room for it. Many people are a campaign."""
    wish = sent(request, CallWish)
    request[WANTED] = f"call {wish.to}"
    made = wish_of(wish, request.app[SETTINGS].settings)
    return shown(await queue_one(request, made))


async def list_queue(request: web.Request) -> Page[Queued]:
    """Newest first, a page at a time; those that are over too."""
    query = asked(request, QueueQuery)
    wanted = Query(
        limit=query.limit,
        before=query.cursor,
        state=None if query.state is None else QueueState(query.state),
        campaign=query.campaign,
        to_number=query.to,
        since_ms=query.since,
        until_ms=query.until,
    )
    found = await queue_of(request).page(wanted)
    cursor = found[-1].queued_id if len(found) == query.limit else None
    return Page(items=[shown(call) for call in found], next=cursor)


async def get_queue_summary(request: web.Request) -> QueueSummary:
    """How many calls wait, and what came of the others."""
    queue = queue_of(request)
    return QueueSummary(paused=queue.paused(), counts=await queue.counts())


async def get_queued(request: web.Request) -> QueuedWhole:
    """One of them, with its tries."""
    call, tries = await queued_of(request, "queued_id")
    history = [TryMade(**try_view(one)) for one in tries]
    return QueuedWhole(**call_view(call), history=history)


async def cancel_queued(request: web.Request) -> Queued:
    """Call this person no more: one who waits is not called, a call that is up is ended."""
    call, _ = await queued_of(request, "queued_id")
    request[WANTED] = f"cancel the call to {call.wanted.to_number}"
    if call.state in OVER:
        words = f"the call is over already: {call.result or call.state}"
        raise ProblemError(409, "already-over", words)
    return shown(await queue_of(request).cancel(call.queued_id) or call)


async def pause_queue(request: web.Request) -> None:
    """Make no new tries; what is up goes on. It outlasts a restart."""
    await queue_of(request).pause(by=request[TOKEN].name)


async def resume_queue(request: web.Request) -> None:
    """Make tries again."""
    await queue_of(request).resume()


def shown(call: QueuedCall) -> Queued:
    """A queued call as the API shows it."""
    return Queued(**call_view(call))


def queue_of(request: web.Request) -> CallQueue:
    """The queue. Raises ProblemError where this gateway has none."""
    if QUEUE not in request.app:
        detail = (
            "this gateway places no calls: it has no softswitch (sip.listen is empty) and no"
            " jambonz that it could ask to"
        )
        raise ProblemError(409, "no-queue", detail)
    return request.app[QUEUE]


async def queued_of(request: web.Request, part: str) -> tuple[QueuedCall, list[Try]]:
    """The queued call that the path names. Raises ProblemError."""
    queued_id = request.match_info[part]
    found = await queue_of(request).get(queued_id)
    if found is None:
        raise ProblemError(404, "no-such-call", f"there is no queued call {queued_id}")
    return found


async def queue_one(request: web.Request, wish: Wish) -> QueuedCall:
    """Queue one call, or find what an earlier request with this key had queued. Raises
    ProblemError."""
    queue, settings = queue_of(request), request.app[SETTINGS].settings
    wanted = wish.wanted
    if wanted.callback is not None:
        reason = request.app[OUTBOX].why_not(wanted.callback)
        if reason is not None:
            raise ProblemError(422, "bad-callback", f"callback cannot be told: {reason}")
    reason = sound_problem(wanted, settings)
    if reason is not None:
        raise ProblemError(422, "no-such-sound", reason)
    known = await earlier(request)
    if known is not None:
        found = await queue.get(known)
        if found is not None and not withdrawn(found[0]):
            return found[0]
    wish = replace(wish, queued_id=new_call_id(request.app[WISHES].now()))
    assert wish.queued_id is not None
    try:
        [call] = await queue.add_many([wish], granting(request, wish.queued_id))
    except WishesError as error:
        raise problem_of(error.errors[0]) from None
    return call


def withdrawn(call: QueuedCall) -> bool:
    """Whether its sender was told that it is not queued: the database had lost its own answer. Then
    it is not called, and may be asked for anew."""
    return call.state == QueueState.CANCELLED and not call.tries


def granting(
    request: web.Request, made: str
) -> Callable[[AsyncConnection], Awaitable[None]] | None:
    """What notes, in the queue's own transaction, what a request with a key has made; None where it
    has no key."""
    key, store = request.get(KEY), request.app[WISHES]
    if key is None:
        return None

    async def beside(connection: AsyncConnection) -> None:
        await store.add(connection, name=key.name, asked=key.asked, made=made)

    return beside


async def earlier(request: web.Request) -> str | None:
    """What an earlier request with the same key has made, though its answer was lost. Raises
    ProblemError where it was another request."""
    key = request.get(KEY)
    if key is None:
        return None
    granted = await request.app[WISHES].get(key.name)
    if granted is None:
        return None
    if granted.asked != key.asked:
        raise reused()
    return granted.made


_NO_CALL: Final = {404: "no-such-call", 409: "no-queue"}
#: What a wish may be refused with.
WISH_REFUSALS: Final = {
    **REFUSALS,
    409: f"{REFUSALS[409]}, no-queue",
    422: f"{REFUSALS[422]}, bad-callback, no-such-sound",
    503: f"{REFUSALS[503]}, no-storage: ask again after Retry-After",
}

ROUTES: Final = (
    Route(
        method="POST",
        path="/calls",
        handler=queue_call,
        summary="Have one person called",
        role="operate",
        body=CallWish,
        answer=Queued,
        status=202,
        refusals=WISH_REFUSALS,
    ),
    Route(
        method="GET",
        path="/queue",
        handler=list_queue,
        summary="Calls that wait, are up, or are over, the newest first",
        role="read",
        query=QueueQuery,
        answer=Page[Queued],
        refusals={409: "no-queue"},
    ),
    Route(
        method="GET",
        path="/queue/summary",
        handler=get_queue_summary,
        summary="How many calls wait, and what came of the others",
        role="read",
        answer=QueueSummary,
        refusals={409: "no-queue"},
    ),
    Route(
        method="POST",
        path="/queue/pause",
        handler=pause_queue,
        summary="Make no new tries",
        role="operate",
        answer=None,
        status=202,
        refusals={409: "no-queue"},
    ),
    Route(
        method="POST",
        path="/queue/resume",
        handler=resume_queue,
        summary="Make tries again",
        role="operate",
        answer=None,
        status=202,
        refusals={409: "no-queue"},
    ),
    Route(
        method="GET",
        path="/queue/{queued_id}",
        handler=get_queued,
        summary="One call that waits, is up, or is over, with its tries",
        role="read",
        answer=QueuedWhole,
        refusals=_NO_CALL,
    ),
    Route(
        method="POST",
        path="/queue/{queued_id}/cancel",
        handler=cancel_queued,
        summary="Call this person no more",
        role="operate",
        answer=Queued,
        status=202,
        refusals={404: "no-such-call", 409: "already-over, no-queue"},
    ),
)
