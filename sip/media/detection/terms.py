"""How long a detector waits for what, in milliseconds of audio."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionTerms:
    """The terms of one detection.

    `no_speech_ms`: nobody has spoken for so long from the beginning: no-speech.
    `decision_ms`: the latest time of a decision; what is not decided by then is unknown.
    `person_quiet_ms`: one who speaks, and then waits for about so long, is a person: for 0.6 to 0.7
    of it after a word, for up to 1.4 of it after sentences (see `judging.py`). A machine that
    pauses for longer is taken for one, and so is one whose beep comes later.
    `longest_answer_ms`: one who speaks for longer, without such a wait, is a machine.
    `greeting_end_ms`: a machine that is quiet for so long has finished its greeting.
    `tone_ms`: how long a machine's beep is waited for, from the decision on.

    Raises `ValueError` for what cannot be: a time that is not positive, or a decision that must be
    made before anything can be known.
    """

    no_speech_ms: int = 5000
    decision_ms: int = 15000
    person_quiet_ms: int = 1000
    longest_answer_ms: int = 4000
    greeting_end_ms: int = 2000
    tone_ms: int = 20000

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}: give more than 0 milliseconds")
        if self.decision_ms < self.no_speech_ms:
            raise ValueError(
                f"decision_ms ({self.decision_ms}) is less than no_speech_ms "
                f"({self.no_speech_ms}): silence could never be told; raise it"
            )
