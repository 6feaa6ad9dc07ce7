"""What a caller hears while the other side rings, by country.

Frequencies and cadences are those of ITU-T E.180 Supplement 2, "Various tones used in national
networks" (2003), where it has several, the one of digital exchanges. A tone that it calls modulated
(400 x 25) is written as the two frequencies that beat alike (387.5 + 412.5).
"""

from __future__ import annotations

import audioop
import math
import struct
from collections.abc import Mapping
from typing import Final, NamedTuple

from sip.media.tones import RATE_HZ, pcm16, rms_of

#: E.180 6.1: between -10 and -30 dBm0 where the subscriber hears it; of two frequencies, each.
_AMPLITUDE: Final = rms_of(-16.0) * math.sqrt(2)
#: WAV's number of the coding.
_MU_LAW: Final = 7
_EDGE_SAMPLES: Final = 2 * RATE_HZ // 1000


class Ringback(NamedTuple):
    """Frequencies at once, and the milliseconds for which they sound and are silent in turn.

    Frequencies are multiples of 0.5 Hz.
    """

    frequencies_hz: tuple[float, ...]
    cadence_ms: tuple[int, ...]

    def cycle(self) -> bytes:
        """A whole cycle, as PCM16 of 8 kHz: to be repeated as long as it rings."""
        sounding = [
            bytes(2 * length) if index % 2 else self._tone(length)
            for index, length in enumerate(ms * RATE_HZ // 1000 for ms in self.cadence_ms)
        ]
        return b"".join(sounding)

    def wav(self) -> bytes:
        """A cycle as a WAV file of mu-law: 6 s of it fit a datagram."""
        head = struct.pack("<HHIIHH", _MU_LAW, 1, RATE_HZ, RATE_HZ, 1, 8)
        data = audioop.lin2ulaw(self.cycle(), 2)
        return _chunk(b"RIFF", b"WAVE" + _chunk(b"fmt ", head) + _chunk(b"data", data))

    def _tone(self, length: int) -> bytes:
        """So many samples. Sums of sines repeat soon, so that few of them have to be computed."""
        halves = 2 * RATE_HZ  # of 1 Hz
        period = halves // math.gcd(halves, *[round(2 * hz) for hz in self.frequencies_hz])
        steps = [2 * math.pi * hz / RATE_HZ for hz in self.frequencies_hz]
        once = [
            round(_AMPLITUDE * sum([math.sin(step * n) for step in steps]))
            for n in range(min(period, length))
        ]
        samples = (once * -(-length // len(once)))[:length]
        for n in range(_EDGE_SAMPLES):  # a hard edge would click
            samples[n] = samples[n] * n // _EDGE_SAMPLES
            samples[-1 - n] = samples[-1 - n] * n // _EDGE_SAMPLES
        return pcm16(samples)


def _chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data


_DOUBLE: Final = (400, 200, 400, 2000)


def _one(hz: float, on_ms: int = 1000, off_ms: int = 4000) -> Ringback:
    return Ringback((hz,), (on_ms, off_ms))


_EUROPEAN: Final = _one(425)
_AMERICAN: Final = Ringback((440, 480), (2000, 4000))
_BRITISH: Final = Ringback((400, 450), _DOUBLE)

#: By ISO 3166's two letters.
RINGBACK: Final[Mapping[str, Ringback]] = {
    # North America (the numbering plan's precise tones)
    **dict.fromkeys(("US", "CA", "PR", "DO", "JM"), _AMERICAN),
    # 425 Hz, one second in five (E.180 6.2's recommendation)
    **dict.fromkeys(
        (
            *("BG", "BR", "CH", "CZ", "DE", "DK", "EE", "FI", "GR", "ID", "IT", "LT"),
            *("MX", "NL", "NO", "PL", "VE"),
        ),
        _EUROPEAN,
    ),
    **dict.fromkeys(("AE", "GB", "IE", "NZ"), _BRITISH),
    "AR": _one(425, 1000, 4500),
    "AT": _one(420, 1000, 5000),
    "AU": Ringback((413, 438), _DOUBLE),
    "BE": _one(425, 1000, 3000),
    "CL": _one(400, 1000, 3000),
    "CN": _one(450),
    "ES": _one(425, 1500, 3000),
    "FR": _one(440, 1500, 3500),
    "HU": _one(425, 1250, 3750),
    "IL": _one(400, 1000, 3000),
    "IN": Ringback((387.5, 412.5), _DOUBLE),
    "JP": Ringback((392, 408), (1000, 2000)),
    "MY": Ringback((425,), _DOUBLE),
    "PH": Ringback((425, 480), (1000, 4000)),
    "PT": _one(425, 1000, 5000),
    "SE": _one(425, 1000, 5000),
    "SG": Ringback((413, 437), _DOUBLE),
    "TH": _one(400),
    "TW": Ringback((440, 480), (1000, 2000)),
    "ZA": Ringback((383.5, 416.5), _DOUBLE),
}


def ringback(country: str | None) -> Ringback:
    """A country's, by its two letters; E.180's recommendation for one that is not listed."""
    return RINGBACK.get((country or "").upper(), _EUROPEAN)
