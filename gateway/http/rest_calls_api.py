"""Calls as jambonz's REST API asks for them: /api/v1/Accounts/{account}/Calls, on the same queue.

Our own application is asked what to do with them. What a call of jambonz's may have and one of the
queue has not is refused in words, so that nobody takes it for done.
"""

from collections.abc import Iterator
from typing import Any, ClassVar, Final, Literal

from aiohttp import web
from pydantic import ConfigDict, Field, ValidationError

from config.settings import Settings
from gateway.http.app_keys import SETTINGS
from gateway.http.problems import ProblemError
from gateway.http.queue_api import WISH_REFUSALS, queue_of, queue_one, queued_of
from gateway.http.rules.audit import WANTED
from gateway.http.rules.route import Route, sent
from gateway.http.rules.shapes import Shape, words_of
from gateway.http.wishes import CallWish, wish_of
from gateway.storage.queued_call import OVER, QueuedCall, QueueState, Result, Try

#: What names the application within this gateway, as `application.url` does.
BUILTIN: Final = "builtin"
#: Members of jambonz's that are refused, and what there is in their place.
_INSTEAD: Final = {
    "headers": "the person's leg has the trunk's headers (trunks[].headers); X- headers for the"
    " agent are `headers` of POST /api/v1/calls",
    "callerName": "the display name is the trunk's (trunks[].caller_id)",
    "fromHost": "the host in From is the trunk's (trunks[].caller_id)",
    "call_status_hook": "events go to `callback` of POST /api/v1/calls, or to"
    " outbound.callbacks.url",
    "app_json": "the gateway's own application says what is done",
}


class RestCallWish(Shape):
    """A call to a person, in jambonz's shape."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="allow", frozen=True, validate_by_name=True
    )

    from_: str = Field(
        alias="from", min_length=1, max_length=255, description="our number that the person sees"
    )
    to: dict[str, Any] = Field(description='{"type": "phone", "number": …}, and trunk if need be')
    application_sid: str | None = Field(None, description=f"{BUILTIN}, or nothing")
    call_hook: str | dict[str, Any] | None = Field(
        None, description="the gateway's own application (application.url), or nothing"
    )
    tag: dict[str, Any] | None = Field(None, description="an object that comes back")
    timeout: float | None = Field(None, ge=5, le=300, description="seconds to ring, 5 to 300")
    timeLimit: float | None = Field(  # noqa: N815 - jambonz's name
        None, ge=10, le=86_400, description="seconds of the call, from 10 to a day"
    )
    amd: dict[str, Any] | None = Field(
        None, description="{}: machines are told from people, and hung up"
    )


class RestCallMade(Shape):
    """Where the call is found."""

    sid: str = Field(description="its queued_id too")
    callId: str = Field(description="the same; SIP's is not chosen yet")  # noqa: N815


class RestCall(Shape):
    """A call in jambonz's words."""

    call_sid: str
    account_sid: str
    direction: Literal["outbound"]
    from_: str = Field(alias="from", serialization_alias="from")
    to: str
    call_status: str = Field(description="queued, trying, ringing, in-progress, completed, …")
    sip_status: int | None
    duration: int | None = Field(description="seconds")


class RestCallUpdate(Shape):
    """What shall become of a call."""

    call_status: Literal["completed", "no-answer"] = Field(
        description="completed (it is answered) or no-answer (it is not yet)"
    )


async def place_rest_call(request: web.Request) -> RestCallMade:
    """Have one person called, in jambonz's shape: POST Accounts/{sid}/Calls."""
    wish, settings = sent(request, RestCallWish), request.app[SETTINGS].settings
    refused = list(dict.fromkeys(_refusals(wish, settings)))
    if refused:
        raise ProblemError(422, "unsupported", "; ".join(refused))
    request[WANTED] = f"call {wish.to['number']}"
    call = await queue_one(request, wish_of(_same(wish), settings))
    return RestCallMade(sid=call.queued_id, callId=call.queued_id)


def _same(wish: RestCallWish) -> CallWish:
    """The call in our own shape. Raises ProblemError."""
    same = {
        "to": wish.to["number"],
        "from": wish.from_,
        "trunk": wish.to.get("trunk"),
        "tag": wish.tag or {},
        "ring_timeout_s": wish.timeout,
        "time_limit_s": wish.timeLimit,
        "amd": wish.amd,
    }
    try:
        return CallWish.model_validate(same)
    except ValidationError as error:
        raise ProblemError(400, "bad-body", words_of(error, CallWish, "member")) from None


def _refusals(wish: RestCallWish, settings: Settings) -> Iterator[str]:
    """Why the call cannot be as it is wanted."""
    to = wish.to
    if to.get("type") != "phone" or not isinstance(to.get("number"), str) or not to["number"]:
        yield 'to must be {"type": "phone", "number": …}: the queue calls telephone numbers only'
    if not isinstance(to.get("trunk"), str | None):
        yield "to.trunk must be the name of a trunk"
    for name in to.keys() - {"type", "number", "trunk"}:
        yield f"to.{str(name)[:64]} is not taken here: each trunk says how it is dialled (trunks)"
    for name in wish.model_extra or ():
        why = _INSTEAD.get(name, "the queue has nothing like it")
        yield f"{name[:64]} is not taken here: {why}"
    ours = {BUILTIN, settings.application.url}
    hook = wish.call_hook.get("url") if isinstance(wish.call_hook, dict) else wish.call_hook
    if hook is not None and hook not in ours:
        yield f"call_hook is not taken here: {_INSTEAD['app_json']} (application.url)"
    if wish.application_sid not in (None, BUILTIN):
        yield f"application_sid is not taken here: {_INSTEAD['app_json']}"
    if wish.amd:
        yield (
            f"amd has {', '.join(sorted(wish.amd))[:200]}: here it is {{}}, and the verdict comes"
            " as an event; POST /api/v1/calls says what becomes of machines"
        )


async def get_rest_call(request: web.Request) -> RestCall:
    """One call, in jambonz's words."""
    call, tries = await queued_of(request, "sid")
    last = tries[-1] if tries else None
    talked = None if last is None else last.duration_s
    return RestCall(
        **{"from": call.wanted.from_number},
        call_sid=call.queued_id,
        account_sid=request.match_info["account"],
        direction="outbound",
        to=call.wanted.to_number,
        call_status=status_of(call, last),
        sip_status=None if last is None else last.sip_status,
        duration=None if talked is None else round(talked),
    )


async def update_rest_call(request: web.Request) -> None:
    """End a call: `completed` where it is answered, `no-answer` where it is not yet."""
    status = sent(request, RestCallUpdate).call_status
    call, tries = await queued_of(request, "sid")
    request[WANTED] = f"{status} for the call to {call.wanted.to_number}"
    answered = (
        bool(tries) and call.state == QueueState.CALLING and tries[-1].answered_ms is not None
    )
    if call.state in OVER or answered is not (status == "completed"):
        words = f"the call is {status_of(call, tries[-1] if tries else None)}"
        raise ProblemError(422, "wrong-state", words)
    await queue_of(request).cancel(call.queued_id)


async def update_rest_call_by_post(request: web.Request) -> None:
    """The same as by PUT."""
    await update_rest_call(request)


def status_of(call: QueuedCall, last: Try | None) -> str:
    """How far a call is, in jambonz's words."""
    if call.state == QueueState.WAITING:
        return "queued"
    if call.state == QueueState.CALLING:
        if last is None or (last.ringing_ms is None and last.answered_ms is None):
            return "trying"
        return "ringing" if last.answered_ms is None else "in-progress"
    match call.result:
        case Result.BUSY:
            return "busy"
        case Result.NO_ANSWER | Result.CANCELLED | Result.EXPIRED:
            return "no-answer"
        case Result.ANSWERED | Result.MACHINE | Result.MESSAGE_LEFT | Result.FAX | Result.SILENCE:
            return "completed"
    return "no-answer" if call.state == QueueState.CANCELLED else "failed"


_PATH: Final = "/Accounts/{account}/Calls"
_UPDATE: Final[dict[str, Any]] = {
    "path": f"{_PATH}/{{sid}}",
    "role": "operate",
    "body": RestCallUpdate,
    "answer": None,
    "status": 202,
    "refusals": {404: "no-such-call", 409: "no-queue", 422: "wrong-state"},
}

ROUTES: Final = (
    Route(
        method="POST",
        path=_PATH,
        handler=place_rest_call,
        summary="Have one person called, in jambonz's shape",
        role="operate",
        body=RestCallWish,
        answer=RestCallMade,
        status=201,
        refusals={**WISH_REFUSALS, 422: f"{WISH_REFUSALS[422]}, unsupported"},
    ),
    Route(
        method="GET",
        path=f"{_PATH}/{{sid}}",
        handler=get_rest_call,
        summary="One call, in jambonz's words",
        role="read",
        answer=RestCall,
        refusals={404: "no-such-call", 409: "no-queue"},
    ),
    Route(method="PUT", handler=update_rest_call, summary="End a call", **_UPDATE),
    Route(method="POST", handler=update_rest_call_by_post, summary="End a call", **_UPDATE),
)
