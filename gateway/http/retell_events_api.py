"""Events that Retell's webhooks told: /api/v1/retell/events."""

from typing import Any, Final, Literal

import orjson
from aiohttp import web
from pydantic import Field

from gateway.http.app_keys import EVENT_STORE, EVENT_WORK
from gateway.http.problems import ProblemError
from gateway.http.rules.route import Route, asked
from gateway.http.rules.shapes import Page, Shape, StoredQuery
from gateway.http.rules.times import Time
from gateway.iso import iso
from gateway.storage.retell_events import RetellEvent as Row
from gateway.storage.retell_events import RetellEventQuery as Query


class RetellEventQuery(StoredQuery):
    """Which events: those of which all that is said is so."""

    event: str | None = Field(None, description="Retell's name of it, such as call_ended")
    call_id: str | None = Field(None, description="our id of the call that it is about")
    retell_call_id: str | None = Field(None, description="Retell's id of that call")
    state: Literal["waiting", "done", "broken"] | None = Field(
        None, description="waiting, done or broken"
    )


class RetellEventLine(Shape):
    """An event, without what it said."""

    event_id: str = Field(description="ours: the same however often Retell sends it")
    event: str
    call_id: str | None = Field(description="our id of its call; null where that is not known")
    retell_call_id: str | None
    workspace: str = Field(description="whose key signed it")
    received_at: Time
    state: str = Field(
        description="waiting: to be acted on; done; broken: it could not be, the log has why"
    )


class RetellEvent(RetellEventLine):
    """An event with what it said."""

    told: dict[str, Any] | None = Field(
        description="what Retell signed; null for a transcript that a later one has"
    )


async def list_retell_events(request: web.Request) -> Page[RetellEventLine]:
    """Newest first."""
    query = asked(request, RetellEventQuery)
    equal = query.model_dump(exclude_none=True, exclude={"limit", "cursor"})
    wanted = Query(limit=query.limit, before=query.cursor, equal=equal)
    found = await request.app[EVENT_STORE].page(wanted)
    cursor = found[-1].place if len(found) == query.limit else None
    return Page(items=[RetellEventLine(**_line(row)) for row in found], next=cursor)


async def get_retell_event(request: web.Request) -> RetellEvent:
    """One event."""
    return _shown(await request.app[EVENT_STORE].get(request.match_info["event_id"]), request)


async def retry_retell_event(request: web.Request) -> RetellEvent:
    """Act on an event that is broken once more; any other stays as it is."""
    row = await request.app[EVENT_STORE].again(request.match_info["event_id"])
    shown = _shown(row, request)
    if shown.state == "waiting":
        request.app[EVENT_WORK].wake()
    return shown


def _shown(row: Row | None, request: web.Request) -> RetellEvent:
    if row is None:
        detail = f"there is no event {request.match_info['event_id']}"
        raise ProblemError(404, "no-such-event", detail)
    return RetellEvent(**_line(row), told=orjson.loads(row.body) if row.body else None)


def _line(row: Row) -> dict[str, Any]:
    return {
        "event_id": row.event_id,
        "event": row.event,
        "call_id": row.call_id,
        "retell_call_id": row.retell_call_id,
        "workspace": row.workspace,
        "received_at": iso(row.received_ms),
        "state": row.state,
    }


ROUTES: Final = (
    Route(
        method="GET",
        path="/retell/events",
        handler=list_retell_events,
        summary="Events that Retell told, the newest first",
        role="read",
        query=RetellEventQuery,
        answer=Page[RetellEventLine],
    ),
    Route(
        method="GET",
        path="/retell/events/{event_id}",
        handler=get_retell_event,
        summary="One event that Retell told, with what it said",
        role="operate",
        answer=RetellEvent,
        refusals={404: "no-such-event"},
    ),
    Route(
        method="POST",
        path="/retell/events/{event_id}/retry",
        handler=retry_retell_event,
        summary="Act on an event that is broken once more",
        role="operate",
        answer=RetellEvent,
        status=202,
        refusals={404: "no-such-event"},
    ),
)
