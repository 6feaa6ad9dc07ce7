"""A call's SIP messages: /api/v1/calls/{call_id}/ladder, and as files."""

from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web
from pydantic import Field

from gateway.calls import ladder_files
from gateway.http.app_keys import LADDERS
from gateway.http.calls_api import call_of
from gateway.http.problems import ProblemError
from gateway.http.rules.route import Route
from gateway.http.rules.shapes import Shape
from gateway.storage.call_records import CallRecord
from gateway.storage.ladders import Messages

_PCAP: Final = "application/vnd.tcpdump.pcap"


class SipMessage(Shape):
    """A message as it passed, without secrets."""

    at: float = Field(description="seconds since 1970")
    direction: str = Field(description="in or out")
    peer: str
    local: str
    summary: str = Field(description="its first line, shortened")
    sip_call_id: str
    message: str = Field(description="all of it, as far as kept")
    left_out: int = Field(description="messages of the same leg that are not kept before this one")


class Ladder(Shape):
    """A call's SIP messages in the order in which they passed."""

    call_id: str
    messages: list[SipMessage]


async def get_ladder(request: web.Request) -> Mapping[str, Any]:
    """The SIP messages of all its legs, as far as kept."""
    record, messages = await _ladder(request)
    return {"call_id": record.call_id, "messages": messages}


async def get_ladder_pcap(request: web.Request) -> web.Response:
    """The same for Wireshark."""
    record, messages = await _ladder(request)
    return _file(f"{record.call_id}.pcap", _PCAP, ladder_files.pcap(messages))


async def get_ladder_text(request: web.Request) -> web.Response:
    """The same to be read."""
    record, messages = await _ladder(request)
    return _file(f"{record.call_id}.txt", "text/plain", ladder_files.text(messages).encode())


async def _ladder(request: web.Request) -> tuple[CallRecord, Messages]:
    record = await call_of(request)
    if LADDERS not in request.app:
        raise ProblemError(
            404, "no-ladder", "SIP messages are kept where the softswitch runs, not here"
        )
    return record, await request.app[LADDERS].of(record)


def _file(name: str, kind: str, content: bytes) -> web.Response:
    disposition = f'attachment; filename="{name}"'
    return web.Response(
        body=content, content_type=kind, headers={"Content-Disposition": disposition}
    )


def _route(ending: str, handler: Any, summary: str, answer: Any) -> Route:
    return Route(
        method="GET",
        path=f"/calls/{{call_id}}/ladder{ending}",
        handler=handler,
        summary=summary,
        role="read",
        answer=answer,
        refusals={404: "no-such-call, no-ladder"},
    )


ROUTES: Final = (
    _route("", get_ladder, "A call's SIP messages", Ladder),
    _route(".pcap", get_ladder_pcap, "The same for Wireshark", _PCAP),
    _route(".txt", get_ladder_text, "The same to be read", "text/plain"),
)
