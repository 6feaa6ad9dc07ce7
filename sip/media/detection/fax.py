"""A fax machine or modem in what is heard: its calling tone, its answering tone, its first bits.

ITU-T T.30 4: the calling tone (CNG) is 1100 Hz for 0.5 s each 3.5 s. The answering tone (CED; ANS
of V.25) is 2100 Hz for 2.6 to 4 s. A preamble of V.21 follows it: 1 s at 300 bit/s, 1650 and
1850 Hz.
"""

from __future__ import annotations

import audioop
from typing import Final

from sip.media.fax_tone import FaxToneReader
from sip.media.tones import Bank, rms_of

_FLOOR: Final = rms_of(-43.0) ** 2
_WINDOW: Final = 160
_ANSWERS_HZ: Final = (2090, 2100, 2110)
#: What 300 bit/s fill, and how much of it one frequency has: a beep there has all of it in one.
_BITS_HZ: Final = (1600, 1650, 1700, 1750, 1800, 1850, 1900)
_BANK: Final = Bank((*_ANSWERS_HZ, *_BITS_HZ), _WINDOW)
_ONE_SHARE: Final = 0.75
#: The part of the power that they have, and frames of 20 ms in a row: 0.6 s of the answering tone,
#: 0.4 s of bits. No speech holds on to either for so long.
_ANSWER_SHARE: Final = 0.75
_ANSWER_FRAMES: Final = 30
_BITS_SHARE: Final = 0.75
_BITS_FRAMES: Final = 20
#: Frames that may be spoilt meanwhile.
_SPOILT: Final = 2


class _Row:
    """Frames in a row that have something, some spoilt ones forgiven."""

    __slots__ = ("_had", "_spoilt")

    def __init__(self) -> None:
        self._had = self._spoilt = 0

    def take(self, has: bool) -> int:
        """How many there are now."""
        if has:
            self._had += 1
            self._spoilt = 0
        else:
            self._spoilt += 1
            if self._spoilt > _SPOILT:
                self._had = 0
        return self._had


class FaxFinder:
    """Finds a fax in a stream of frames of 20 ms."""

    __slots__ = ("_answer", "_bits", "_calling")

    def __init__(self) -> None:
        self._calling = FaxToneReader()
        self._answer = _Row()
        self._bits = _Row()

    def take(self, frame: bytes, power: float, *, toned: bool) -> tuple[str, int] | None:
        """The next frame and its mean square: what told the fax, and its frequency in Hz.

        `toned` tells that a steady tone sounds, which bits are not.
        """
        if self._calling.take(frame):
            return "calling tone", 1100
        answer = bits = False
        if power >= _FLOOR:
            powers = _BANK.powers(frame)
            answers, band = powers[: len(_ANSWERS_HZ)], powers[len(_ANSWERS_HZ) :]
            answer = max(answers) >= _ANSWER_SHARE * power
            bits = (
                not toned and sum(band) >= _BITS_SHARE * power and max(band) <= _ONE_SHARE * power
            )
        if self._answer.take(answer) >= _ANSWER_FRAMES:
            return "answering tone", 2100
        if self._bits.take(bits) >= _BITS_FRAMES:
            return "V.21", 1750
        return None


def power_of(frame: bytes) -> float:
    """The mean square of a frame."""
    return float(audioop.rms(frame, 2)) ** 2
