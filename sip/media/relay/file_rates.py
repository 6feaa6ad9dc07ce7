"""Any usual sampling rate to the telephone's 8 kHz, a piece at a time.

A low-pass filter (windowed sinc) takes away what 8 kHz cannot carry, which would come back as noise
otherwise: what lies above 4.6 kHz is 60 dB down, and 300-3400 Hz pass. Each piece is made from
the file alone, so that pieces may be asked for in any order and nothing is converted in advance.
"""

from __future__ import annotations

import audioop
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from sip.media.tones import RATE_HZ, pcm16

#: What files have. Others would take a table for each sample.
RATES_HZ: Final = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)

_PASS_HZ: Final = 3400.0
_STOP_HZ: Final = 4600.0
_REJECTION_DB: Final = 60.0
#: The largest coefficient in 16 bits.
_FULL: Final = 32000


class _Filter(NamedTuple):
    """A phase's coefficients, and what `audioop.findfactor` divides their product by."""

    taps: bytes
    divided_by: float


class _Bank(NamedTuple):
    """The filters of one rate: output sample n is at input `n * step / len(phases)`."""

    step: int
    size: int
    phases: Sequence[_Filter]


def resampled(samples: bytes, rate_hz: int, first: int, count: int) -> bytes:
    """`count` samples of 8 kHz from `first` on, of PCM16 at one of `RATES_HZ`; one channel.

    Before its beginning and after its end the file is silent.
    """
    bank = _bank(rate_hz)
    step, size, phases = bank
    up = len(phases)
    begin = first * step // up - size // 2 + 1
    end = (first + count - 1) * step // up + size // 2 + 1
    piece = _piece(samples, begin, end)
    out = []
    for n in range(first, first + count):
        at, phase = divmod(n * step, up)
        start = 2 * (at - size // 2 + 1 - begin)
        taps, divided_by = phases[phase]
        value = audioop.findfactor(piece[start : start + 2 * size], taps) * divided_by
        out.append(max(-32768, min(32767, round(value))))
    return pcm16(out)


def _piece(samples: bytes, begin: int, end: int) -> bytes:
    """Samples from `begin` to `end`, silence where there are none."""
    before = max(0, -begin)
    piece = bytes(2 * before) + samples[2 * max(0, begin) : 2 * max(0, end)]
    return piece.ljust(2 * (end - begin), b"\0")


@lru_cache(maxsize=len(RATES_HZ))
def _bank(rate_hz: int) -> _Bank:
    """Kaiser's design: the length follows from the width of the transition."""
    common = math.gcd(rate_hz, RATE_HZ)
    up, step = RATE_HZ // common, rate_hz // common
    width = 2 * math.pi * (_STOP_HZ - _PASS_HZ) / rate_hz
    size = 2 * math.ceil((_REJECTION_DB - 7.95) / (2.285 * width) / 2)
    beta = 0.1102 * (_REJECTION_DB - 8.7)
    cutoff = (_PASS_HZ + _STOP_HZ) / rate_hz
    return _Bank(step, size, [_filter(size, cutoff, beta, phase / up) for phase in range(up)])


def _filter(size: int, cutoff: float, beta: float, shift: float) -> _Filter:
    """One phase: `shift` is how far, in input samples, the output lies after the middle."""
    half = size // 2
    offsets = [k - (half - 1) - shift for k in range(size)]
    values = [_sinc(cutoff * x) * _kaiser(x / half, beta) for x in offsets]
    gain = _FULL / max(map(abs, values))
    taps = [round(gain * value) for value in values]
    energy = sum(tap * tap for tap in taps)
    return _Filter(pcm16(taps), energy / sum(taps))


def _sinc(x: float) -> float:
    return math.sin(math.pi * x) / (math.pi * x) if x else 1.0


def _kaiser(x: float, beta: float) -> float:
    return _bessel(beta * math.sqrt(max(0.0, 1 - x * x))) / _bessel(beta) if abs(x) < 1 else 0.0


def _bessel(x: float) -> float:
    """The modified Bessel function of order 0, by its series."""
    total = term = 1.0
    k = 1
    while term > 1e-12 * total:
        term *= (x / (2 * k)) ** 2
        total += term
        k += 1
    return total
