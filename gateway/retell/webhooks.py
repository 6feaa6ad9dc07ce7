"""Retell's event webhooks: signed, answered at once, joined to the call's record."""

import structlog
from aiohttp import web
from retell.lib import verify

from gateway.keys import METRICS, SETTINGS, STORE
from gateway.retell.models import parse_event

log = structlog.get_logger("gateway.retell")

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
    try:
        body = (await request.read()).decode()
    except UnicodeDecodeError:
        return _refused(request, 400, "not-text")
    key = request.app[SETTINGS].retell.api_key
    if key is None:
        return _refused(request, 503, "no-api-key")
    signature = request.headers.get("X-Retell-Signature", "")
    # The raw text: its JSON written anew would not be what was signed.
    if not signed(body, key.get_secret_value(), signature):
        return _refused(request, 401, "bad-signature")
    event = parse_event(body)
    if event is None:
        return _refused(request, 400, "not-an-event")
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


def signed(body: str, api_key: str, signature: str) -> bool:
    """Whether Retell signed exactly this text within the last five minutes."""
    return bool(verify(body, api_key, signature))  # type: ignore[no-untyped-call]


def _refused(request: web.Request, status: int, outcome: str) -> web.Response:
    request.app[METRICS].webhooks.labels("none", outcome).inc()
    log.warning("retell.webhook-refused", outcome=outcome, peer=request.remote)
    return web.Response(status=status)
