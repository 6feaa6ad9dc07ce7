"""The webhooks of calls that we have Twilio place: each names the call in its path."""

from typing import Final

from aiohttp import web

from gateway.http.twilio_webhooks import answered, asked_by, both_ways, heard, part, told_by
from gateway.twilio.placed_calls import PlacedCalls

PLACED_CALLS: Final = web.AppKey("placed_calls", PlacedCalls)


async def voice(request: web.Request) -> web.Response:
    """The person's side has answered: what is to be done?"""
    asked = await asked_by(request, "")
    document = await _calls(request).voice(part(request, "call_id"), asked)
    return answered(request, "placed-voice", document)


async def status(request: web.Request) -> web.Response:
    """The person's leg has changed."""
    told = await told_by(request)
    await _calls(request).status(part(request, "call_id"), told)
    return heard(request, "placed-status")


async def amd(request: web.Request) -> web.Response:
    """Twilio has found out who answered."""
    told = await told_by(request)
    await _calls(request).machine_told(part(request, "call_id"), told)
    return heard(request, "placed-amd")


async def leg(request: web.Request) -> web.Response:
    """The agent's leg has changed."""
    told = await told_by(request)
    await _calls(request).leg(part(request, "call_id"), told)
    return heard(request, "placed-leg")


async def dialled(request: web.Request) -> web.Response:
    """The agent's leg is over."""
    told = await told_by(request)
    document = await _calls(request).dialled(part(request, "call_id"), told)
    return answered(request, "placed-dialled", document)


async def connected(request: web.Request) -> web.Response:
    """Our SIP side, or a stream, has let go of the call."""
    await told_by(request)
    document = await _calls(request).connected(part(request, "call_id"))
    return answered(request, "placed-connected", document)


async def said(request: web.Request) -> web.Response:
    """A machine has the message."""
    await told_by(request)
    document = await _calls(request).said(part(request, "call_id"))
    return answered(request, "placed-said", document)


def routes() -> list[web.RouteDef]:
    """Twilio is told of them with each call."""
    handlers = (voice, status, amd, leg, dialled, connected, said)
    return both_ways({f"/placed/{{call_id}}/{one.__name__}": one for one in handlers})


def _calls(request: web.Request) -> PlacedCalls:
    return request.app[PLACED_CALLS]
