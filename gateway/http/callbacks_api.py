"""Events that their receivers have not heard yet, or never will: /api/v1/callbacks."""

import json
from typing import Any, Final, Literal

from aiohttp import web
from pydantic import Field

from gateway.http.app_keys import CALLBACKS, DELIVERIES, WISHES
from gateway.http.problems import ProblemError
from gateway.http.rules.route import Route, asked
from gateway.http.rules.shapes import Page, Shape, StoredQuery
from gateway.http.rules.times import Time
from gateway.iso import iso
from gateway.storage.callbacks import Callback as Row
from gateway.storage.callbacks import CallbackQuery as Query
from gateway.webhooks.forwarding import RETELL


class CallbackQuery(StoredQuery):
    """Which events."""

    state: Literal["waiting", "dead"] | None = Field(None, description="waiting or dead")
    subject: str | None = Field(None, description="what they are about, such as a queued_id")


class Callback(Shape):
    """An event on its way. What was heard is here no more."""

    event_id: str
    kind: str = Field(description="such as call.done")
    subject: str = Field(description="what it is about")
    state: str = Field(description="waiting, or dead: given up")
    url: str
    at: Time
    tries: int
    due_at: Time | None = Field(description="when it is told next; null where it is given up")
    status: int | None = Field(description="what the receiver answered last")
    error: str | None = Field(description="why it was not heard")
    body: dict[str, Any] | None = Field(
        description="what is sent; null of what Retell told: /retell/events has it, by the same id"
    )


class Resent(Shape):
    """Those that are told again."""

    count: int


async def list_callbacks(request: web.Request) -> Page[Callback]:
    """Newest first; those with the state `dead` were given up."""
    query = asked(request, CallbackQuery)
    wanted = Query(limit=query.limit, before=query.cursor, state=query.state, stream=query.subject)
    found = await request.app[CALLBACKS].page(wanted)
    cursor = found[-1].place if len(found) == query.limit else None
    return Page(items=[_shown(row) for row in found], next=cursor)


async def resend_callback(request: web.Request) -> Callback:
    """Tell it again, now: one that was given up as if it were new."""
    event_id = request.match_info["event_id"]
    now_ms = round(request.app[WISHES].now() * 1000)
    row = await request.app[CALLBACKS].resend(event_id, now_ms)
    if row is None:
        detail = f"there is no event {event_id} that was not heard"
        raise ProblemError(404, "no-such-event", detail)
    request.app[DELIVERIES].wake()
    return _shown(row)


async def resend_dead_callbacks(request: web.Request) -> Resent:
    """Tell all of them again that were given up, each as if it were new."""
    now_ms = round(request.app[WISHES].now() * 1000)
    count = await request.app[CALLBACKS].resend_dead(now_ms)
    request.app[DELIVERIES].wake()
    return Resent(count=count)


def _shown(row: Row) -> Callback:
    return Callback(
        event_id=row.callback_id,
        kind=row.kind,
        subject=row.stream,
        state=row.state,
        url=row.url,
        at=iso(row.at_ms),
        tries=row.tries,
        due_at=iso(row.due_ms) if row.state == "waiting" else None,
        status=row.status,
        error=row.error,
        body=None if row.kind.startswith(RETELL) else json.loads(row.body),
    )


ROUTES: Final = (
    Route(
        method="GET",
        path="/callbacks",
        handler=list_callbacks,
        summary="Events that were not heard yet, the newest first",
        role="read",
        query=CallbackQuery,
        answer=Page[Callback],
    ),
    Route(
        method="POST",
        path="/callbacks/{event_id}/resend",
        handler=resend_callback,
        summary="Tell an event again",
        role="operate",
        answer=Callback,
        status=202,
        refusals={404: "no-such-event"},
    ),
    Route(
        method="POST",
        path="/callbacks/resend",
        handler=resend_dead_callbacks,
        summary="Tell all events again that were given up",
        role="operate",
        answer=Resent,
        status=202,
    ),
)
