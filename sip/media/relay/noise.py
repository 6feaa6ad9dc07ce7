"""Comfort noise (RFC 3389): what fills a silence, so that a line does not sound dead."""

from __future__ import annotations

import audioop
import math
import random
import struct
from functools import lru_cache
from typing import Final

#: What is understood and made: payloads whose first octet is the level, in -dBov.
QUIETEST: Final = 127
#: A quiet room on a telephone, in -dBov: for a silence of which nothing is known.
USUAL: Final = 60

#: 0 dBov is a square wave of full scale (RFC 3389 3.1).
_FULL_SCALE: Final = 32768.0
#: Noise of this effective value is made once, and then made louder or softer.
_PROTOTYPE_RMS: Final = 3000
_PROTOTYPE_SAMPLES: Final = 8000


def comfort_noise(level: int = USUAL) -> bytes:
    """The payload that says noise of `level` -dBov; white, as no spectrum is told."""
    return bytes((min(max(level, 0), QUIETEST),))


def noise_level(payload: bytes) -> int:
    """The level of a payload in -dBov; the spectrum that may follow is not needed."""
    return payload[0] & 0x7F if payload else QUIETEST


def level_of(pcm: bytes) -> int:
    """The level of samples in -dBov."""
    rms = audioop.rms(pcm, 2) if pcm else 0
    if rms == 0:
        return QUIETEST
    return min(max(round(-20 * math.log10(rms / _FULL_SCALE)), 0), QUIETEST)


class Noise:
    """Noise by the frame. `rng` chooses where in a second of it each frame is cut."""

    __slots__ = ("_rng",)

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def pcm(self, samples: int, level: int) -> bytes:
        """As many samples at `level` -dBov."""
        if level >= QUIETEST:
            return bytes(2 * samples)
        whole = _prototype()
        frame = b""
        while len(frame) < 2 * samples:
            start = 2 * self._rng.randrange(_PROTOTYPE_SAMPLES // 2)
            frame += whole[start : start + 2 * samples - len(frame)]
        gain = _FULL_SCALE * 10 ** (-level / 20) / _PROTOTYPE_RMS
        return audioop.mul(frame, 2, gain)


@lru_cache(maxsize=1)
def _prototype() -> bytes:
    """A second of noise, softer towards high tones, always the same."""
    rng = random.Random(3389)
    values, before = [], 0.0
    for _ in range(_PROTOTYPE_SAMPLES):
        white = rng.gauss(0.0, 1.0)
        values.append(white + before)
        before = white
    scale = _PROTOTYPE_RMS / math.sqrt(sum(v * v for v in values) / len(values))
    samples = [max(-32768, min(32767, round(v * scale))) for v in values]
    return struct.pack(f"={len(samples)}h", *samples)
