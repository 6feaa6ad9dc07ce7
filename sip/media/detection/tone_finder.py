"""Steady tones of 390 to 2150 Hz, alone or in pairs: their frequencies, beginnings and ends.

The audio is PCM16, one channel, 8 kHz. A tone is looked for where the level is steady, which speech
seldom is; once it is found, only its neighbourhood is looked at, until it is over. A voice that
holds a vowel comes near to a tone, but its level and its pitch move: that tells the two apart.
"""

from __future__ import annotations

import audioop
from dataclasses import dataclass
from statistics import median
from typing import Final

from sip.media.detection.frequencies import (
    WINDOW,
    Pure,
    first_look,
    power_near,
    pure_of,
)
from sip.media.tones import RATE_HZ, rms_of

#: Samples of a frame of 20 ms.
FRAME: Final = 160

#: The quietest tone that is taken.
_FLOOR: Final = rms_of(-48.0) ** 2
#: The part of what stands above the line's noise that a tone has at least, and of all.
_SHARE: Final = 0.76
_SHARE_OF_ALL: Final = 0.45
#: How far what it is in stands above the noise at least.
_ABOVE: Final = 10 ** (2 / 10)
#: Powers of two frames of one tone differ by no more than 2.5 dB.
_STEADY: Final = 10 ** (2.5 / 10)
#: Frames that may be spoilt within a tone: a lost packet spoils two windows, two packets three.
_SPOILT: Final = 3
#: First looks after which their average tells something.
_MANY_LOOKS: Final = 20
#: Frames that a tone has at least.
_LEAST: Final = 2
_LEAST_PAIR: Final = 3
#: How far a steady tone's frequency drifts and its power swells, and how much it has of what stands
#: above the noise: on a quiet line, and what the noise changes of it, as its amplitude is to the
#: tone's.
_DRIFT_HZ: Final = (2.5, 16.0)
_SWELL: Final = (1.12, 0.5)
_PURE: Final = (0.92, 0.3)
_PURER: Final = (1.06, 0.2)
#: What each of a pair does to the other's measure; and a tone that lasts for 0.3 s may be clipped.
_PAIR_DRIFT_HZ: Final = 3.0
_PAIR_SWELL: Final = 0.08
_LONG: Final = 14
_PURE_LONG: Final = 0.8
#: One that lasts for so long, or for so long above the strong overtones of voices, and is pure, may
#: have passed through a mobile telephone's codec, which makes it tremble: a voice moves more.
_CODED_SHORT: Final = 6
_CODED_ABOVE_HZ: Final = 700
_CODED_DRIFT_HZ: Final = 5.0
_CODED_SWELL: Final = 1.3
#: One that is shorter may be clipped too if it is steadier than any voice: in so many windows.
_CLIPPED: Final = 4
_CLIPPED_DRIFT_HZ: Final = 1.5
_CLIPPED_SWELL: Final = 1.06
#: Two overtones of a voice that is held are a pair too: frames that such a pair has at least, the
#: highest pitch of a voice, and how far the lower one's number may be from a whole one, as a part
#: of it.
_LEAST_OF_VOICE: Final = 8
_HIGHEST_PITCH_HZ: Final = 420
_INHARMONIC: Final = 0.05


@dataclass(frozen=True, slots=True)
class Tone:
    """A steady tone that is over. Times are samples from the beginning of the audio.

    `power` is its mean square. `purity` is the part that it has of what stands above the line's
    noise; `swell`, by which factor its power is above the usual at most; `drift_hz`, how far its
    frequency moves. What the line's noise makes of these is left to a tone that is `steady`.
    """

    began: int
    ended: int
    hz: int
    other_hz: int | None
    power: float
    purity: float
    swell: float
    drift_hz: float
    steady: bool


class _Running:
    """A tone that goes on."""

    __slots__ = ("began", "first", "hz", "last", "other_hz", "power", "powers", "shares")

    def __init__(self, at: int, pure: Pure, power: float) -> None:
        self.began = at - WINDOW
        self.last = at
        self.first = pure
        self.power = power
        #: Of each window the frequency, the power of it (or of both), and its part.
        self.hz = [pure.hz]
        self.powers = [pure.power]
        self.shares = [pure.share]

    @property
    def is_long_enough(self) -> bool:
        other_hz = self.first.other_hz
        if other_hz is None:
            return len(self.hz) >= _LEAST
        voice = _may_be_voice(self.first.hz, other_hz)
        return len(self.hz) >= (_LEAST_OF_VOICE if voice else _LEAST_PAIR)

    def goes_on(self, at: int, window: bytes, power: float, noise: float) -> bool:
        """Whether it is in the next window too, which is added then."""
        if not self.power / _STEADY <= power <= self.power * _STEADY:
            return False
        hz, held = power_near(self.hz[0], window)
        if self.first.other_hz is not None:
            held += power_near(self.first.other_hz, window)[1]
        share = _share(held, float(audioop.rms(window, 2)) ** 2, noise)
        if share < _SHARE:
            return False
        self.last = at
        self.hz.append(hz)
        self.powers.append(held)
        self.shares.append(share)
        return True

    def so_far(self, noise: float) -> Tone | None:
        """The tone; None if it is too short to be one."""
        if not self.is_long_enough:
            return None
        usual = median(self.powers)
        whole = [hz for hz, held in zip(self.hz, self.powers, strict=True) if held > usual / 1.4]
        drift_hz, swell = max(whole) - min(whole), max(self.powers) / usual
        purity = median(self.shares)
        rough = min((noise / usual) ** 0.5, 1.0)
        other_hz = self.first.other_hz
        pair = other_hz is not None
        dead = (
            len(self.hz) >= _CLIPPED and drift_hz <= _CLIPPED_DRIFT_HZ and swell <= _CLIPPED_SWELL
        )
        long = len(self.hz) >= _LONG
        pure = _PURE_LONG if dead or long else _PURE[0]
        coded = (
            (long or (len(self.hz) >= _CODED_SHORT and self.first.hz >= _CODED_ABOVE_HZ))
            and not pair
            and purity >= _PURE[0]
            and drift_hz <= _CODED_DRIFT_HZ
            and swell <= _CODED_SWELL
        )
        return Tone(
            began=self.began,
            ended=self.last,
            hz=round(median(self.hz)),
            other_hz=None if other_hz is None else round(other_hz),
            power=usual,
            purity=purity,
            swell=swell,
            drift_hz=drift_hz,
            steady=coded
            or (
                drift_hz <= _DRIFT_HZ[0] + _DRIFT_HZ[1] * rough + (pair and _PAIR_DRIFT_HZ)
                and swell <= _SWELL[0] + _SWELL[1] * rough + (pair and _PAIR_SWELL)
                and pure - _PURE[1] * rough <= purity <= _PURER[0] + _PURER[1] * rough
            ),
        )


class ToneFinder:
    """Finds tones in a stream of frames of 20 ms."""

    __slots__ = ("_at", "_before", "_looks", "_noise", "_running", "_strongest", "_tail")

    def __init__(self) -> None:
        self._tail = bytes(2 * (WINDOW - FRAME))
        self._before = 0.0
        self._running: _Running | None = None
        #: The sum of what the strongest frequency had of the power, in so many first looks.
        self._strongest = 0.0
        self._looks = 0
        #: The mean square of the line's noise.
        self._noise = 0.0
        #: Samples taken.
        self._at = 0

    @property
    def sounding(self) -> int:
        """For how many frames, up to the newest one, a tone has sounded; 0 if none does."""
        running = self._running
        return 0 if running is None else -(-(self._at - running.began) // FRAME)

    @property
    def sounding_power(self) -> float:
        """The mean square of the tone that sounds; 0 if none does."""
        return 0.0 if self._running is None else self._running.power

    @property
    def tonality(self) -> float:
        """The strongest frequency's average part of the power, wherever the level was steady."""
        return self._strongest / self._looks if self._looks >= _MANY_LOOKS else 0.0

    @property
    def so_far(self) -> Tone | None:
        """What sounds, if it is long enough to be a tone, and steady."""
        tone = None if self._running is None else self._running.so_far(self._noise)
        return tone if tone is not None and tone.steady else None

    def take(self, frame: bytes, power: float, noise: float) -> Tone | None:
        """The next frame and its mean square, and the line's noise: the tone that is over."""
        self._at += FRAME
        self._noise = noise
        window = self._tail + frame
        self._tail = window[2 * FRAME :]
        steady = _FLOOR <= power <= _STEADY * self._before and self._before <= _STEADY * power
        self._before = power
        running = self._running
        if running is not None:
            if running.goes_on(self._at, window, power, noise):
                return None
            begun = self._begun(window, power, noise) if steady else None
            if begun is None and self._at - running.last <= _SPOILT * FRAME:
                return None
            self._running = begun
            return running.so_far(self._noise)
        if steady:
            self._running = self._begun(window, power, noise)
        return None

    def end(self) -> Tone | None:
        """There is no more audio."""
        running, self._running = self._running, None
        return None if running is None else running.so_far(self._noise)

    def _begun(self, window: bytes, power: float, noise: float) -> _Running | None:
        total = float(audioop.rms(window, 2)) ** 2
        powers = first_look(window)
        self._strongest += min(max(powers) / total, 1.0)
        self._looks += 1
        if total <= _ABOVE * noise:
            return None
        least = max(_SHARE * (total - noise), _SHARE_OF_ALL * total)
        pure = pure_of(window, powers, least, total - noise)
        return None if pure is None else _Running(self._at, pure, power)


def _share(held: float, total: float, noise: float) -> float:
    """What a tone has of that which stands above the noise; 0 if that is too little of all."""
    return (
        held / (total - noise) if total > _ABOVE * noise and held >= _SHARE_OF_ALL * total else 0.0
    )


def _may_be_voice(hz: float, other_hz: float) -> bool:
    """Whether two frequencies may be overtones of a voice that are next to each other."""
    low, high = sorted((hz, other_hz))
    pitch = high - low
    number = low / pitch
    return pitch <= _HIGHEST_PITCH_HZ and abs(number - round(number)) <= _INHARMONIC * number


def ms_of(samples: int) -> int:
    """Milliseconds of a number of samples, as a whole number."""
    return round(1000 * samples / RATE_HZ)
