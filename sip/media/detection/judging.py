"""A person or a machine, by what each says and how it pauses.

A person says a few words and waits. A machine talks on: for longer than a person, or after a
sentence and the pause that follows one. How long one waits who may be a person depends on what was
said:

- After a word less is waited than after a sentence: machines seldom say a single word.
- After words with short pauses among them less is waited too: so a person says a name and a
  greeting. A machine's short greeting is said in one breath.
- After a long sentence more is waited: machines pause there before they go on.
- Where a room's noise has stopped since, a recording may have ended: more is waited for its beep.

The numbers are chosen from counts: how often people have said so much and no more, and how often
machines pause there for so long (`bench/answers/odds.py` prints them).
"""

from __future__ import annotations

from typing import Final

from sip.media.detection.speech import FRAME_MS, Speech
from sip.media.detection.terms import DetectionTerms

#: The parts of `person_quiet_ms` that a person waits, by the milliseconds from the first word to
#: the end of the last one; in between, what lies between. Without a pause among the words that is
#: worth the name, and with one.
_IN_ONE_BREATH: Final = ((500, 0.6), (700, 0.7), (850, 1.2), (1700, 1.2), (2300, 1.4))
_IN_PARTS: Final = ((500, 0.6), (700, 0.7), (850, 1.0), (2000, 1.0), (2600, 1.2), (3000, 1.4))
#: The same where a recording seems to have ended.
_ENDED: Final = 1.4
#: A pause among words, in milliseconds, that makes parts of them.
_PART_MS: Final = 160

#: A machine is who has spoken for so long, has paused for so long, and speaks on for so long. A
#: person who says something again, as nobody has answered, has paused for longer. Parts of
#: `person_quiet_ms`.
_SENTENCE: Final = 1.0
_STOP: Final = (0.42, 0.62)
_MORE: Final = 0.12


def wait_ms(terms: DetectionTerms, speech: Speech) -> float:
    """How long one waits who has spoken so, and is a person."""
    curve = _IN_PARTS if in_parts(speech) else _IN_ONE_BREATH
    return terms.person_quiet_ms * _on(curve, speech.span * FRAME_MS)


def in_parts(speech: Speech) -> bool:
    """Whether there was a pause among the words."""
    return any((after - before) * FRAME_MS >= _PART_MS for before, after in speech.pauses)


def ended_wait_ms(terms: DetectionTerms) -> float:
    """How long one waits for the beep of what seems to be a recording, and has ended."""
    return terms.person_quiet_ms * _ENDED


def speaks_on(terms: DetectionTerms, speech: Speech) -> bool:
    """Whether a sentence was said, a pause followed it, and more is said."""
    if speech.began is None:
        return False
    of_a_part = terms.person_quiet_ms / FRAME_MS
    shortest, longest = (part * of_a_part for part in _STOP)
    return any(
        before - speech.began >= _SENTENCE * of_a_part
        and shortest <= after - before <= longest
        and speech.ended - after >= _MORE * of_a_part
        for before, after in speech.pauses
    )


def _on(curve: tuple[tuple[int, float], ...], at: float) -> float:
    """The value of a curve of straight lines; beyond its ends, that of the end."""
    before = curve[0]
    for point in curve:
        if at < point[0]:
            share = (at - before[0]) / (point[0] - before[0]) if point is not before else 0.0
            return before[1] + share * (point[1] - before[1])
        before = point
    return before[1]
