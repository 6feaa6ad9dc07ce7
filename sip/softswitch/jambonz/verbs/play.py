"""`play`: plays files to the caller, before the answer or after it, then goes on."""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from sip.core.value import frozen
from sip.media.plane import FOREVER, MediaError
from sip.softswitch.jambonz.session import Json, Session, Verb
from sip.softswitch.jambonz.sounds import SoundError
from sip.softswitch.jambonz.verbs.schema import (
    ANY,
    UNSUPPORTED,
    Property,
    Shape,
    VerbError,
    flag,
    hook,
    sound,
    text,
)

log = structlog.get_logger(__name__)


@frozen(kw_only=True)
class Play:
    """`names` are files of the folder `media.sounds`, one after another, so many `times`."""

    names: tuple[str, ...]
    times: int = 1
    early: bool = False
    timeout_s: float | None = None
    action_hook: str | None = None
    verb_id: str | None = None

    async def run(self, session: Session) -> None:
        clock = session.call.ua.clock
        began = clock.now()
        reason = "playCompleted" if await self.say(session) else "playFailed"
        if self.action_hook is not None:
            await session.ask(self.action_hook, self._result(reason, clock.now() - began))

    async def say(self, session: Session) -> bool:
        """Play it; false where it cannot be played, which is logged."""
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.timeout_s):
                    await self._play(session)
        except (SoundError, MediaError) as error:
            log.error("play.failed", error=str(error), fault=error.fault.value, **session.log_ids)
            return False
        return True

    async def _play(self, session: Session) -> None:
        files = [session.sounds.file(name) for name in self.names]
        call = session.call
        if len(files) == 1:
            await call.play(files[0], leg=session.leg, times=self.times, early=self.early)
            return
        for _ in range(self.times):
            if not await self._play_each(session, files):
                return

    async def _play_each(self, session: Session, files: list[Path]) -> bool:
        for file in files:
            if not await session.call.play(file, leg=session.leg, early=self.early):
                return False
        return True

    def _result(self, reason: str, played_s: float) -> Json:
        told: Json = {
            "reason": reason,
            "playback_seconds": round(played_s),
            "playback_milliseconds": round(played_s * 1000),
        }
        if self.verb_id is not None:
            told["verb_id"] = self.verb_id
        return told


def _names(what: str, key: str, value: object) -> tuple[str, ...]:
    names = value if isinstance(value, list) else [value]
    if not names:
        raise VerbError(f"{what}: {key} must name a file")
    return tuple(sound(what, key, name) for name in names)


def _times(what: str, key: str, value: object) -> int:
    if value == "forever":
        return FOREVER
    number = int(value) if isinstance(value, str) and value.isdecimal() else value
    if isinstance(number, bool) or not isinstance(number, int) or not 0 < number <= FOREVER:
        raise VerbError(f"{what}: {key} must be a number above 0, or forever")
    return number


def _seconds(what: str, key: str, value: object) -> float:
    with suppress(ValueError, OverflowError):
        number = float(value) if isinstance(value, int | float | str) else 0.0
        if 0 < number < float("inf") and not isinstance(value, bool):
            return number
    raise VerbError(f"{what}: {key} must be a number of seconds above 0")


_SOUND: Final[dict[str, Property]] = {
    **ANY,
    "url": ("names", _names),
    "loop": ("times", _times),
    "earlyMedia": ("early", flag),
    "timeoutSecs": ("timeout_s", _seconds),
    "seekOffset": UNSUPPORTED,
}

#: What other verbs have played.
SOUND: Final[Shape[Play]] = Shape("play", Play, _SOUND, required="url")

VERB: Final[Shape[Verb]] = Shape(
    "play",
    Play,
    {**_SOUND, "actionHook": ("action_hook", hook), "id": ("verb_id", text)},
    required="url",
)
