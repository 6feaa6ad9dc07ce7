"""A fax machine's calling tone (CNG, ITU-T T.30 4.2) in what is heard: 1100 Hz, 0.5 s each 3.5 s.

Audio is PCM16, one channel, 8 kHz (`sip.media.tones`). A caller that is taken for a fax and is none
loses its call, so that a period is told only where it can hardly be anything else: a pure and
steady tone of the right length, quiet before it, and quiet for a second after it.
"""

from __future__ import annotations

import audioop
from collections import deque
from enum import Enum
from typing import Final

from sip.media.tones import Bank, rms_of

TONE_HZ: Final = 1100
#: T.30 allows 38 Hz to either side: five frequencies, each for 19 Hz.
_FREQUENCIES_HZ: Final = (1062, 1081, 1100, 1119, 1138)

#: A window of 30 ms tells 33 Hz apart, and loses 1.2 dB of a tone that is 9.5 Hz off. A third of it
#: is new each time.
_WINDOW: Final = 240
_HOP: Final = 80

#: The quietest tone that is taken, and the part of a window's power that it must have: speech and
#: music have less, for half a second on end; a tone 15 dB above the line's noise has 0.73.
_FLOOR: Final = rms_of(-40.0) ** 2
_SHARE: Final = 0.6
#: How much quieter than the tone it is before and after it, and how much the tone itself may vary.
_QUIET: Final = 10 ** (-10 / 10)
_STEADY: Final = 10 ** (-6 / 10)

#: Windows of a tone of 0.5 s, give or take 15 % and a window's blur.
_LEAST: Final = 40
_MOST: Final = 60
#: Windows that may be spoilt in the middle of it: a packet of 20 ms that was lost.
_SPOILT: Final = 6
#: Windows of quiet after it, and those at its ends that it is only partly in.
_AFTER: Final = 95
_EDGE: Final = 3


class _State(Enum):
    """What is heard now."""

    OTHER = "other"
    TONE = "tone"
    AFTER = "after"


class FaxToneReader:
    """Finds the calling tone in a stream of audio."""

    __slots__ = ("_after", "_before", "_left", "_powers", "_spoilt", "_state", "_strongest",
                 "_tone")  # fmt: skip

    def __init__(self) -> None:
        self._left = b""
        self._state = _State.OTHER
        #: The powers of the windows before the newest, the oldest first.
        self._powers: deque[float] = deque(maxlen=2 * _EDGE)
        #: The power of the loudest window that was well before the tone.
        self._before = 0.0
        #: Of each window of the tone its power, and which frequency was the strongest.
        self._tone: list[float] = []
        self._strongest: list[int] = []
        self._spoilt = self._after = 0

    def take(self, audio: bytes) -> bool:
        """The next audio, of any length: whether a period of the tone is complete in it."""
        data = self._left + audio
        at = 0
        found = False
        while at + 2 * _WINDOW <= len(data):
            found = self._hear(data[at : at + 2 * _WINDOW]) or found
            at += 2 * _HOP
        self._left = data[at:]
        return found

    def _hear(self, window: bytes) -> bool:
        power = float(audioop.rms(window, 2)) ** 2
        found = self._state is _State.AFTER and self._rest(power)
        if self._state is not _State.AFTER:
            strongest = _tone_in(window, power)
            if self._state is _State.TONE:
                self._go_on(power, strongest)
            elif strongest is not None:
                self._before = max(list(self._powers)[:-_EDGE], default=0.0)
                self._tone, self._strongest, self._spoilt = [power], [strongest], 0
                self._state = _State.TONE
        self._powers.append(power)
        return found

    def _go_on(self, power: float, strongest: int | None) -> None:
        """In the tone or just behind it: a break that is over by now was part of it."""
        if strongest is None:
            self._spoilt += 1
            if self._spoilt > _SPOILT:
                self._state = _State.AFTER if self._fits(power) else _State.OTHER
                self._after = 0
            return
        self._tone += [max(self._tone)] * self._spoilt + [power]
        self._strongest.append(strongest)
        self._spoilt = 0
        del self._tone[: -_MOST - 1], self._strongest[: -_MOST - 1]  # too long is all that counts

    def _fits(self, power: float) -> bool:
        """Whether what is over was long and steady, and it was quiet before it and is quiet now."""
        if not _LEAST <= len(self._tone) <= _MOST:
            return False
        loudest = max(self._tone)
        steady = min(self._tone[_EDGE:-_EDGE]) >= _STEADY * loudest
        heights = self._strongest[_EDGE:-_EDGE]
        even = max(heights) - min(heights) <= 1
        return steady and even and max(self._before, power) <= _QUIET * loudest

    def _rest(self, power: float) -> bool:
        """Behind the tone: whether it has been quiet for long enough."""
        if power > _QUIET * max(self._tone):
            self._state = _State.OTHER
            return False
        self._after += 1
        if self._after < _AFTER:
            return False
        self._state = _State.OTHER
        return True


_BANK: Final = Bank(_FREQUENCIES_HZ, _WINDOW)


def _tone_in(window: bytes, power: float) -> int | None:
    """The number of the frequency that the window is a tone of."""
    if power < _FLOOR:
        return None
    powers = _BANK.powers(window)
    strongest = max(powers)
    return powers.index(strongest) if strongest >= _SHARE * power else None
