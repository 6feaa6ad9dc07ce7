"""Commands about one leg: they are done at once, beside the verbs.

`callSid` of a command names the leg; without it, it is the call's first.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeAlias

import structlog

from sip.core.value import frozen
from sip.media.plane import MediaError
from sip.softswitch.jambonz.application import Application
from sip.softswitch.jambonz.runner import Runner
from sip.softswitch.jambonz.session import Json, Session
from sip.softswitch.jambonz.verbs import dtmf, request
from sip.softswitch.jambonz.verbs.play import VERB as PLAY
from sip.softswitch.jambonz.verbs.play import Play
from sip.softswitch.jambonz.verbs.schema import Shape, VerbError, text

log = structlog.get_logger(__name__)

#: What a command has done with the leg that a session is about. Raises MediaError.
Action: TypeAlias = Callable[[Session], Coroutine[Any, Any, object]]


@frozen(kw_only=True)
class Mute:
    """Whether the leg's peer is kept from being heard."""

    muted: bool

    async def run(self, session: Session) -> None:
        await session.call.muting.set(session.leg, muted=self.muted)


@frozen(kw_only=True)
class Whisper:
    """What the leg's peer hears, and nobody else, in the stead of what its other side says."""

    plays: tuple[Play, ...]

    async def run(self, session: Session) -> None:
        for play in self.plays:
            await play.run(session)


class Commands:
    """Those of one call."""

    def __init__(self, application: Application, make_runner: Callable[[str], Runner]) -> None:
        """`make_runner(leg)` makes a session that is about the leg of that name."""
        self._application = application
        self._make_runner = make_runner
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self, name: str, data: object, command: Json) -> None:
        """Begin what a command of `COMMANDS` wants. Raises VerbError."""
        action = COMMANDS[name](name, data)
        leg = self._leg(name, command.get("callSid"))
        task = asyncio.get_running_loop().create_task(self._do(action, leg, command))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """The call is over: end what still runs."""
        self._make_runner = _nobody
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _leg(self, name: str, call_sid: object) -> str:
        call = self._application.call
        wanted = call.reports[call.root].call_sid if call_sid is None else call_sid
        for leg in call.legs:
            if call.reports[leg].call_sid == wanted:
                if not call.legs[leg].up:
                    raise VerbError(f"command {name!r}: the leg is not answered")
                return leg
        raise VerbError(f"command {name!r}: the call has no leg with this callSid")

    async def _do(self, action: Action, leg: str, command: Json) -> None:
        runner = self._make_runner(leg)
        runner.superseded = True  # hooks are told: there is no queue for verbs of their acks
        try:
            await action(runner)
        except MediaError as error:
            log.warning("command.failed", error=str(error), leg=leg, **self._application.log_ids)
            self._application.socket.error(error.text, command, msg="NotSupported")


def _nobody(_: str) -> Runner:
    """Default for `make_runner` once the call is over: no command comes any more."""
    raise VerbError("the call is over")


def _mute(name: str, data: object) -> Action:
    match data:
        case {"mute_status": "mute"}:
            return Mute(muted=True).run
        case {"mute_status": "unmute"}:
            return Mute(muted=False).run
    raise VerbError(f"command {name!r}: mute_status must be mute or unmute")


def _whisper(name: str, data: object) -> Action:
    """A verb, or some; within `whisper`, or as they are."""
    wanted = data.get("whisper", data) if isinstance(data, dict) else data
    items = wanted if isinstance(wanted, list) else [wanted]
    plays = tuple(_play(name, item) for item in items)
    if not plays:
        raise VerbError(f"command {name!r}: no verbs")
    return Whisper(plays=plays).run


def _play(name: str, item: object) -> Play:
    if not isinstance(item, dict) or item.get("verb") != "play":
        raise VerbError(f"command {name!r}: each verb must be a play")
    play = PLAY.read(item, lambda _: None)
    assert isinstance(play, Play), "the verb play makes one"
    return play


def _dtmf(name: str, data: object) -> Action:
    """`digit` and `duration`, within `dtmf` or as they are; the keys may be called `dtmf`."""
    wanted = _within("dtmf", name, data)
    named = {"dtmf" if key == "digit" else key: value for key, value in wanted.items()}
    return _KEYS.read(named, _nothing).run


def _request(name: str, data: object) -> Action:
    """As the verb, within `sip_request` or as it is."""
    return _REQUEST.read(_within("sip_request", name, data), _nothing).run


def _within(key: str, name: str, data: object) -> Json:
    """An object within the data, or the data itself."""
    if not isinstance(data, dict):
        raise VerbError(f"command {name!r}: data must be an object")
    inner = data.get(key)
    return inner if isinstance(inner, dict) else data


def _nothing(_: str) -> None:
    """All is done that these take."""


_KEYS: Final = Shape(
    "dtmf",
    dtmf.Dtmf,
    {"dtmf": ("keys", dtmf.keys), "duration": ("duration_ms", dtmf.duration)},
    required="dtmf",
)
_REQUEST: Final = Shape(
    "sip:request",
    request.Request,
    {
        "method": ("method", request.method),
        "content": ("body", text),
        "body": ("body", text),
        "content_type": ("content_type", text),
        "headers": ("content", request.content),
    },
    required="method",
)

#: What reads the data of a command, by the command's name.
COMMANDS: Final[dict[str, Callable[[str, object], Action]]] = {
    "dtmf": _dtmf,
    "mute:status": _mute,
    "sip:request": _request,
    "whisper": _whisper,
}
