"""`amd` as `config`, `dial` and jambonz's REST API have it: who has answered?"""

from typing import Final

from sip.media.detection.terms import DetectionTerms
from sip.softswitch.jambonz.amd import Amd
from sip.softswitch.jambonz.verbs.schema import (
    KNOWN_TO_JAMBONZ,
    UNSUPPORTED,
    Reader,
    Shape,
    VerbError,
    hook,
)


def amd(what: str, key: str, value: object) -> Amd | None:
    """Reads the object. Raises VerbError."""
    if not value:
        return None
    if not isinstance(value, dict):
        raise VerbError(f"{what}: {key} must be an object")
    return _AMD.read(value, _nothing_to_tell)


def _milliseconds(what: str, key: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        raise VerbError(f"{what}: {key} must be a number of milliseconds above 0")
    return value


def _timers(what: str, key: str, value: object) -> DetectionTerms | None:
    if not value:
        return None
    if not isinstance(value, dict):
        raise VerbError(f"{what}: {key} must be an object")
    try:
        return _TIMERS.read(value, _nothing_to_tell)
    except ValueError as error:
        raise VerbError(f"{what}: {key}: {error}") from None


def _of_words(default: int) -> Reader:
    """For what is counted in text: there is none, so that only jambonz's default may be there."""

    def read(what: str, key: str, value: object) -> None:
        if value != default:
            raise VerbError(
                f"{what}: {key} is {KNOWN_TO_JAMBONZ}: who answers is judged by sound, not words"
            )

    return read


def _nothing_to_tell(_: str) -> None:
    """All is done that is taken."""


_TIMERS: Final[Shape[DetectionTerms]] = Shape(
    "amd: timers",
    DetectionTerms,
    {
        "noSpeechTimeoutMs": ("no_speech_ms", _milliseconds),
        "decisionTimeoutMs": ("decision_ms", _milliseconds),
        "toneTimeoutMs": ("tone_ms", _milliseconds),
        "greetingCompletionTimeoutMs": ("greeting_end_ms", _milliseconds),
    },
)

_AMD: Final[Shape[Amd]] = Shape(
    "amd",
    Amd,
    {
        "actionHook": ("action_hook", hook),
        "timers": ("terms", _timers),
        "thresholdWordCount": ("", _of_words(9)),
        "digitCount": ("", _of_words(0)),
        "recognizer": UNSUPPORTED,
    },
    required="actionHook",
)
