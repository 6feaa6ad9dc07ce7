"""Counts by which the waits of `sip/media/detection/judging.py` are chosen.

`python -m bench.answers.odds [CALLS [SEED]]` hears calls of the part that is tuned by, and prints
for each length of what was said, in one breath and in parts, the share of people who have said so
much and no more, and of machines that are quiet there for so long before they go on or beep. A wait
is good where it is short for many people, and few machines are quiet for longer.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from bench.answers.calls import AnsweredCall, answered_calls
from sip.media.detection.detector import Detector
from sip.media.detection.found import Found
from sip.media.detection.judging import in_parts
from sip.media.detection.speech import FRAME_MS
from sip.media.detection.terms import DetectionTerms

_SPANS_MS: Final = (0, 500, 700, 850, 1000, 1400, 1700, 2000, 2600, 3300, 4100)
_WAITS_MS: Final = (500, 600, 700, 800, 900, 1000, 1100, 1200, 1400)
#: Nothing is told by it: longer than any call.
_NEVER_MS: Final = 10**7
_PACKET: Final = 320


class _Listener(Detector):
    """Tells only what is a tone, or silence, and notes each quiet."""

    __slots__ = ("quiets",)

    def __init__(self) -> None:
        super().__init__(DetectionTerms(person_quiet_ms=_NEVER_MS, longest_answer_ms=_NEVER_MS))
        #: The longest quiet, by the length of what was said and whether that was in parts.
        self.quiets: dict[tuple[int, bool], int] = {}

    def _consider(self, found: list[Found]) -> None:
        speech = self._speech
        if speech.began is not None and not self._beeps.pending(self._behind):
            key = (speech.span * FRAME_MS, in_parts(speech))
            self.quiets[key] = max(self.quiets.get(key, 0), self._quiet_ms)
        super()._consider(found)


def _quiets(call: AnsweredCall) -> dict[tuple[int, bool], int]:
    listener = _Listener()
    for at in range(0, len(call.pcm), _PACKET):
        if listener.take(call.pcm[at : at + _PACKET]):
            break
    return listener.quiets


def _rows(calls: list[AnsweredCall]) -> Iterator[str]:
    people = [_quiets(call) for call in calls if call.label == "human"]
    machines = [_quiets(call) for call in calls if call.label == "machine"]
    for parts in (False, True):
        yield "in parts" if parts else "in one breath"
        yield "  said, ms      people  machines quiet for " + "".join(f"{w:>8}" for w in _WAITS_MS)
        for low, high in pairwise(_SPANS_MS):
            here = [
                [quiet for (span, in_), quiet in of.items() if in_ == parts and low <= span < high]
                for of in machines
            ]
            said = [max(of) for of in people if of]
            share = sum(low <= span < high and in_ == parts for span, in_ in said) / len(people)
            shares = [sum(max(of, default=0) >= w for of in here) / len(here) for w in _WAITS_MS]
            yield f"  {low:>4} to {high:>4} {share:>8.1%} {'':18}" + "".join(
                f"{each:>8.1%}" for each in shares
            )


def main(count: int = 660, seed: int = 701) -> None:
    """Prints the counts."""
    calls = [call for call in answered_calls(count, seed=seed) if not call.kept]
    print("\n".join(_rows(calls)))


if __name__ == "__main__":
    main(*(int(each) for each in sys.argv[1:]))
