"""What happens, as it happens: /api/v1/events, a stream of server-sent events."""

import asyncio
import math
from typing import Final

import structlog
from aiohttp import web
from pydantic import Field

from gateway.feed import EndedError, FullError, Reader, Told
from gateway.http.app_keys import FEED, SETTINGS
from gateway.http.door import let_wait
from gateway.http.problems import ProblemError
from gateway.http.rules.route import Route, asked
from gateway.http.rules.shapes import Shape
from gateway.http.rules.tokens import TOKEN

log = structlog.get_logger(__name__)

STREAM: Final = "text/event-stream"
#: Seconds without an event after which a comment shows that the connection is alive.
HEARTBEAT_S: Final = 15.0
#: Seconds in which a client must take what is sent.
WRITE_S: Final = 20.0
#: How long a client waits until it comes back, in milliseconds.
RETRY: Final = "retry: 2000\n\n"


class EventsQuery(Shape):
    """Which events."""

    after: str | None = Field(
        None, description="the id of the last event that was seen, as Last-Event-ID"
    )
    kind: str = Field("", max_length=64, description="how their kinds begin, such as live-call.")


async def follow_events(request: web.Request) -> web.StreamResponse:
    """Server-sent events, without an end: calls that begin, are answered and end, trunks,
    registrations, the queue, alarms. `Last-Event-ID` goes on after that event."""
    query = asked(request, EventsQuery)
    after = query.after or request.headers.get("Last-Event-ID")
    if request.method == "HEAD":
        return web.Response(content_type=STREAM)
    try:
        reader = request.app[FEED].follow(after, query.kind)
    except FullError:
        detail = "too many follow the events: ask again later"
        raise ProblemError(503, "busy", detail, {"Retry-After": "30"}) from None
    let_wait(request, math.inf)
    # nginx keeps back what it may collect
    headers = {"Content-Type": STREAM, "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    response = web.StreamResponse(headers=headers)
    try:
        await response.prepare(request)
        await _tell(request, response, reader)
    except TimeoutError:
        log.warning("events.client-stalled", by=request[TOKEN].name, client=request.remote)
        if request.transport is not None:
            request.transport.abort()
    except ConnectionError:
        log.debug("events.client-left", by=request[TOKEN].name, client=request.remote)
    finally:
        request.app[FEED].leave(reader)
    return response


async def _tell(request: web.Request, response: web.StreamResponse, reader: Reader) -> None:
    """Until it ends. Raises TimeoutError where the client takes nothing, ConnectionError."""
    await _write(response, RETRY)
    if reader.missed:
        await _write(response, _last("events.missed", "events before this one are not kept"))
    while True:
        try:
            told = await reader.next(HEARTBEAT_S)
        except EndedError as error:
            log.info("events.ended", by=request[TOKEN].name, reason=error.reason)
            await _write(response, _last("events.ended", _WHY[error.reason]))
            break
        if request[TOKEN] not in request.app[SETTINGS].settings.http.every_token():
            await _write(response, _last("events.ended", "this token is not known any more"))
            break
        await _write(response, ": still here\n\n" if told is None else _event(told))
    await response.write_eof()


_WHY: Final = {
    "too-slow": "they were read too slowly: come back with the id of the last event",
    "closing": "the gateway stops",
}


def _event(told: Told) -> str:
    return f"id: {told.event_id}\nevent: {told.kind}\ndata: {told.text}\n\n"


def _last(kind: str, reason: str) -> str:
    """A word about the stream itself: it has no id, so that what was seen stays as it is."""
    return f'event: {kind}\ndata: {{"kind": "{kind}", "reason": "{reason}"}}\n\n'


async def _write(response: web.StreamResponse, text: str) -> None:
    async with asyncio.timeout(WRITE_S):
        await response.write(text.encode())


ROUTES: Final = (
    Route(
        method="GET",
        path="/events",
        handler=follow_events,
        summary="What happens, as it happens",
        role="read",
        query=EventsQuery,
        answer=STREAM,
        refusals={503: "busy: too many follow; no-storage: ask again after Retry-After"},
    ),
)
