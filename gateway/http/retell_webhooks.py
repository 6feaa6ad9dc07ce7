"""Retell's webhooks: signed, answered at once, joined to the call's record."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final

import orjson
import structlog
from aiohttp import web

from gateway.calls.metrics import Metrics
from gateway.calls.numbers import e164
from gateway.http import signatures
from gateway.http.app_keys import CALLS, DECISIONS, EVENTS, METRICS, SETTINGS, STORE
from gateway.http.bodies import BODIES
from gateway.http.clients import CLIENTS, PROVEN
from gateway.http.problems import ProblemError
from gateway.http.rules.once import Once
from gateway.retell.models import EventCall, InboundCall, parse_event, parse_inbound
from gateway.storage.errors import StorageError
from gateway.storage.retell_joins import Told, note_retell
from gateway.webhooks.identity import KNOWN, event_id_of
from gateway.webhooks.placed import placed

log = structlog.get_logger("gateway.retell")

#: The workspace whose key signed a request.
WORKSPACE: Final = web.RequestKey("workspace", str)
#: Seconds within which the same question is the same one; Retell asks for 40 s at most.
AGAIN_S: Final = 120.0
#: Questions that are remembered.
MOST: Final = 10_000
#: Seconds that the join to a call's record may take while its caller waits.
JOIN_S: Final = 1.0
#: Answers by Retell's id of the call.
QUESTIONS: Final[web.AppKey[Once[Mapping[str, Any]]]] = web.AppKey("questions")


async def events(request: web.Request) -> web.Response:
    """`POST /webhooks/retell/events`. 204 for whatever is signed, as soon as it is stored: Retell
    repeats anything else. What it changes is done behind the answer. Raises StorageError."""
    body = await signed_body(request)
    event = parse_event(body)
    if event is None:
        raise refused(request, 400, "not-an-event", "this is no event of Retell's")
    event_id = event_id_of(body, orjson.loads(body))
    new = await request.app[EVENTS].keep(
        event_id,
        event=event.event,
        retell_call_id=event.call.call_id if event.call else None,
        workspace=request[WORKSPACE],
        body=body,
    )
    if not new:
        count_event(request.app[METRICS], event.event, "again")
        log.info("retell.event-again", event_id=event_id, event_name=event.event[:64])
    return web.Response(status=204)


def count_event(metrics: Metrics, event: str, outcome: str) -> None:
    """What came of an event: of a kind that we do not know as `other`."""
    metrics.webhooks.labels(event if event in KNOWN else "other", outcome).inc()


async def inbound(request: web.Request) -> web.Response:
    """`POST /webhooks/retell/inbound`, method 1: how the call is to be answered, and our call id as
    metadata. A question that comes again has the same answer."""
    call = parse_inbound(await signed_body(request))
    if call is None:
        raise refused(request, 400, "not-an-event", "this is no inbound call of Retell's")
    if call.call_id is None:
        answer = await _answered(request, call)
    else:
        answer, again = await request.app[QUESTIONS].run(
            call.call_id, lambda: _answered(request, call)
        )
        if again:
            request.app[METRICS].webhooks.labels("call_inbound", "again").inc()
    return web.json_response({"call_inbound": answer})


async def _answered(request: web.Request, call: InboundCall) -> Mapping[str, Any]:
    settings = request.app[SETTINGS].settings
    entry = settings.number(e164(call.to_number, settings.outbound.default_country) or "")
    call_id, workspace = call.gateway_call_id(), request[WORKSPACE]
    decision = await request.app[DECISIONS].decide(call, entry, call_id, workspace)
    answer = decision.answer.told()
    if call_id is not None and not decision.answer.reject:
        answer["metadata"] = {**answer.get("metadata", {}), "gateway_call_id": call_id}
    if call_id is not None and call.call_id is not None:
        await _join_in_time(request, call_id, call.call_id)
    outcome = "rejected" if decision.answer.reject else decision.by
    request.app[METRICS].webhooks.labels("call_inbound", outcome).inc()
    log.info(
        "retell.inbound",
        call_id=call_id,
        retell_call_id=call.call_id,
        to=call.to_number,
        by=decision.by,
        rejected=decision.answer.reject is True,
        workspace=workspace,
    )
    return answer


async def _join_in_time(request: web.Request, call_id: str, retell_call_id: str) -> None:
    """Note Retell's id in the call's record; a store that is away keeps no caller waiting."""
    try:
        async with asyncio.timeout(JOIN_S):
            told = Told(call_id=call_id, retell_call_id=retell_call_id)
            request.app[CALLS].joined(await note_retell(request.app[STORE], told))
    except (StorageError, TimeoutError) as error:
        log.error("retell.inbound-not-joined", call_id=call_id, error=str(error) or "too slow")


async def join(request: web.Request, call: EventCall) -> str | None:
    """Put what Retell says into the call's record; our id of it. Raises StorageError."""
    told = Told(
        call_id=call.gateway_call_id(),
        retell_call_id=call.call_id,
        disconnection_reason=call.disconnection_reason,
        placed=placed(request.app[SETTINGS].settings.outbound, call, time.time),
    )
    record = await note_retell(request.app[STORE], told)
    request.app[CALLS].joined(record)
    return None if record is None else record.call_id


async def signed_body(request: web.Request) -> str:
    """The raw text, which is what was signed: its JSON written anew would not be. Whose key it was
    stands in `request[WORKSPACE]`.

    What nobody can have signed is refused before its body is read. Raises ProblemError.
    """
    workspaces = request.app[SETTINGS].settings.retell.every_workspace()
    keys = [(one.name, one.api_key) for one in workspaces if one.api_key is not None]
    if not keys:
        raise refused(request, 503, "no-api-key", "retell.api_key is not set")
    client = request.app[CLIENTS].address(request)
    signature = signatures.one_of(request.headers, "X-Retell-Signature")
    why = signatures.before_body(signature, time.time())
    if why is not None:
        raise refused(request, 401, why.outcome, why.detail)
    raw = await request.app[BODIES].read(request, client)
    try:
        body = raw.decode()
    except UnicodeDecodeError:
        raise refused(request, 400, "not-text", "the body is no UTF-8") from None
    whose = (
        name for name, key in keys if signatures.signed(raw, key.get_secret_value(), signature)
    )
    workspace = next(whose, None)
    if workspace is None:
        raise refused(request, 401, signatures.WRONG_KEY.outcome, signatures.WRONG_KEY.detail)
    request[PROVEN] = True
    request[WORKSPACE] = workspace
    return body


def refused(request: web.Request, status: int, outcome: str, detail: str) -> ProblemError:
    """Counted and logged: Retell did not sign it, or we do not know its event."""
    peer = request.app[CLIENTS].address(request)
    request.app[METRICS].webhooks.labels("none", outcome).inc()
    log.warning("retell.webhook-refused", outcome=outcome, peer=peer, reason=detail)
    return ProblemError(status, outcome, detail)
