"""Tones of the telephone: made, and measured in what is heard.

All audio here is PCM16, little-endian, one channel, 8 kHz. Levels are dBm0 (ITU-T G.711: a sine of
full scale is +3.17 of the A-law and +3.14 of the mu-law; the difference does not matter here).

A tone is measured by its correlation with a cosine and a sine, which is what Goertzel's algorithm
yields for one frequency. `audioop` correlates in C: a microsecond for a tone and a window.
"""

from __future__ import annotations

import audioop
import math
import sys
from array import array
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

RATE_HZ: Final = 8000

#: Root mean square of 0 dBm0 in PCM16.
ZERO_DBM0: Final = 32768 / math.sqrt(2) * 10 ** (-3.17 / 20)

#: Length of the rise and fall of a tone that is made: a hard edge would click.
_EDGE_SAMPLES: Final = 2 * RATE_HZ // 1000
#: Amplitude of what is correlated with: large, so that rounding is small.
_REFERENCE: Final = 32000


def rms_of(level_dbm0: float) -> float:
    """The root mean square of a level, in steps of PCM16."""
    return float(ZERO_DBM0 * 10 ** (level_dbm0 / 20))


def level_of(rms: float) -> float:
    """The level of a root mean square, in dBm0; minus infinity for silence."""
    return 20 * math.log10(rms / ZERO_DBM0) if rms > 0 else -math.inf


def tone(
    frequencies_hz: Sequence[float], duration_ms: float, *, level_dbm0: float = -10.0
) -> bytes:
    """Tones at once, each of that level, with soft edges; without any, silence.

    What would not fit in 16 bits is clipped.
    """
    count = round(RATE_HZ * duration_ms / 1000)
    samples = _samples(frequencies_hz, 0, count, level_dbm0)
    for n in range(min(_EDGE_SAMPLES, count // 2)):
        samples[n] *= n / _EDGE_SAMPLES
        samples[-1 - n] *= n / _EDGE_SAMPLES
    return _clipped(samples)


def stretch(
    frequencies_hz: Sequence[float], start: int, count: int, *, level_dbm0: float = -10.0
) -> bytes:
    """`count` samples of tones without an end, from the sample `start` on: a frame of many."""
    return _clipped(_samples(frequencies_hz, start, count, level_dbm0))


def _samples(
    frequencies_hz: Sequence[float], start: int, count: int, level_dbm0: float
) -> list[float]:
    amplitude = rms_of(level_dbm0) * math.sqrt(2)
    steps = [2 * math.pi * hz / RATE_HZ for hz in frequencies_hz]
    return [
        amplitude * sum([math.sin(step * n) for step in steps]) for n in range(start, start + count)
    ]


def _clipped(samples: Sequence[float]) -> bytes:
    return pcm16([max(-32768, min(32767, round(sample))) for sample in samples])


def pcm16(samples: Sequence[int]) -> bytes:
    """Samples as PCM16, little-endian."""
    data = array("h", samples)
    if sys.byteorder == "big":
        data.byteswap()
    return data.tobytes()


class Bank:
    """Measures some frequencies in windows of `size` samples.

    A window of N samples tells apart what lies 8000/N Hz apart; a tone that lies off its frequency
    by a quarter of that is measured 0.9 dB too low.
    """

    __slots__ = ("_pairs", "size")

    def __init__(self, frequencies_hz: Sequence[float], size: int) -> None:
        self.size = size
        self._pairs = [_waves(hz, size) for hz in frequencies_hz]

    def powers(self, window: bytes) -> list[float]:
        """The mean square of each frequency in a window of `size` samples, in their order.

        That of a tone of root mean square R is R². Raises `audioop.error` for another length.
        """
        correlate = audioop.findfactor
        return [
            _SCALE * (correlate(window, cosine) ** 2 + correlate(window, sine) ** 2)
            for cosine, sine in self._pairs
        ]


_SCALE: Final = _REFERENCE**2 / 2


@lru_cache(maxsize=256)
def _waves(hz: float, size: int) -> tuple[bytes, bytes]:
    """A cosine and a sine, in a window that is shared by all that measure it."""
    step = 2 * math.pi * hz / RATE_HZ
    return (
        pcm16([round(_REFERENCE * math.cos(step * n)) for n in range(size)]),
        pcm16([round(_REFERENCE * math.sin(step * n)) for n in range(size)]),
    )
