"""Retell's custom functions: what an agent asks for in mid-call, answered in words that it reads.

Where Retell sends no REFER (method 2), a transfer is such a function. Retell sends a request again
that it got no answer to, up to twice: within `AGAIN_S` the same wish is one transfer, and has one
answer.
"""

import asyncio
import hashlib
import json
from typing import Final

import structlog
from aiohttp import web

from gateway.calls.control import ControlError
from gateway.calls.transfer_words import (
    NO_TARGET,
    UNKNOWN_CALL,
    Words,
    of_refusal,
    of_verdict,
    still_trying,
)
from gateway.http.app_keys import CALLS, CONTROL, METRICS, SETTINGS
from gateway.http.door import let_wait
from gateway.http.retell_webhooks import join, refused, signed_body
from gateway.http.rules.once import Once
from gateway.retell.models import EventCall, FunctionCall, parse_function
from gateway.storage.errors import StorageError

log = structlog.get_logger("gateway.retell")

#: Seconds within which the same wish of the same call is the same one.
AGAIN_S: Final = 120.0
#: Wishes that are remembered.
MOST: Final = 10_000
#: Letters of a target that are taken.
LONGEST: Final = 255
#: Seconds for an answer beyond `retell.function_wait_s`.
_SPARE_S: Final = 15.0

WISHES: Final[web.AppKey[Once[Words]]] = web.AppKey("wishes")


async def transfer(request: web.Request) -> web.Response:
    """`POST /webhooks/retell/function/transfer` with `{"name", "call", "args": {"to": …}}`: begin
    a transfer and tell what became of it. 200 for whatever is signed: anything else is repeated."""
    body = await signed_body(request)
    function = parse_function(body)
    if function is None:
        detail = 'this is no function call: {"name", "call": {"call_id"}, "args"}; with "args only"'
        raise refused(request, 400, "not-a-function", f"{detail} nobody knows which call it is of")
    wait_s = request.app[SETTINGS].settings.retell.function_wait_s
    let_wait(request, wait_s + _SPARE_S)
    key = _key(function)
    words, again = await request.app[WISHES].run(key, lambda: _transfer(request, function, wait_s))
    request.app[METRICS].webhooks.labels("function_transfer", words.outcome).inc()
    log.info(
        "retell.function",
        function=function.name[:64],
        retell_call_id=function.call.call_id,
        outcome=words.outcome,
        again=again,
    )
    return web.json_response({"outcome": words.outcome, "message": words.message})


async def _transfer(request: web.Request, function: FunctionCall, wait_s: float) -> Words:
    to = function.args.get("to")
    if isinstance(to, int) and not isinstance(to, bool):
        to = str(to)  # an extension that a model wrote as a number
    if not isinstance(to, str) or not 0 < len(to := to.strip()) <= LONGEST:
        return NO_TARGET
    call_id = await _call_id(request, function.call)
    if call_id is None:
        return UNKNOWN_CALL
    try:
        begun = await request.app[CONTROL].transfer(
            call_id, to, by=f"function {function.name[:64]}"
        )
    except ControlError as error:
        return of_refusal(to, error)
    try:
        async with asyncio.timeout(wait_s):
            return of_verdict(to, await begun.outcome())
    except TimeoutError:
        return still_trying(to)


def _key(function: FunctionCall) -> bytes:
    """The wish, whatever else the call has become in between."""
    wish = [function.call.call_id, function.name, function.args]
    return hashlib.sha256(json.dumps(wish, sort_keys=True).encode()).digest()


async def _call_id(request: web.Request, call: EventCall) -> str | None:
    """Our id of a call that is up, also while the storage is away; None where there is none."""
    calls = request.app[CALLS]
    known = calls.of_retell(call.call_id, call.gateway_call_id())
    if known is not None:
        return known
    try:
        joined = await join(request, call)  # one that Retell placed: its INVITE named no id
    except StorageError as error:
        log.error("retell.function-not-joined", retell_call_id=call.call_id, error=str(error))
        return None
    return joined if joined is not None and calls.is_up(joined) else None
