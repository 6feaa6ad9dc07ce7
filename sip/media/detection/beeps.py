"""What a tone means on a telephone: a machine's beep, an announcement, ring-back that is left.

A beep is steady, and quiet follows it: music goes on. The network's special information tones
(ITU-T E.180, three of them rising, 330 ms each) come before an announcement, and ring-back (E.182:
400 to 480 Hz, a second or two) before an answer.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from sip.media.detection.tone_finder import FRAME, Tone, ToneFinder
from sip.media.key_tones import COLUMNS_HZ, ROWS_HZ
from sip.media.tones import RATE_HZ, Bank, rms_of


class Meaning(StrEnum):
    """What was heard."""

    BEEP = "beep"
    ANNOUNCEMENT = "special information tones"


@dataclass(frozen=True, slots=True)
class Signal:
    """What was heard, and the tone of it."""

    meaning: Meaning
    tone: Tone


_MS: Final = RATE_HZ // 1000
#: A beep's length: what is measured of one of 80 ms, whose beginning and end fall anywhere into
#: frames. Where overtones of voices are, it must be longer.
_SHORTEST: Final = 50 * _MS
_SHORTEST_OF_VOICE: Final = 70 * _MS
_ABOVE_VOICES_HZ: Final = 560
_LONGEST: Final = 3000 * _MS
#: One that is shorter may be a voice's: shorter than the first, it must be quiet before it;
#: shorter than the second, it must be quiet after it for so many frames, and so much quieter.
_SHORT: Final = 170 * _MS
_BRIEF: Final = 260 * _MS
_QUIET_SHORT: Final = 14
_QUIETER_SHORT: Final = 10 ** (-9 / 10)
#: Frames of one tone, after somebody has spoken, that are a beep's before it is over: where it was
#: quiet before it, and anywhere. And the frequencies that may be something else: ring-back, and
#: what a fax calls and answers with.
_SURE_AFTER_QUIET: Final = 8
_SURE: Final = 14
_OTHERS_HZ: Final = ((390, 490), (1050, 1150), (2060, 2140))
#: Frames after it in which it must be quieter, and how many may be louder in between; and how much
#: quieter, as a part of power.
_QUIET: Final = 4
_AFTER: Final = 3
_QUIETER: Final = 10 ** (-6 / 10)
#: The line's noise is as strong as that for a moment, as a part of what is usual.
_NOISE: Final = 1.4

#: A fax's calling tone (T.30 4.2), which is known for one only a second later.
_CALLING_HZ: Final = (1050, 1150)
_CALLING: Final = (400 * _MS, 600 * _MS)

#: A note of music is shorter than that.
_LONGEST_NOTE: Final = 600 * _MS
#: So many tones at different heights, one after the other, are a melody.
_MELODY: Final = 3
_SAME_HZ: Final = 25

#: A tone of music that is no beep is so long at least, and drifts by so much at most.
_NOTE: Final = 120 * _MS
_NOTE_DRIFT_HZ: Final = 5.0
#: Of music, a single frequency has so much of the power on average: noise has 0.2 at most.
_TONAL: Final = 0.24

#: Ring-back of one frequency (E.180: 400 to 450 Hz), and of two.
_RINGBACK_HZ: Final = (390, 460)
_RINGBACK_PAIR_HZ: Final = (390, 490)
#: Ring-back that is left over begins with the call; all of it is longer than a beep of its pitch.
_LEFT_OVER: Final = 200 * _MS
_RING: Final = 850 * _MS

_RING_BANK: Final = Bank((400, 450, 500), FRAME)
_RING_FLOOR: Final = rms_of(-45.0) ** 2
_RING_SHARE: Final = 0.75
#: Frames of it at least, and those in a row that are spoilt by a lost packet or by its beat.
_LEAST_RING: Final = 8
_RING_SPOILT: Final = 2

#: E.180's three, each with what exchanges take of it; and the longest time between two.
_SIT_HZ: Final = ((890, 1010), (1340, 1460), (1740, 1820))
_BETWEEN: Final = 120 * _MS


class BeepFinder:
    """Finds beeps and announcements in a stream of frames of 20 ms."""

    __slots__ = (
        *("_after", "_at", "_heard", "_last", "_noise", "_notes", "_notes_heard", "_powers"),
        *("_quiet", "_ringback", "_sit", "_tones", "_waits", "dismissed"),
    )

    def __init__(self) -> None:
        self._tones = ToneFinder()
        self._ringback = _LeftOver()
        self._at = 0
        #: The mean square of the line's noise.
        self._noise = 0.0
        #: The mean squares of the newest frames.
        self._powers: deque[float] = deque(maxlen=_SHORT // FRAME + 16)
        #: A tone that is over, and waits to be known as a beep.
        self._waits: Tone | None = None
        #: A tone that the newest frame has shown to be a voice's, or music's.
        self.dismissed: Tone | None = None
        self._quiet = self._after = 0
        #: The last tone, and how many of different heights have followed each other.
        self._last: Tone | None = None
        self._notes = 0
        #: The powers of tones that were no beeps.
        self._notes_heard: list[float] = []
        #: The announcement's tones heard so far, and where the last one ended.
        self._sit = 0
        self._heard = 0

    def pending(self, least: float) -> bool:
        """Whether a tone of that power sounds, or one waits to be known."""
        waits = self._waits
        return self._tones.sounding_power >= least or (waits is not None and waits.power >= least)

    def notes(self, least: float) -> int:
        """How many tones of that power were heard that were no beeps: music has many."""
        return sum(power >= least for power in self._notes_heard)

    @property
    def sounds_tonal(self) -> bool:
        """Whether what was heard, and was steady, was music and no noise."""
        return self._tones.tonality >= _TONAL

    @property
    def toned(self) -> int:
        """How many of the newest frames belong to a tone, and are no speech."""
        if self._ringback.frames:
            return self._ringback.frames
        return self._tones.sounding if self._tones.so_far and self._notes < _MELODY - 1 else 0

    def beeping(self, least: float) -> Tone | None:
        """A tone of that power that has sounded for so long that only a beep can be it, and that
        still does: one frequency, no fax's and no ring-back's, and no melody goes on."""
        sounding = self._tones.sounding
        if self._notes >= _MELODY - 1 or sounding < _SURE_AFTER_QUIET or self._ringback.frames:
            return None
        tone = self._tones.so_far
        if tone is None or tone.power < least or tone.other_hz is not None:
            return None
        if sounding < _SURE and not self._is_sudden(tone, self._noise):
            return None
        return None if any(low <= tone.hz <= high for low, high in _OTHERS_HZ) else tone

    def take(
        self, frame: bytes, power: float, *, noise: float, spoken: bool, machine: bool
    ) -> Signal | None:
        """The next frame and its mean square, and that of the line's noise.

        `spoken` tells whether anybody has spoken yet, `machine` that it is one, which presses no
        key.
        """
        self._at += FRAME
        self._noise = noise
        self.dismissed = None
        self._powers.append(power)
        self._ringback.take(frame, power)
        tone = self._tones.take(frame, power, noise)
        if tone is not None:
            if self._announces(tone):
                self._waits = None
                return Signal(Meaning.ANNOUNCEMENT, tone)
            self._consider(tone, noise=noise, spoken=spoken, machine=machine)
        waits = self._waits
        if waits is None:
            return None
        self._after += 1
        short = waits.ended - waits.began < _BRIEF
        quieter = (_QUIETER_SHORT if short else _QUIETER) * waits.power
        self._quiet += power <= quieter + _NOISE * noise
        if self._quiet >= (_QUIET_SHORT if short else _QUIET):
            self._waits = None
            return Signal(Meaning.BEEP, waits)
        if self._after >= _AFTER + self._quiet:
            self._waits = None
            if not self._sit:
                self._dismiss(waits)
        return None

    def end(self) -> Signal | None:
        """There is no more audio: what sounds, or waits, is a beep if it may be one."""
        tone = self._tones.end()
        if tone is not None:
            self._consider(tone, noise=0.0, spoken=True, machine=False)
        return None if self._waits is None else Signal(Meaning.BEEP, self._waits)

    def _consider(self, tone: Tone, *, noise: float, spoken: bool, machine: bool) -> None:
        """A tone is over: it waits to be known as a beep, or is none."""
        last = self._last
        if last is not None and last.steady and tone.steady and _goes_on(tone, last):
            tone = replace(tone, began=last.began)  # packets were lost within it
        melody = self._is_melody(tone)
        length = tone.ended - tone.began
        self._waits = None
        self._quiet = self._after = 0
        if (not spoken and _is_ringback(tone, length)) or (not machine and _is_key(tone)):
            return
        least = _SHORTEST if tone.hz >= _ABOVE_VOICES_HZ else _SHORTEST_OF_VOICE
        whole = tone.steady and least <= length <= _LONGEST
        if whole and not melody and (length >= _SHORT or self._is_sudden(tone, noise)):
            if self._sit <= 1:
                self._waits = tone
        elif not self._sit:
            self._dismiss(tone)

    def _dismiss(self, tone: Tone) -> None:
        """It was a voice, or music."""
        self.dismissed = tone
        if tone.ended - tone.began >= _NOTE and tone.drift_hz <= _NOTE_DRIFT_HZ:
            self._notes_heard.append(tone.power)

    def _is_sudden(self, tone: Tone, noise: float) -> bool:
        """Whether it was quiet before it, in most of five frames, the one in which it began left
        out: a lost packet may have spoilt its beginning."""
        ago = -((tone.began - self._at) // FRAME) + 2
        before = sorted(list(self._powers)[-ago - 4 : -ago + 1])
        usual = before[len(before) // 2] if before else 0.0
        return usual <= _QUIETER_SHORT * tone.power + _NOISE * noise

    def _is_melody(self, tone: Tone) -> bool:
        """Whether it is one of several tones that follow each other at different heights."""
        last, self._last = self._last, tone
        if last is None or tone.began - last.ended > _BETWEEN:
            self._notes = 1
        elif abs(tone.hz - last.hz) > _SAME_HZ:
            self._notes += 1
        return self._notes >= _MELODY

    def _announces(self, tone: Tone) -> bool:
        if self._sit and tone.began - self._heard > _BETWEEN:
            self._sit = 0
        low, high = _SIT_HZ[self._sit]
        fits = tone.other_hz is None and low <= tone.hz <= high
        fits = fits and 180 * _MS <= tone.ended - tone.began <= 480 * _MS
        self._sit = self._sit + 1 if fits else 0
        self._heard = tone.ended
        if self._sit < len(_SIT_HZ):
            return False
        self._sit = 0
        return True


class _LeftOver:
    """Ring-back with which a call begins: also a pair of frequencies that is no steady tone."""

    __slots__ = ("_had", "_over", "_spoilt")

    def __init__(self) -> None:
        self._had = self._spoilt = 0
        self._over = False

    @property
    def frames(self) -> int:
        """How many frames it has lasted, as long as it lasts."""
        return 0 if self._over or self._had < _LEAST_RING else self._had

    def take(self, frame: bytes, power: float) -> None:
        """The next frame and its mean square."""
        if self._over:
            return
        ring = power >= _RING_FLOOR and sum(_RING_BANK.powers(frame)) >= _RING_SHARE * power
        self._spoilt = 0 if ring else self._spoilt + 1
        self._had += 1
        self._over = self._spoilt > _RING_SPOILT


def _goes_on(tone: Tone, last: Tone) -> bool:
    """Whether a tone is the last one, interrupted."""
    paired = (tone.other_hz is None) == (last.other_hz is None)
    return paired and tone.began - last.ended <= _BETWEEN and abs(tone.hz - last.hz) <= _SAME_HZ


def _is_ringback(tone: Tone, length: int) -> bool:
    low, high = _RINGBACK_HZ if tone.other_hz is None else _RINGBACK_PAIR_HZ
    if not all(low <= hz <= high for hz in (tone.hz, tone.other_hz or tone.hz)):
        return False
    return tone.began <= _LEFT_OVER or length >= _RING


def may_call(tone: Tone) -> bool:
    """Whether a tone may be a fax that calls."""
    low, high = _CALLING_HZ
    least, most = _CALLING
    return (
        tone.other_hz is None
        and low <= tone.hz <= high
        and least <= tone.ended - tone.began <= most
    )


def may_be_note(tone: Tone) -> bool:
    """Whether a tone is so short that it may be a note of music."""
    return tone.ended - tone.began < _LONGEST_NOTE


def _is_key(tone: Tone) -> bool:
    """A key of the telephone: a pair of Q.23's, each within 1.6 %."""
    if tone.other_hz is None:
        return False
    row, column = sorted((tone.hz, tone.other_hz))
    return _one_of(row, ROWS_HZ) and _one_of(column, COLUMNS_HZ)


def _one_of(hz: int, frequencies: tuple[int, ...]) -> bool:
    return any(math.isclose(hz, each, rel_tol=0.016) for each in frequencies)
