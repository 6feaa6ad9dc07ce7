"""Melodies by which a recording is recognised: who was heard, and when.

Packet counts say that something arrived; they do not say what. So each end of a test call sings
a melody of its own, and the other end looks for it in what it recorded. The melodies are pure
tones that survive G.711, a changed level, a few per cent of lost packets and any delay, and that
neither silence, noise, speech nor the other melody resembles.

All audio here is PCM16, little-endian, mono, 8 kHz.
"""

import math
import sys
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from operator import mul

SAMPLE_RATE_HZ = 8000
FRAME_MS = 20
FRAME_SAMPLES = SAMPLE_RATE_HZ * FRAME_MS // 1000

Melody = tuple[tuple[int, int], ...]
"""Notes as (frequency in Hz, duration in ms).

Frequencies are multiples of 50 Hz and durations multiples of 20 ms, four frames or more: then a
note is a whole number of periods in each frame, and no other note leaks into its measurement.
"""

#: The two share no note, and no note comes twice in either, so that neither resembles the other,
#: nor itself played backwards. All notes lie well inside the telephone band of 300 to 3400 Hz.
AGENT: Melody = ((700, 160), (1300, 160), (500, 160), (1100, 160), (1500, 160), (900, 160))
CALLER: Melody = ((1000, 160), (600, 160), (1400, 160), (800, 160), (1600, 160), (1200, 160))

#: A score from here up counts as heard: five of the six notes, or all with some of their frames
#: lost. What is not the melody stays far below (speech: under 0.4).
HEARD_FROM = 0.75

_FADE_SAMPLES = SAMPLE_RATE_HZ * 5 // 1000  # 5 ms; a hard edge would click, and smear in a codec
_FLOOR_RMS = 50.0  # about -56 dBFS: below it, a frame is silence and has no pitch
_PURITY_NONE, _PURITY_FULL = 0.3, 0.7  # share of a frame's energy at the note's frequency
_SLIP_FRAMES = 2  # how far a note may come early or late by lost or repeated packets


@dataclass(frozen=True, slots=True)
class Match:
    """How well a melody was found (0..1), and where it starts, give or take 40 ms."""

    score: float
    at_ms: int

    @property
    def heard(self) -> bool:
        return self.score >= HEARD_FROM


def duration_ms(melody: Melody) -> int:
    return sum(note_ms for _, note_ms in melody)


def synthesise(melody: Melody, *, level_dbfs: float = -12.0) -> bytes:
    """The melody as PCM16; level_dbfs is the peak of its tones against full scale."""
    amplitude = 32767 * 10 ** (level_dbfs / 20)
    samples: list[int] = []
    for hz, note_ms in melody:
        count = SAMPLE_RATE_HZ * note_ms // 1000
        step = 2 * math.pi * hz / SAMPLE_RATE_HZ
        for n in range(count):
            fade = min(1.0, (n + 1) / _FADE_SAMPLES, (count - n) / _FADE_SAMPLES)
            samples.append(round(amplitude * fade * math.sin(step * n)))
    return from_samples(samples)


def find(melody: Melody, pcm: bytes) -> Match:
    """Looks for the melody anywhere in a recording; an odd last byte is ignored.

    The notes are followed in order, each at the time it should follow the one before, give or
    take two frames. The score is the mean over the notes of how purely each was heard.
    """
    frames = _frames(pcm)
    lengths = [note_ms // FRAME_MS for _, note_ms in melody]
    total = len(frames)
    # likeness[i][t]: note i heard from frame t on. best[t]: notes i.. heard from frame t on.
    best: list[float] = [0.0] * (total + 1)
    for (hz, _), length in zip(reversed(melody), reversed(lengths), strict=True):
        alone = _likeness(frames, hz, length)
        best = [
            likeness + max(best[max(0, t + length - _SLIP_FRAMES) : t + length + _SLIP_FRAMES + 1])
            if t + length - _SLIP_FRAMES <= total
            else likeness
            for t, likeness in enumerate(alone)
        ]
    at = max(range(total + 1), key=best.__getitem__)
    return Match(score=min(1.0, best[at] / len(melody)), at_ms=at * FRAME_MS)


def to_samples(pcm: bytes) -> Sequence[int]:
    """PCM16 bytes as numbers; an odd last byte is ignored."""
    samples = array("h", pcm[: len(pcm) & ~1])
    if sys.byteorder == "big":
        samples.byteswap()
    return samples


def from_samples(samples: Sequence[int]) -> bytes:
    out = array("h", samples)
    if sys.byteorder == "big":
        out.byteswap()
    return out.tobytes()


def _frames(pcm: bytes) -> list[tuple[Sequence[int], float]]:
    """Whole 20 ms frames, each with its energy (0.0 where it is silence)."""
    samples = to_samples(pcm)
    floor = _FLOOR_RMS**2 * FRAME_SAMPLES
    frames: list[tuple[Sequence[int], float]] = []
    for start in range(0, len(samples) - FRAME_SAMPLES + 1, FRAME_SAMPLES):
        frame = samples[start : start + FRAME_SAMPLES]
        energy = float(sum(map(mul, frame, frame)))
        frames.append((frame, energy if energy >= floor else 0.0))
    return frames


def _likeness(frames: list[tuple[Sequence[int], float]], hz: int, length: int) -> list[float]:
    """For each frame, how purely a note that started there was heard (0..1), and 0 at the end.

    A recording's frames rarely fall on the note's edges, so its first and last frame are left out.
    """
    pure = [_purity(frame, energy, hz) for frame, energy in frames]
    inner = length - 2
    likeness = [
        sum(pure[t + 1 : t + 1 + inner]) / inner if t + length - 1 <= len(pure) else 0.0
        for t in range(len(pure))
    ]
    return [*likeness, 0.0]


def _purity(frame: Sequence[int], energy: float, hz: int) -> float:
    """How much of a frame is one tone: 0 from 30 % of its energy down, 1 from 70 % up."""
    if not energy:
        return 0.0
    cosine, sine = _waves(hz)
    real: float = sum(map(mul, frame, cosine))
    imaginary: float = sum(map(mul, frame, sine))
    # A pure tone of amplitude A has energy N A^2 / 2 and correlation (N A / 2): the ratio is 1.
    share = 2 * (real * real + imaginary * imaginary) / (FRAME_SAMPLES * energy)
    return min(1.0, max(0.0, (share - _PURITY_NONE) / (_PURITY_FULL - _PURITY_NONE)))


_WAVES: dict[int, tuple[list[float], list[float]]] = {}


def _waves(hz: int) -> tuple[list[float], list[float]]:
    if hz not in _WAVES:
        step = 2 * math.pi * hz / SAMPLE_RATE_HZ
        _WAVES[hz] = (
            [math.cos(step * n) for n in range(FRAME_SAMPLES)],
            [math.sin(step * n) for n in range(FRAME_SAMPLES)],
        )
    return _WAVES[hz]
