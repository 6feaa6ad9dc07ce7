"""`gather`: has the caller enter digits, and asks a hook what is to become of them.

There is no speech-to-text here: `digits` is the one `input`.
"""

from typing import Final

import structlog

from sip.b2bua.digits import Collected, Wanted
from sip.b2bua.media_failure import media_failure
from sip.core.value import frozen
from sip.media.plane import MediaError
from sip.softswitch.jambonz.session import Session, Verb
from sip.softswitch.jambonz.verbs.play import SOUND, Play
from sip.softswitch.jambonz.verbs.schema import (
    ANY,
    KNOWN_TO_JAMBONZ,
    UNSUPPORTED,
    Shape,
    VerbError,
    flag,
    hook,
    text,
    undone_false,
)

log = structlog.get_logger(__name__)

#: Seconds in which the first digit must come, where the application does not say.
DEFAULT_TIMEOUT_S: Final = 5.0
#: More than anybody enters.
MAX_DIGITS: Final = 128

_KEYS: Final = frozenset("0123456789*#ABCD")


@frozen(kw_only=True)
class Gather:
    """`exactly` is a number of digits; `least` and `most` are in its stead.

    A digit has to come within `first_s`, each after it within `between_s` (as long, if None); 0 is
    for ever. The first key ends the `prompt` if `barge_in`.
    """

    action_hook: str | None = None
    exactly: int | None = None
    least: int = 1
    most: int | None = None
    finish: str | None = None
    first_s: float = DEFAULT_TIMEOUT_S
    between_s: float | None = None
    prompt: Play | None = None
    barge_in: bool = False
    verb_id: str | None = None

    async def run(self, session: Session) -> None:
        prompt = self.prompt
        try:
            collected = await session.call.collect(
                self._wanted(),
                leg=session.leg,
                prompt=None if prompt is None else lambda: prompt.say(session),
                barge_in=self.barge_in,
            )
        except MediaError as error:
            log.error("gather.failed", error=str(error), fault=error.fault.value, **session.log_ids)
            failure = media_failure(error)
            session.call.reject(failure.status, failure.reason, failure.headers, failure.cause)
            return
        if self.action_hook is not None:
            told = session.about_leg() | _told(collected)
            if self.verb_id is not None:
                told["verb_id"] = self.verb_id
            await session.ask(self.action_hook, told)

    def _wanted(self) -> Wanted:
        between_s = self.first_s if self.between_s is None else self.between_s
        return Wanted(
            least=self.exactly or self.least,
            most=self.exactly or self.most,
            finish=self.finish,
            first_s=self.first_s or None,
            between_s=between_s or None,
        )


def _told(collected: Collected) -> dict[str, object]:
    """jambonz's words; what came before the time was over is told as well."""
    reason = "dtmfDetected" if collected.complete else "timeout"
    return {"digits": collected.digits, "reason": reason}


def _input(what: str, key: str, value: object) -> None:
    if value not in (["digits"], ["dtmf"]):
        raise VerbError(f'{what}: {key} other than ["digits"] is {KNOWN_TO_JAMBONZ}')


def _count(what: str, key: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= MAX_DIGITS:
        raise VerbError(f"{what}: {key} must be a number from 1 to {MAX_DIGITS}")
    return value


def _key(what: str, key: str, value: object) -> str | None:
    if value == "":
        return None
    if not isinstance(value, str) or value not in _KEYS:
        raise VerbError(f"{what}: {key} must be one key")
    return value


def _wait(what: str, key: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise VerbError(f"{what}: {key} must be a number of seconds; 0 is for ever")
    return float(value)


def _prompt(what: str, key: str, value: object) -> Play:
    if not isinstance(value, dict):
        raise VerbError(f"{what}: {key} must be an object")
    return SOUND.read(value, lambda _: None)


VERB: Final[Shape[Verb]] = Shape(
    "gather",
    Gather,
    {
        **ANY,
        "id": ("verb_id", text),
        "actionHook": ("action_hook", hook),
        "input": ("", _input),
        "numDigits": ("exactly", _count),
        "minDigits": ("least", _count),
        "maxDigits": ("most", _count),
        "finishOnKey": ("finish", _key),
        "timeout": ("first_s", _wait),
        "interDigitTimeout": ("between_s", _wait),
        "play": ("prompt", _prompt),
        "dtmfBargein": ("barge_in", flag),
        "listenDuringPrompt": ("", undone_false),
        **dict.fromkeys(
            (
                *("partialResultHook", "speechTimeout", "bargein", "minBargeinWordCount"),
                *("recognizer", "say", "fillerNoise", "actionHookDelayAction"),
            ),
            UNSUPPORTED,
        ),
    },
)
