"""Twilio's webhooks: signed, answered with a document, and harmless however often they come."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Final, TypeAlias

import structlog
from aiohttp import web

from config.settings import Settings
from config.twilio_settings import TwilioAccountSettings, TwilioSettings
from gateway.calls.endings import Role
from gateway.http.app_keys import METRICS, SETTINGS
from gateway.http.bodies import BODIES
from gateway.http.clients import CLIENTS, PROVEN
from gateway.http.problems import ProblemError
from gateway.http.signatures import one_of
from gateway.twilio import signature
from gateway.twilio.answers import PATH
from gateway.twilio.course import ROLES
from gateway.twilio.requests import Asked, Told, asked_of, told_of
from gateway.twilio.signature import Received, Refused, Secrets
from gateway.twilio.voice_calls import VoiceCalls

log = structlog.get_logger("gateway.twilio")

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

VOICE_CALLS: Final = web.AppKey("voice_calls", VoiceCalls)
_NOT_A_CALL: Final = Refused("not-a-call", "the request names no CallSid", 400)
_NO_TWILIO: Final = Refused("no-twilio", "the configuration has no twilio: section", 404)


async def voice(request: web.Request) -> web.Response:
    """`/webhooks/twilio/voice/NUMBER_OR_AGENT`: what is to be done with this call?"""
    settings, twilio = _in_force(request)
    asked = await asked_by(request, part(request, "dialled"))
    document = await request.app[VOICE_CALLS].answer(settings, twilio, asked)
    return answered(request, "voice", document)


async def leg(request: web.Request) -> web.Response:
    """A leg that we had Twilio dial has changed."""
    _, twilio = _in_force(request)
    told = await told_by(request)
    call_id, role = part(request, "call_id"), _role(request)
    await request.app[VOICE_CALLS].leg_told(twilio, call_id, role, told)
    return heard(request, "leg")


async def dialled(request: web.Request) -> web.Response:
    """The dialled leg is over: what is to be done next?"""
    settings, twilio = _in_force(request)
    told = await told_by(request)
    call_id, role = part(request, "call_id"), _role(request)
    document = await request.app[VOICE_CALLS].dial_over(settings, twilio, call_id, role, told)
    return answered(request, "dialled", document)


async def connected(request: web.Request) -> web.Response:
    """Our SIP side, or a stream, has let go of the call: it has the record."""
    settings, twilio = _in_force(request)
    document = request.app[VOICE_CALLS].let_go(settings, twilio, await told_by(request))
    return answered(request, "connected", document)


async def status(request: web.Request) -> web.Response:
    """A call has changed."""
    _in_force(request)
    await request.app[VOICE_CALLS].call_told(await told_by(request))
    return heard(request, "status")


async def amd(request: web.Request) -> web.Response:
    """Twilio has found out who answered."""
    settings, twilio = _in_force(request)
    told = await told_by(request)
    await request.app[VOICE_CALLS].machine_told(settings, twilio, told)
    return heard(request, "amd")


def routes() -> list[web.RouteDef]:
    """Every webhook; Twilio is told its method by whoever sets a number up."""
    paths = {
        "/voice": voice,
        "/voice/{dialled}": voice,
        "/leg/{call_id}/{role}": leg,
        "/dialled/{call_id}/{role}": dialled,
        "/connected/{call_sid}": connected,
        "/status": status,
        "/amd": amd,
    }
    return both_ways(paths)


def both_ways(paths: Mapping[str, Handler]) -> list[web.RouteDef]:
    """Routes below our path, for GET and for POST."""
    return [
        web.route(method, PATH + path, handler)
        for path, handler in paths.items()
        for method in ("GET", "POST")
    ]


def is_signed(request: web.Request) -> bool:
    """Whether Twilio asks for a socket: such a request has neither body nor parameters."""
    settings = request.app[SETTINGS].settings
    if settings.twilio is None or settings.http.public_url is None:
        return False
    found = signature.check(settings.http.public_url, _head(request), secrets_of(settings.twilio))
    if isinstance(found, Refused):
        request.app[METRICS].twilio_asked("none", found.outcome)
        return False
    request[PROVEN] = True
    return True


def secrets_of(twilio: TwilioSettings) -> Secrets:
    """What Twilio's requests may be signed with."""
    return Secrets(
        tokens={one.account_sid: _tokens(one) for one in twilio.accounts()},
        shared={one.id: one.secret.get_secret_value() for one in twilio.shared_keys},
    )


async def believed(request: web.Request) -> dict[str, str]:
    """The parameters of a request that Twilio has signed. Raises ProblemError."""
    settings, twilio = _in_force(request)
    head = _head(request)
    early = signature.before_body(head)
    if early is not None:
        raise refused(request, early)
    body = await request.app[BODIES].read(request, request.app[CLIENTS].address(request))
    received = replace(head, body=body)
    found = signature.check(settings.http.public_url or "", received, secrets_of(twilio))
    if isinstance(found, Refused):
        raise refused(request, found)
    request[PROVEN] = True
    return dict(found.params)


def _tokens(account: TwilioAccountSettings) -> tuple[str, ...]:
    both = (account.auth_token, account.next_auth_token)
    return tuple(one.get_secret_value() for one in both if one is not None)


def _head(request: web.Request) -> Received:
    """What is known before the body is read."""
    return Received(
        target=request.raw_path,
        signature=one_of(request.headers, signature.HEADER),
        settings=request.headers.get(signature.SETTINGS_HEADER, ""),
        content_type=request.headers.get("Content-Type", ""),
        socket=request.headers.get("Upgrade", "").lower() == "websocket",
    )


def refused(request: web.Request, why: Refused) -> ProblemError:
    """Counted and logged: Twilio did not sign it, or it is about nothing that we know."""
    request.app[METRICS].twilio_asked("none", why.outcome)
    peer = request.app[CLIENTS].address(request)
    log.warning("twilio.webhook-refused", outcome=why.outcome, peer=peer, reason=why.detail)
    return ProblemError(why.status, why.outcome, why.detail)


def _in_force(request: web.Request) -> tuple[Settings, TwilioSettings]:
    settings = request.app[SETTINGS].settings
    if settings.twilio is None:
        raise refused(request, _NO_TWILIO)
    return settings, settings.twilio


async def asked_by(request: web.Request, dialled: str) -> Asked:
    """A signed voice webhook, whose URL names that. Raises ProblemError."""
    asked = asked_of(await believed(request), dialled)
    if asked is None:
        raise refused(request, _NOT_A_CALL)
    return asked


async def told_by(request: web.Request) -> Told:
    """A signed callback. Raises ProblemError."""
    told = told_of(await believed(request))
    if told is None:
        raise refused(request, _NOT_A_CALL)
    return told


def part(request: web.Request, name: str) -> str:
    return request.match_info.get(name, "")


def _role(request: web.Request) -> Role:
    found = next((role for role in ROLES if role.value == part(request, "role")), None)
    if found is None:
        raise web.HTTPNotFound
    return found


def answered(request: web.Request, name: str, document: str) -> web.Response:
    """A document, counted under that name."""
    request.app[METRICS].twilio_asked(name, "ok")
    return web.Response(text=document, content_type="text/xml")


def heard(request: web.Request, name: str) -> web.Response:
    """What was told is taken, and counted under that name."""
    request.app[METRICS].twilio_asked(name, "ok")
    return web.Response(status=204)
