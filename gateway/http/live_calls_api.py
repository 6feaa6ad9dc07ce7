"""What may be done to a call that is up: /api/v1/calls/{call_id}/transfer, hangup, hold, …"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import structlog
from aiohttp import web
from pydantic import Field

from gateway.calls.control import (
    ControlError,
    Leg,
    NoSoundError,
    NotLiveError,
    TransferRefusedError,
    UnsupportedError,
)
from gateway.http.app_keys import CALLS, CONTROL
from gateway.http.calls_api import call_of
from gateway.http.ports import LiveCallControl
from gateway.http.problems import ProblemError
from gateway.http.rules.audit import WANTED
from gateway.http.rules.route import Answer, Route, sent
from gateway.http.rules.shapes import Shape
from gateway.http.rules.tokens import TOKEN

log = structlog.get_logger(__name__)

_LEG: Final = "a (the caller) or b (the other side)"
#: The code of a transfer that is refused, by what a REFER would have got.
_REFUSALS: Final = {
    403: "target-forbidden",
    404: "no-such-target",
    480: "target-closed",
    482: "transfer-loop",
    491: "transfer-runs",
}


class TransferWish(Shape):
    """Whom the caller shall be handed to."""

    to: str = Field(
        min_length=1,
        max_length=255,
        description="a name of the directory, an extension or a number, up to 255 characters",
    )


class TransferBegun(Shape):
    """What becomes of it stands in the call's record, by this id."""

    transfer_id: str


class KeysWish(Shape):
    """Keys to press."""

    digits: str = Field(
        pattern=r"^[0-9*#A-Da-d]{1,32}$", description="1 to 32 of 0-9, *, # and A-D"
    )
    leg: Leg = Field("a", description=f"who hears them: {_LEG}")


class PlayWish(Shape):
    """A sound to play."""

    sound: str = Field(min_length=1, max_length=255, description="a file of media.sounds")
    leg: Leg = Field("a", description=f"who hears it: {_LEG}")


class MuteWish(Shape):
    """Whom the other one shall not hear."""

    leg: Leg = Field("a", description=f"who is not heard: {_LEG}")
    on: bool = Field(True, strict=True, description="true, or false to be heard again")


async def transfer_call(request: web.Request) -> TransferBegun:
    """Begin to hand the caller to somebody; the two talk on until that succeeds."""
    to = sent(request, TransferWish).to
    request[WANTED] = f"transfer to {to}"
    call_id, control = await _live(request)
    with _refusals():
        begun = await control.transfer(call_id, to, by=f"api {request[TOKEN].name}")
    return TransferBegun(transfer_id=begun.transfer_id)


async def hang_up_call(request: web.Request) -> None:
    """End the call, both legs."""
    call_id, control = await _live(request)
    with _refusals():
        await control.hangup(call_id)


async def hold_call(request: web.Request) -> None:
    """Put the caller on hold: the two do not hear each other."""
    call_id, control = await _live(request)
    with _refusals():
        await control.hold(call_id)


async def resume_call(request: web.Request) -> None:
    """The two hear each other again."""
    call_id, control = await _live(request)
    with _refusals():
        await control.resume(call_id)


async def press_keys(request: web.Request) -> None:
    """Send keys (DTMF) to one side."""
    wish = sent(request, KeysWish)
    # not which: they may be somebody's PIN
    request[WANTED] = f"press {len(wish.digits)} keys for leg {wish.leg}"
    call_id, control = await _live(request)
    with _refusals():
        await control.dtmf(call_id, wish.digits.upper(), wish.leg)


async def play_sound(request: web.Request) -> None:
    """Play a file to one side alone."""
    wish = sent(request, PlayWish)
    request[WANTED] = f"play {wish.sound} to leg {wish.leg}"
    call_id, control = await _live(request)
    with _refusals():
        await control.play(call_id, wish.sound, wish.leg)


async def mute_leg(request: web.Request) -> None:
    """Keep what one side says from the other."""
    wish = sent(request, MuteWish)
    request[WANTED] = f"{'mute' if wish.on else 'unmute'} leg {wish.leg}"
    call_id, control = await _live(request)
    with _refusals():
        await control.mute(call_id, wish.leg, on=wish.on)


async def _live(request: web.Request) -> tuple[str, LiveCallControl]:
    """The call that the path names, and who steers it. Raises ProblemError."""
    call_id = request.match_info["call_id"]
    if not request.app[CALLS].is_up(call_id):
        await call_of(request)  # 404 for one that never was; the storage may be away for others
        raise ProblemError(409, "not-live", f"call {call_id} is over")
    return call_id, request.app[CONTROL]


@contextmanager
def _refusals() -> Iterator[None]:
    """Tells a ControlError as a problem."""
    try:
        yield
    except TransferRefusedError as error:
        code = _REFUSALS.get(error.code, "transfer-refused")
        more = {"sip_status": error.code} | ({"may": list(error.may)} if error.may else {})
        raise ProblemError(409, code, str(error), more=more) from None
    except ControlError as error:
        status, code = _problem(error)
        raise ProblemError(status, code, str(error)) from None


def _problem(error: ControlError) -> tuple[int, str]:
    match error:
        case NotLiveError():
            return 409, "not-live"
        case NoSoundError():
            return 404, "no-such-sound"
        case UnsupportedError():
            return 501, "unsupported"
        case _:
            return 409, "wrong-state"


_PROBLEMS: Final = {404: "no-such-call", 409: "not-live, wrong-state", 501: "unsupported"}


def _route(
    what: str,
    handler: Callable[[web.Request], Awaitable[Answer]],
    summary: str,
    body: type[Shape] | None = None,
    answer: type[Shape] | None = None,
    refusals: Mapping[int, str] = _PROBLEMS,
) -> Route:
    return Route(
        method="POST",
        path=f"/calls/{{call_id}}/{what}",
        handler=handler,
        summary=summary,
        role="operate",
        body=body,
        answer=answer,
        status=202,
        refusals=refusals,
    )


ROUTES: Final = (
    _route(
        "transfer",
        transfer_call,
        "Hand the caller to somebody",
        TransferWish,
        TransferBegun,
        {**_PROBLEMS, 409: ", ".join(("not-live", "wrong-state", *_REFUSALS.values()))},
    ),
    _route("hangup", hang_up_call, "End a call"),
    _route("hold", hold_call, "Put the caller on hold"),
    _route("resume", resume_call, "Take the caller off hold"),
    _route("dtmf", press_keys, "Send keys to one side", KeysWish),
    _route(
        "play",
        play_sound,
        "Play a file to one side",
        PlayWish,
        refusals={**_PROBLEMS, 404: "no-such-call, no-such-sound"},
    ),
    _route("mute", mute_leg, "Keep what one side says from the other", MuteWish),
)
