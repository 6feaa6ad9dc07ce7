"""What happened in a call, in order: /api/v1/calls/{call_id}/timeline."""

from typing import Any, Final

from aiohttp import web
from pydantic import Field

from gateway.calls.timeline import Moment, timeline
from gateway.http.app_keys import EVENT_STORE, LADDERS
from gateway.http.calls_api import call_of
from gateway.http.rules.route import Route
from gateway.http.rules.shapes import MAX_PAGE, Shape
from gateway.http.rules.times import Time
from gateway.iso import iso
from gateway.storage.retell_events import RetellEventQuery


class TimelineEvent(Shape):
    """Something that happened."""

    at: Time
    what: str = Field(
        description="call.begun, leg.dialled, call.answered, transfer.asked, transfer.over,"
        " keys.counted, call.ended; message.in and message.out are SIP messages,"
        " retell.call_ended and others what Retell's webhooks told"
    )
    leg: str | None = Field(
        description="a (the caller's), or the trunk of a leg that was dialled; of keys.counted, as"
        " in the call's media"
    )
    text: str = Field(description="the same for people")
    data: dict[str, Any]


class Timeline(Shape):
    """All that is known to have happened in a call."""

    call_id: str
    state: str = Field(description="live, ended or interrupted")
    events: list[TimelineEvent] = Field(description="the earliest first")


async def get_timeline(request: web.Request) -> Timeline:
    """Its legs, statuses and transfers, how many keys were pressed, what Retell's webhooks told
    (the latest 1000), and its SIP messages as far as they are kept here, the earliest first."""
    record = await call_of(request)
    kept = await request.app[LADDERS].of(record) if LADDERS in request.app else ()
    about = RetellEventQuery(limit=MAX_PAGE, equal={"call_id": record.call_id})
    told = reversed(await request.app[EVENT_STORE].page(about))
    events = [_shown(moment) for moment in timeline(record, kept, told)]
    return Timeline(call_id=record.call_id, state=record.state, events=events)


def _shown(moment: Moment) -> TimelineEvent:
    return TimelineEvent(
        at=iso(moment.at_ms),
        what=moment.what,
        leg=moment.leg or None,
        text=moment.text,
        data=dict(moment.data),
    )


ROUTES: Final = (
    Route(
        method="GET",
        path="/calls/{call_id}/timeline",
        handler=get_timeline,
        summary="What happened in a call, in order",
        role="read",
        answer=Timeline,
        refusals={404: "no-such-call"},
    ),
)
