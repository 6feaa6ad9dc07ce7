"""Calls as files: /api/v1/calls.csv and /api/v1/calls.ndjson, a page of the database at a time."""

import asyncio
import json
import math
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final

import structlog
from aiohttp import web

from gateway.http.app_keys import CALLS, STORE
from gateway.http.calls_api import Call, WhichCalls, shown
from gateway.http.door import let_wait
from gateway.http.rules.route import Route, asked
from gateway.outbound.campaign_csv import write_rows
from gateway.storage.errors import StorageError

log = structlog.get_logger(__name__)

#: Calls that are read at a time.
PAGE: Final = 500
#: Seconds in which a client must take what is sent.
WRITE_S: Final = 30.0
CSV: Final = "text/csv"
NDJSON: Final = "application/x-ndjson"
#: The columns of a CSV file: a call's members that are no lists and objects, and of these what has
#: a short form.
COLUMNS: Final = (
    *("call_id", "direction", "state", "trunk", "from", "to", "method", "agent"),
    *("retell_call_id", "started_at", "answered_at", "ended_at", "duration_s", "ended_by"),
    *("cause", "sip_status", "fault", "disconnection_reason", "cost_estimate", "part_of"),
    *("carriers", "transfers", "headers", "a_sip_call_id", "b_sip_call_id"),
)


async def export_calls(request: web.Request) -> web.StreamResponse:
    """A CSV file, a line a call, newest first, as many as are on record. A text that a spreadsheet
    would take for a formula has a quote before it."""
    return await _export(request, CSV, "csv", _rows, write_rows([COLUMNS]))


async def export_calls_as_json(request: web.Request) -> web.StreamResponse:
    """A JSON object a line, each as `GET /calls/{call_id}` shows it."""
    return await _export(request, NDJSON, "ndjson", _lines)


async def _export(
    request: web.Request,
    kind: str,
    ending: str,
    written: Callable[[Sequence[Call]], str],
    head: str = "",
) -> web.StreamResponse:
    pages = _pages(request, asked(request, WhichCalls))
    first = await anext(pages)  # a store that is away is told before anything is sent
    let_wait(request, math.inf)
    disposition = f'attachment; filename="calls.{ending}"'
    response = web.StreamResponse(
        headers={"Content-Type": kind, "Content-Disposition": disposition}
    )
    await response.prepare(request)
    try:
        await _write(response, head + written(first))
        async for page in pages:
            await _write(response, written(page))
        await response.write_eof()
    except (StorageError, TimeoutError) as error:
        # no end of the file: its reader sees that it is not whole
        log.warning("calls.export-broke", error=str(error) or "its reader takes nothing")
        if request.transport is not None:
            request.transport.abort()
    return response


async def _pages(request: web.Request, wanted: WhichCalls) -> AsyncIterator[list[Call]]:
    """At least one page, which may be empty. Raises StorageError."""
    store, current = request.app[STORE], request.app[CALLS].current
    before: str | None = None
    while True:
        records = await store.page(wanted.for_storage(PAGE, before))
        if records or before is None:
            yield [shown(current(record), request) for record in records]
        if len(records) < PAGE:
            return
        before = records[-1].call_id


async def _write(response: web.StreamResponse, text: str) -> None:
    async with asyncio.timeout(WRITE_S):
        await response.write(text.encode())


def _lines(calls: Sequence[Call]) -> str:
    return "".join(f"{call.model_dump_json(by_alias=True)}\n" for call in calls)


def _rows(calls: Sequence[Call]) -> str:
    return write_rows(map(_cells, calls))


def _cells(call: Call) -> list[object]:
    told: dict[str, Any] = call.model_dump(by_alias=True)
    told["carriers"] = " ".join(dict.fromkeys(str(leg["trunk"]) for leg in call.attempts))
    told["transfers"] = " ".join(str(each["outcome"] or "runs") for each in call.transfers)
    told["headers"] = json.dumps(call.headers, ensure_ascii=False) if call.headers else ""
    return [told[name] for name in COLUMNS]


def _route(ending: str, handler: Any, summary: str, answer: str) -> Route:
    return Route(
        method="GET",
        path=f"/calls.{ending}",
        handler=handler,
        summary=summary,
        role="read",
        query=WhichCalls,
        answer=answer,
    )


ROUTES: Final = (
    _route("csv", export_calls, "Calls as a CSV file, the newest first", CSV),
    _route("ndjson", export_calls_as_json, "Calls, a JSON object a line", NDJSON),
)
