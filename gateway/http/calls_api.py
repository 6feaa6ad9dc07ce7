"""Calls on record: /api/v1/calls."""

from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web
from pydantic import Field

from gateway.http.app_keys import CALLS, STORE
from gateway.http.problems import ProblemError
from gateway.http.rules.route import Route, asked
from gateway.http.rules.shapes import Page, Shape, StoredQuery
from gateway.http.rules.times import Moment, Time
from gateway.http.rules.tokens import may
from gateway.iso import iso, iso_or_none
from gateway.storage.call_query import Query
from gateway.storage.call_records import CallRecord

#: Query parameters that are another one's column.
_COLUMNS: Final = {"from_": "from_number", "to": "to_number"}
#: What in `retell` leads to a recording: for who may listen to it.
_LINKS: Final = frozenset(
    {"recording_url", "recording_multi_channel_url", "scrubbed_recording_url", "public_log_url"}
)
#: Those that are no column.
_OTHERS: Final = ("number", "carrier", "since", "until", "parts")


class WhichCalls(Shape):
    """Which calls: those of which all that is said is so."""

    number: str | None = Field(
        None,
        min_length=2,
        max_length=64,
        description="a number of either side, or how one begins and a *: +14155550123, +1415*",
    )
    carrier: str | None = Field(
        None, description="the name of a trunk that the call came by or was tried by"
    )
    direction: str | None = Field(None, description="inbound, retell or outbound")
    trunk: str | None = Field(None, description="the name of the trunk that the call came by")
    from_: str | None = Field(None, alias="from", description="the caller's number")
    to: str | None = Field(None, description="the number that was called")
    state: str | None = Field(None, description="live, ended or interrupted")
    cause: str | None = Field(None, description="how it ended, such as busy")
    fault: str | None = Field(None, description="whose fault it was, such as carrier")
    agent: str | None = Field(None, description="the agent that was asked for")
    retell_call_id: str | None = Field(None, description="Retell's id of it")
    part_of: str | None = Field(None, description="the call whose caller it hands on")
    parts: bool = Field(False, description="also calls that hand on another's caller")
    sip_status: int | None = Field(None, ge=100, le=699, description="a number from 100 to 699")
    since: Moment | None = Field(None, description="a time such as 2026-11-20T08:00:00Z")
    until: Moment | None = Field(None, description="a time such as 2026-11-20T08:00:00Z")

    def for_storage(self, limit: int, before: str | None) -> Query:
        """As the storage asks for a page."""
        others = set(WhichCalls.model_fields) - set(_OTHERS)
        given = self.model_dump(exclude_none=True, include=others)
        return Query(
            limit=limit,
            before=before,
            since_ms=self.since,
            until_ms=self.until,
            parts=self.parts,
            number=self.number,
            carrier=self.carrier,
            equal={_COLUMNS.get(name, name): value for name, value in given.items()},
        )


class CallsQuery(WhichCalls, StoredQuery):
    """A page of calls: those of which all that is said is so."""


class Call(Shape):
    """A call; null is not known, or not yet."""

    call_id: str = Field(description="ours")
    call_sid: str = Field(description="jambonz's id of the caller's leg")
    direction: str = Field(description="inbound, retell (Retell placed it) or outbound")
    state: str = Field(description="live, ended or interrupted")
    trunk: str = Field(description="the trunk that it came by")
    from_: str = Field(serialization_alias="from", description="the caller's number")
    to: str = Field(description="the number that was called")
    method: str | None = Field(description="trunk or dial: how Retell was asked")
    agent: str | None = Field(description="the agent that was asked for")
    retell_call_id: str | None = Field(description="Retell's id of it")
    a_sip_call_id: str | None = Field(description="SIP's Call-ID of the caller's leg")
    b_sip_call_id: str | None = Field(description="that of the leg connected or tried last")
    attempts: list[dict[str, Any]] = Field(description="every leg that was dialled, in order")
    transfers: list[dict[str, Any]] = Field(
        description="every transfer that was asked for, in order, and what became of it"
    )
    started_at: Time
    answered_at: Time | None
    ended_at: Time | None
    duration_s: float | None = Field(description="seconds since the answer")
    ended_by: str | None = Field(description="caller, callee or gateway")
    cause: str | None = Field(description="how it ended, such as busy")
    sip_status: int | None = Field(description="what the caller got; 200 once answered")
    fault: str | None = Field(description="who has to mend it")
    media: dict[str, Any] | None = Field(description="each leg's counters")
    retell_headers: dict[str, str] = Field(description="X- headers that Retell sent in its BYE")
    disconnection_reason: str | None = Field(description="Retell's own word for the end")
    retell: dict[str, Any] = Field(
        description="what Retell's webhooks said of its call: status, agent, recording_url,"
        " latency, cost, analysis, transcript_event and others; as_of is the event. Without links"
        " to recordings for the role read"
    )
    part_of: str | None = Field(description="the call whose caller this one hands on")
    cost_estimate: float | None = Field(
        description="what its legs cost by outbound.rates, as far as they have a rate"
    )
    related: list[dict[str, Any]] = Field(description="the calls that hand this one's caller on")
    headers: dict[str, str] = Field(
        description="X- headers of its INVITE; how far its carrier vouches for the caller"
        " (p-attestation-indicator, verstat)"
    )


async def list_calls(request: web.Request) -> Page[Call]:
    """Newest first, a page at a time."""
    wanted = asked(request, CallsQuery)
    query = wanted.for_storage(wanted.limit, wanted.cursor)
    records = await request.app[STORE].page(query)
    current = request.app[CALLS].current
    cursor = records[-1].call_id if len(records) == query.limit else None
    return Page(items=[shown(current(record), request) for record in records], next=cursor)


async def get_call(request: web.Request) -> Call:
    """One call."""
    return shown(await call_of(request), request)


def shown(record: CallRecord, request: web.Request) -> Call:
    """A call as the API shows it: times in ISO 8601 UTC, null where nothing is known; links to
    recordings only where the token's role may listen to them."""
    hidden = frozenset() if may(request, "operate") else _LINKS
    return Call(
        call_id=record.call_id,
        call_sid=record.call_sid,
        direction=record.direction,
        state=record.state,
        trunk=record.trunk,
        from_=record.from_number,
        to=record.to_number,
        method=record.method,
        agent=record.agent,
        retell_call_id=record.retell_call_id,
        a_sip_call_id=record.a_sip_call_id,
        b_sip_call_id=record.b_sip_call_id,
        attempts=record.attempts,
        transfers=record.transfers,
        started_at=iso(record.started_ms),
        answered_at=iso_or_none(record.answered_ms),
        ended_at=iso_or_none(record.ended_ms),
        duration_s=record.duration_s,
        ended_by=record.ended_by,
        cause=record.cause,
        sip_status=record.sip_status,
        fault=record.fault,
        media=_plain(record.media),
        retell_headers=record.retell_headers,
        disconnection_reason=record.disconnection_reason,
        retell={name: value for name, value in record.retell.items() if name not in hidden},
        part_of=record.part_of,
        cost_estimate=record.cost_estimate,
        related=record.related,
        headers=record.headers,
    )


async def call_of(request: web.Request) -> CallRecord:
    """The call that the path names, as it is now. Raises ProblemError."""
    call_id = request.match_info["call_id"]
    record = await request.app[STORE].get(call_id)
    if record is None:
        raise ProblemError(404, "no-such-call", f"there is no call {call_id}")
    return request.app[CALLS].current(record)


def _plain(media: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if media is None else dict(media)


ROUTES: Final = (
    Route(
        method="GET",
        path="/calls",
        handler=list_calls,
        summary="Calls, the newest first",
        role="read",
        query=CallsQuery,
        answer=Page[Call],
    ),
    Route(
        method="GET",
        path="/calls/{call_id}",
        handler=get_call,
        summary="One call",
        role="read",
        answer=Call,
        refusals={404: "no-such-call"},
    ),
)
