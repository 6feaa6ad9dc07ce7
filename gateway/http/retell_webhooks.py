"""Retell's webhooks: signed, answered at once, joined to the call's record."""

import re
import time
from typing import Final

import structlog
from aiohttp import web

from gateway.calls.numbers import e164
from gateway.http.app_keys import METRICS, SETTINGS, STORE
from gateway.http.bodies import BODIES
from gateway.http.clients import CLIENTS, PROVEN
from gateway.http.problems import ProblemError
from gateway.retell.models import parse_event, parse_inbound

log = structlog.get_logger("gateway.retell")

#: Seconds that a signature's time may be off ours (docs.retellai.com: secure webhooks).
WINDOW_S: Final = 300.0
UNSIGNED: Final = "X-Retell-Signature is missing, of another key, or not of the last five minutes"
_SIGNATURE = re.compile(r"v=([0-9]{1,15}),d=[0-9a-f]{64}")

_KNOWN = frozenset(
    {
        "call_started",
        "call_ended",
        "call_analyzed",
        "transcript_updated",
        "transfer_started",
        "transfer_bridged",
        "transfer_cancelled",
        "transfer_ended",
    }
)


async def events(request: web.Request) -> web.Response:
    """`POST /webhooks/retell/events`. 204 for whatever is signed: Retell repeats anything else."""
    event = parse_event(await _signed_body(request))
    if event is None:
        raise _refused(request, 400, "not-an-event", "this is no event of Retell's")
    name = event.event if event.event in _KNOWN else "other"
    call_id = None
    if event.call is not None:
        call_id = await request.app[STORE].note_retell(
            call_id=event.call.gateway_call_id(),
            retell_call_id=event.call.call_id,
            disconnection_reason=event.call.disconnection_reason,
        )
    request.app[METRICS].webhooks.labels(name, "joined" if call_id else "unknown-call").inc()
    log.info(
        "retell.event",
        event_name=event.event[:64],
        call_id=call_id,
        retell_call_id=event.call.call_id if event.call else None,
        disconnection_reason=event.call.disconnection_reason if event.call else None,
    )
    return web.Response(status=204)


async def inbound(request: web.Request) -> web.Response:
    """`POST /webhooks/retell/inbound`, method 1: the agent and variables that `numbers` gives the
    dialled number, and our call id as metadata. Without an entry, Retell's own settings stand."""
    call = parse_inbound(await _signed_body(request))
    if call is None:
        raise _refused(request, 400, "not-an-event", "this is no inbound call of Retell's")
    settings = request.app[SETTINGS].settings
    entry = settings.number(e164(call.to_number, settings.outbound.default_country) or "")
    answer: dict[str, object] = {}
    if entry is not None and entry.agent is not None:
        answer["override_agent_id"] = entry.agent
    if entry is not None and entry.variables:
        answer["dynamic_variables"] = entry.variables
    call_id = call.gateway_call_id()
    if call_id is not None:
        answer["metadata"] = {"gateway_call_id": call_id}
        if call.call_id is not None:
            await request.app[STORE].note_retell(
                call_id=call_id, retell_call_id=call.call_id, disconnection_reason=None
            )
    request.app[METRICS].webhooks.labels("call_inbound", "joined" if call_id else "unknown").inc()
    log.info("retell.inbound", call_id=call_id, retell_call_id=call.call_id, to=call.to_number)
    return web.json_response({"call_inbound": answer})


def signed(body: str, api_key: str, signature: str) -> bool:
    """Whether Retell signed exactly this text within the last five minutes."""
    from retell.lib import verify  # read with the SDK, at the start, where there is a key

    return bool(verify(body, api_key, signature))  # type: ignore[no-untyped-call]


async def _signed_body(request: web.Request) -> str:
    """The raw text, which is what was signed: its JSON written anew would not be.

    What nobody can have signed is refused before its body is read. Raises ProblemError.
    """
    key = request.app[SETTINGS].settings.retell.api_key
    if key is None:
        raise _refused(request, 503, "no-api-key", "retell.api_key is not set")
    client = request.app[CLIENTS].address(request)
    signature = request.headers.get("X-Retell-Signature", "")
    if not _may_be_signed(signature, time.time()):
        raise _refused(request, 401, "bad-signature", UNSIGNED)
    raw = await request.app[BODIES].read(request, client)
    try:
        body = raw.decode()
    except UnicodeDecodeError:
        raise _refused(request, 400, "not-text", "the body is no UTF-8") from None
    if not signed(body, key.get_secret_value(), signature):
        raise _refused(request, 401, "bad-signature", UNSIGNED)
    request[PROVEN] = True
    return body


def _may_be_signed(signature: str, now: float) -> bool:
    """Whether this has the form and the time of a signature: what it takes to read a body."""
    match = _SIGNATURE.fullmatch(signature)
    return match is not None and abs(now - int(match[1]) / 1000) <= WINDOW_S


def _refused(request: web.Request, status: int, outcome: str, detail: str) -> ProblemError:
    """Counted and logged: Retell did not sign it, or we do not know its event."""
    peer = request.app[CLIENTS].address(request)
    request.app[METRICS].webhooks.labels("none", outcome).inc()
    log.warning("retell.webhook-refused", outcome=outcome, peer=peer)
    return ProblemError(status, outcome, detail)
