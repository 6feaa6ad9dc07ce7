"""Retell's webhooks: signed, answered at once, joined to the call's record."""

import time
from typing import Final

import structlog
from aiohttp import web

from config.settings import OutboundSettings
from gateway.calls.numbers import e164
from gateway.http import signatures
from gateway.http.app_keys import CALLS, METRICS, SETTINGS, STORE
from gateway.http.bodies import BODIES
from gateway.http.clients import CLIENTS, PROVEN
from gateway.http.problems import ProblemError
from gateway.retell.models import EventCall, parse_event, parse_inbound
from gateway.storage.call_records import Placed

log = structlog.get_logger("gateway.retell")

#: No column takes a later moment than this, in milliseconds since 1970.
MAX_MS: Final = 10**15

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
    call_id = None if event.call is None else await _join(request, event.call)
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
            record = await request.app[STORE].note_retell(
                call_id=call_id, retell_call_id=call.call_id, disconnection_reason=None
            )
            request.app[CALLS].joined(record)
    request.app[METRICS].webhooks.labels("call_inbound", "joined" if call_id else "unknown").inc()
    log.info("retell.inbound", call_id=call_id, retell_call_id=call.call_id, to=call.to_number)
    return web.json_response({"call_inbound": answer})


async def _join(request: web.Request, call: EventCall) -> str | None:
    """Put what Retell says into the call's record; our id of it."""
    record = await request.app[STORE].note_retell(
        call_id=call.gateway_call_id(),
        retell_call_id=call.call_id,
        disconnection_reason=call.disconnection_reason,
        placed=_placed(request.app[SETTINGS].settings.outbound, call),
    )
    request.app[CALLS].joined(record)
    return None if record is None else record.call_id


def _placed(outbound: OutboundSettings, call: EventCall) -> Placed | None:
    """What there is to find a call by that Retell placed through us: its INVITE names no id of
    Retell's. Where the caller's number is ours to choose, the record has that one."""
    if call.direction != "outbound" or call.to_number is None or call.from_number is None:
        return None
    country, began = outbound.default_country, call.start_timestamp or 0
    return Placed(
        to_number=e164(call.to_number, country) or call.to_number,
        from_number=None
        if outbound.caller_id
        else e164(call.from_number, country) or call.from_number,
        at_ms=began if 0 < began < MAX_MS else round(time.time() * 1000),
    )


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
    why = signatures.before_body(signature, time.time())
    if why is not None:
        raise _refused(request, 401, why.outcome, why.detail)
    raw = await request.app[BODIES].read(request, client)
    try:
        body = raw.decode()
    except UnicodeDecodeError:
        raise _refused(request, 400, "not-text", "the body is no UTF-8") from None
    if not signed(body, key.get_secret_value(), signature):
        raise _refused(request, 401, signatures.WRONG_KEY.outcome, signatures.WRONG_KEY.detail)
    request[PROVEN] = True
    return body


def _refused(request: web.Request, status: int, outcome: str, detail: str) -> ProblemError:
    """Counted and logged: Retell did not sign it, or we do not know its event."""
    peer = request.app[CLIENTS].address(request)
    request.app[METRICS].webhooks.labels("none", outcome).inc()
    log.warning("retell.webhook-refused", outcome=outcome, peer=peer, reason=detail)
    return ProblemError(status, outcome, detail)
