"""A call's SIP messages: /api/v1/calls/{call_id}/ladder, and as files."""

from aiohttp import web

from gateway.calls import ladder_files
from gateway.http.app_keys import LADDERS
from gateway.http.calls_api import call_of
from gateway.http.problems import ProblemError
from gateway.storage.call_records import CallRecord
from gateway.storage.ladders import Messages


async def get_ladder(request: web.Request) -> web.Response:
    """`GET /api/v1/calls/{call_id}/ladder`: the SIP messages of all its legs, as far as kept."""
    record, messages = await _ladder(request)
    return web.json_response({"call_id": record.call_id, "messages": messages})


async def get_pcap(request: web.Request) -> web.Response:
    """`GET /api/v1/calls/{call_id}/ladder.pcap`: the same for Wireshark."""
    record, messages = await _ladder(request)
    return _file(
        f"{record.call_id}.pcap", "application/vnd.tcpdump.pcap", ladder_files.pcap(messages)
    )


async def get_text(request: web.Request) -> web.Response:
    """`GET /api/v1/calls/{call_id}/ladder.txt`: the same to be read."""
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
