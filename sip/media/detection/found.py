"""What is found in the audio of one who has answered."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """Who answered (one of the first five, once), and what a machine did next."""

    HUMAN = "human"
    MACHINE = "machine"
    FAX = "fax"
    #: Nobody spoke in `DetectionTerms.no_speech_ms`.
    NO_SPEECH = "no-speech"
    #: Something was heard, and no more is known after `DetectionTerms.decision_ms`, or at the end.
    UNKNOWN = "unknown"
    #: The machine's greeting is over: quiet for `DetectionTerms.greeting_end_ms`.
    MACHINE_STOPPED = "machine-stopped"
    #: The machine records from now on.
    BEEP = "beep"


#: Those that answer the question, of which each call gets one.
DECISIONS = frozenset(
    {Verdict.HUMAN, Verdict.MACHINE, Verdict.FAX, Verdict.NO_SPEECH, Verdict.UNKNOWN}
)

#: Those after which nothing more is told: a machine may still stop, and beep.
ENDINGS = DECISIONS - {Verdict.MACHINE} | {Verdict.BEEP}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One verdict. All times are milliseconds of audio, from the first sample that was taken.

    `at_ms` is when it was told. `confidence` is 0 to 1. `reason` is a word or two in English.
    `began_ms` and `ended_ms` are those of the tone, or of the speech on which it rests; None where
    there was none. `speech_ms` is how long somebody spoke, pauses left out; `silence_ms`, how long
    it has been quiet since.
    """

    what: Verdict
    at_ms: int
    confidence: float
    reason: str
    frequency_hz: int | None = None
    speech_ms: int = 0
    silence_ms: int = 0
    began_ms: int | None = None
    ended_ms: int | None = None
