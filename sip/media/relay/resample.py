"""From 8 to 16 kHz and back, by a half-band filter (ITU-T G.191's kind), 16-bit samples.

Of a half-band filter every second coefficient is zero but the middle one, so that one of two
samples is only delayed. The other is a sum over its neighbours, which `audioop` forms for a whole
frame at a time: per tap an addition, a multiplication and an addition of a frame. Flat to 3.4 kHz
within 0.1 dB, 50 dB down from 4.6 kHz; 1.4 ms of delay.
"""

from __future__ import annotations

import audioop
import math
from typing import Final

#: Taps on either side of the middle that are not zero.
_TAPS: Final = 12
#: Kaiser's window: about 55 dB in the stop band.
_BETA: Final = 5.0
#: Samples are 32 bits wide and this much smaller in between, so that no sum overflows.
_SCALE: Final = 0.25
_WIDTH: Final = 4
#: Half of the last bit that is cut off.
_ROUND: Final = 1 << 15


def _bessel(x: float) -> float:
    """The modified Bessel function of the first kind and order 0."""
    total = term = 1.0
    for k in range(1, 25):
        term *= (x / (2 * k)) ** 2
        total += term
    return total


def _coefficients() -> tuple[float, ...]:
    """Those of the odd distances 1, 3, 5 …, scaled so that each half of the filter passes 0 Hz."""
    length = 2 * _TAPS
    taps = [
        math.sin(math.pi * d / 2) / (math.pi * d / 2) / 2
        * _bessel(_BETA * math.sqrt(1 - (d / length) ** 2)) / _bessel(_BETA)
        for d in range(1, length, 2)
    ]  # fmt: skip
    whole = 2 * sum(taps)
    return tuple(tap / whole for tap in taps)


_COEFFICIENTS: Final = _coefficients()


class _Half:
    """One phase of the filter over a stream: the sample between its 12th and 13th newest."""

    __slots__ = ("_past",)

    def __init__(self) -> None:
        self._past = bytes(_WIDTH * (2 * _TAPS - 1))

    def between(self, wide: bytes) -> bytes:
        """`wide` samples in, as many out."""
        line = self._past + wide
        self._past = line[-_WIDTH * (2 * _TAPS - 1) :]
        size = len(wide)
        total = b""
        for k, coefficient in enumerate(_COEFFICIENTS):
            left, right = _WIDTH * (_TAPS - 1 - k), _WIDTH * (_TAPS + k)
            pair = audioop.add(line[left : left + size], line[right : right + size], _WIDTH)
            product = audioop.mul(pair, _WIDTH, coefficient)
            total = audioop.add(total, product, _WIDTH) if total else product
        return total


class _Delay:
    """The other phase: the samples themselves, late by as much as the filter."""

    __slots__ = ("_past",)

    def __init__(self) -> None:
        self._past = bytes(_WIDTH * _TAPS)

    def delayed(self, wide: bytes) -> bytes:
        line = self._past + wide
        self._past = line[len(wide) :]
        return line[: len(wide)]


class Doubler:
    """8 kHz in, 16 kHz out: a stream of frames of any length."""

    __slots__ = ("_delay", "_half")

    def __init__(self) -> None:
        self._half = _Half()
        self._delay = _Delay()

    def take(self, pcm: bytes) -> bytes:
        """Twice as many samples as `pcm`."""
        if not pcm:
            return b""
        wide = _wide(pcm)
        even, odd = self._delay.delayed(wide), self._half.between(wide)
        # the two phases as the channels of a stereo signal are the samples in their order
        both = audioop.add(
            audioop.tostereo(even, _WIDTH, 1, 0), audioop.tostereo(odd, _WIDTH, 0, 1), _WIDTH
        )
        return _narrow(both, 1.0)


class Halver:
    """16 kHz in, 8 kHz out: a stream of frames of an even number of samples."""

    __slots__ = ("_delay", "_half")

    def __init__(self) -> None:
        self._half = _Half()
        self._delay = _Delay()

    def take(self, pcm: bytes) -> bytes:
        """Half as many samples as `pcm`."""
        if not pcm:
            return b""
        wide = _wide(pcm)
        even = audioop.tomono(wide, _WIDTH, 1, 0)
        odd = audioop.tomono(wide, _WIDTH, 0, 1)
        total = audioop.add(self._delay.delayed(odd), self._half.between(even), _WIDTH)
        return _narrow(total, 0.5)


def _wide(pcm: bytes) -> bytes:
    return audioop.mul(audioop.lin2lin(pcm, 2, _WIDTH), _WIDTH, _SCALE)


def _narrow(wide: bytes, gain: float) -> bytes:
    full = audioop.mul(wide, _WIDTH, gain / _SCALE)
    return audioop.lin2lin(audioop.bias(full, _WIDTH, _ROUND), _WIDTH, 2)
