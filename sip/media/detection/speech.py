"""When somebody speaks: from the levels of frames to a first word, a last one, and pauses.

A frame is 20 ms. What counts as speech is relative: it must stand out from the line's noise, and be
in the upper half of what lies between the noise and the loudest words, so that music or a
television behind a person is none. Both ends move while more is heard; then all of it is judged
anew.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import Final

FRAME_MS: Final = 20

#: Levels are dBm0. Quieter than that is as good as nothing: the steps of G.711 are not far below.
NOTHING: Final = -75.0
#: The quietest speech that is taken, and how far it stands out from the noise at least.
_FAINTEST: Final = -48.0
_STANDS_OUT: Final = 9.0
#: The share of frames that are taken for noise: also in speech without pauses some are quiet.
_NOISE_SHARE: Final = 0.1
#: Speech begins above what is usual in the lower half of all levels: by so many dB, or by so many
#: times what lies between the usual and the low ones there, as music varies more than noise. It
#: begins within those bounds below the loudest word.
_ABOVE: Final = 5.0
_SPREADS: Final = 2.0
_USUAL: Final = 3
_LOW: Final = 12
_LOWEST: Final = 14.0
#: The same where nothing sounds behind the speaker: where it was so much quieter than the loudest
#: word, in so many frames at least, until shortly before the first word.
_LOWEST_ALONE: Final = 19.0
_BEHIND: Final = 22.0
_BEFORE: Final = 10
_RISING: Final = 5
#: A word that has begun goes on until it is so much below the loudest one, as words fade.
_LOWEST_END: Final = 28.0
_HIGHEST: Final = 6.0
#: A change of that threshold, in dB, for which what was heard is judged anew.
_MOVED: Final = 1.0

#: Frames of a level: the median of them forgives a click, and a packet that was lost.
_SMOOTH: Final = 5
_LAG: Final = _SMOOTH // 2
#: Frames of sound that make a word; those of them that are loud at least, and those in which it
#: may rise before.
_WORD: Final = 4
_LOUD: Final = 2
_RISE: Final = 3
#: By how much the frames of a word differ at least, in dB: noise that begins or ends is even.
_UNEVEN: Final = 5.0
#: Frames between words that make a pause: what is shorter is within a word too.
_PAUSE: Final = 5
#: The newest frames that tell what is usual since the last word.
_SINCE: Final = 60
#: How many frames are remembered: 20 s.
_REMEMBERED: Final = 1000


class Speech:
    """What has been spoken so far."""

    __slots__ = (
        *("_least", "_levels", "_loud", "_lower", "_most", "_raw", "_run", "_smooth"),
        "_sorted",
        *("_threshold", "_told", "began", "ended", "frames", "loudest", "pauses", "spoken"),
    )

    def __init__(self) -> None:
        #: The levels of all frames; the same, of tones nothing; and the same, made smooth.
        self._levels: list[float] = []
        self._raw: list[float] = []
        self._smooth: list[float] = []
        self._sorted: list[float] = []
        self._threshold = self._lower = 0.0
        #: The loudest word so far.
        self.loudest = NOTHING
        #: Frames that were taken.
        self.frames = 0
        self._forget()

    def _forget(self) -> None:
        #: The frame with which the first word began, and the one after the last word's.
        self.began: int | None = None
        self.ended = 0
        #: Frames of words.
        self.spoken = 0
        #: Of each pause of `_PAUSE` frames at least, the frame with which it began and the one with
        #: which the next word did.
        self.pauses: list[tuple[int, int]] = []
        #: Frames of sound in a row, how many of them count as a word, and their levels.
        self._run = self._loud = self._told = 0
        self._least = self._most = NOTHING

    @property
    def floor(self) -> float:
        """The level of the line's noise."""
        return self._sorted[int(_NOISE_SHARE * len(self._sorted))] if self._sorted else NOTHING

    @property
    def span(self) -> int:
        """Frames from the first word's beginning to the last one's end."""
        return 0 if self.began is None else self.ended - self.began

    @property
    def quiet(self) -> int:
        """Frames since the last word."""
        return self.frames - self.ended

    @property
    def levels_since(self) -> list[float]:
        """The levels of the frames since the last word, the newest 1.2 s of them at most."""
        return self._levels[max(self.ended, self.frames - _SINCE) :]

    @property
    def usual_since(self) -> float:
        """The usual level since the last word."""
        since = sorted(self.levels_since)
        return since[len(since) // 2] if since else NOTHING

    @property
    def sounds(self) -> bool:
        """Whether the newest frame is as loud as speech, whatever it will be."""
        return bool(self._threshold) and self._raw[-1] >= self._threshold

    def take(self, level: float, *, toned: bool = False) -> None:
        """The level of the next frame; `toned` tells that it is a tone's, and no speech."""
        self.frames += 1
        self._levels.append(level)
        self._raw.append(NOTHING if toned else level)
        whole = self.frames >= _SMOOTH
        smooth = self._smoothed(self.frames - 1)
        lost = level == NOTHING and smooth > NOTHING
        if whole and not toned and not lost:
            insort(self._sorted, level)
        self._smooth.append(smooth)
        self.loudest = max(self.loudest, smooth)
        if self.frames <= _REMEMBERED or not self._threshold:
            threshold, lower = self._now()
            moved = max(abs(threshold - self._threshold), abs(lower - self._lower))
            if moved > _MOVED:
                self._threshold, self._lower = threshold, lower
                self._anew()
                return
        self._judge(self.frames - 1, smooth)

    def retract(self, frames: int) -> None:
        """The newest frames were a tone's, and no speech."""
        first = max(self.frames - frames, 0)
        for index in range(first, self.frames):
            level = self._raw[index]
            if level > NOTHING and index >= _SMOOTH - 1:
                del self._sorted[bisect_left(self._sorted, level)]
            self._raw[index] = NOTHING
        for index in range(first, self.frames):
            self._smooth[index] = NOTHING
        self._changed()

    def restore(self, first: int, last: int) -> None:
        """The frames from `first` to before `last` were no tone's after all."""
        last = min(last, self.frames)
        for index in range(first, last):
            if self._raw[index] <= NOTHING < self._levels[index]:
                self._raw[index] = self._levels[index]
                if index >= _SMOOTH - 1:
                    insort(self._sorted, self._levels[index])
        for index in range(first, min(last + _SMOOTH, self.frames)):
            self._smooth[index] = self._smoothed(index)
        self._changed()

    def _smoothed(self, index: int) -> float:
        if index < _SMOOTH - 1:
            return NOTHING
        return sorted(self._raw[index - _SMOOTH + 1 : index + 1])[_LAG]

    def _changed(self) -> None:
        self.loudest = max(self._smooth)
        self._threshold, self._lower = self._now()
        self._anew()

    def _anew(self) -> None:
        self._forget()
        for index, each in enumerate(self._smooth):
            self._judge(index, each)

    def _now(self) -> tuple[float, float]:
        """From which level on speech begins, and down to which it goes on; zeros without any."""
        floor, loudest = self.floor, self.loudest
        if not self._sorted or loudest < _FAINTEST or loudest - floor < _STANDS_OUT:
            return 0.0, 0.0
        middle = (floor + loudest) / 2
        below = bisect_left(self._sorted, middle)
        usual, low = self._sorted[below // _USUAL], self._sorted[below // _LOW]
        above = usual + max(_ABOVE, _SPREADS * (usual - low))
        lowest = _LOWEST_ALONE if self._is_alone(loudest) else _LOWEST
        begins = max(min(above, middle, loudest - _HIGHEST), loudest - lowest)
        return begins, min(begins, max(above, loudest - _LOWEST_END))

    def _is_alone(self, loudest: float) -> bool:
        """Whether nothing was heard before the first word that may sound behind the speaker."""
        if self.began is None or self.began < _BEFORE + _SMOOTH:
            return False
        before = self._smooth[: self.began - _RISING]
        return max(before) < loudest - _BEHIND

    def _judge(self, index: int, level: float) -> None:
        if not self._threshold or level < self._lower:
            self._run = self._loud = self._told = 0
            return
        if level >= self._threshold:
            self._loud += 1
        elif not self._loud:
            self._run = min(self._run, _RISE - 1)
        raw = self._raw[index]
        if not self._run:
            self._least = self._most = level
        elif raw > NOTHING:
            self._least, self._most = min(self._least, raw), max(self._most, raw)
        self._run += 1
        even = self._most - self._least < _UNEVEN
        if self._run < _WORD or self._loud < _LOUD or (even and not self._told):
            return
        added = self._run - self._told
        self._told = self._run
        end = index + 1 - _LAG
        begun = max(end - self._run, 0)
        if self.began is None:
            self.began = begun
        elif added == self._run and begun - self.ended >= _PAUSE:
            self.pauses.append((self.ended, begun))
        self.spoken += added
        self.ended = end
