"""WAV files as the relay plays them: PCM16 of a usual rate, or G.711; one channel or two.

What is played is always 8 kHz. A file of another rate is converted while it is played, 20 ms at a
time, and what was converted is kept with it.
"""

from __future__ import annotations

import audioop
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from sip.media.plane import MediaError
from sip.media.relay.file_rates import RATES_HZ, resampled
from sip.media.tones import RATE_HZ

FRAME_MS: Final = 20
FRAME_SAMPLES: Final = RATE_HZ * FRAME_MS // 1000

#: Longest file, in octets: 20 minutes of 8 kHz PCM16, 100 s of 48 kHz in two channels.
MAX_FILE: Final = 20_000_000

_HOW = "make one with: sox IN.wav -r 8000 -c 1 -b 16 OUT.wav"
_FORMAT = struct.Struct("<HHIIHH")
_EXTENSIBLE = 0xFFFE
#: What a writer to a pipe says of a length that it does not know yet.
_UNKNOWN_SIZE = 0xFFFFFFFF


class Coding(Enum):
    """How samples are written; the value is the format tag and the bits of a sample."""

    PCM16 = (1, 16)
    PCMA = (6, 8)
    PCMU = (7, 8)

    @property
    def width(self) -> int:
        """Octets of a sample."""
        return self.value[1] // 8


_CODINGS = {coding.value: coding for coding in Coding}

#: By what the file has and what the party takes.
_CONVERT: dict[tuple[Coding, Coding], Callable[[bytes], bytes]] = {
    (Coding.PCM16, Coding.PCMU): lambda data: audioop.lin2ulaw(data, 2),
    (Coding.PCM16, Coding.PCMA): lambda data: audioop.lin2alaw(data, 2),
    (Coding.PCMA, Coding.PCMU): lambda data: audioop.lin2ulaw(audioop.alaw2lin(data, 2), 2),
    (Coding.PCMU, Coding.PCMA): lambda data: audioop.lin2alaw(audioop.ulaw2lin(data, 2), 2),
    (Coding.PCMA, Coding.PCMA): lambda data: data,
    (Coding.PCMU, Coding.PCMU): lambda data: data,
    (Coding.PCM16, Coding.PCM16): lambda data: data,
    (Coding.PCMA, Coding.PCM16): lambda data: audioop.alaw2lin(data, 2),
    (Coding.PCMU, Coding.PCM16): lambda data: audioop.ulaw2lin(data, 2),
}
_SILENCE = {Coding.PCMA: b"\xd5", Coding.PCMU: b"\xff", Coding.PCM16: b"\0"}


@dataclass(frozen=True, slots=True)
class Clip:
    """The samples of one file, one channel. A rate other than 8 kHz is PCM16's alone."""

    coding: Coding
    data: bytes
    rate_hz: int = RATE_HZ
    #: frames that were converted from another rate
    _made: dict[int, bytes] = field(default_factory=dict, compare=False)

    @property
    def samples(self) -> int:
        """How many samples there are at 8 kHz."""
        return len(self.data) // self.coding.width * RATE_HZ // self.rate_hz

    @property
    def frames(self) -> int:
        """20 ms pieces, the last one perhaps filled up with silence."""
        return max(1, -(-self.samples // FRAME_SAMPLES))

    @property
    def duration_ms(self) -> int:
        return self.samples * 1000 // RATE_HZ

    def frame(self, index: int, coding: Coding) -> bytes:
        """20 ms of 8 kHz. Converted one at a time, so that no long file holds up audio."""
        if self.rate_hz != RATE_HZ:
            return _CONVERT[self.coding, coding](self._resampled(index))
        size = FRAME_SAMPLES * self.coding.width
        data = _CONVERT[self.coding, coding](self.data[index * size : (index + 1) * size])
        return data.ljust(FRAME_SAMPLES * coding.width, _SILENCE[coding])

    def _resampled(self, index: int) -> bytes:
        made = self._made.get(index)
        if made is None:
            first = index * FRAME_SAMPLES
            made = self._made[index] = resampled(self.data, self.rate_hz, first, FRAME_SAMPLES)
        return made


def read(data: bytes) -> Clip:
    """Reads a RIFF WAVE file. Raises `MediaError` bad-audio with what is wrong with it."""
    if len(data) > MAX_FILE:
        raise _bad(f"longer than {MAX_FILE} octets")
    if len(data) < 12 or data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise _bad("no WAV file (RIFF … WAVE)")
    written: _Format | None = None
    at = 12
    while at + 8 <= len(data):
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        body = at + 8
        if name == b"fmt ":
            written = _format(data[body : body + size])
        elif name == b"data":
            return _clip(written, data, body, size)
        at = body + size + size % 2
    raise _bad("no samples in the WAV file")


@dataclass(frozen=True, slots=True)
class _Format:
    coding: Coding
    channels: int
    rate_hz: int


def _clip(written: _Format | None, data: bytes, body: int, size: int) -> Clip:
    if written is None:
        raise _bad("the WAV file does not say its format before its samples")
    left = len(data) - body
    if size > left:
        if size != _UNKNOWN_SIZE:
            raise _bad(f"the WAV file is cut short: {left} of {size} octets of samples")
        size = left
    coding = written.coding
    size -= size % (coding.width * written.channels)
    if not size:
        raise _bad("no samples in the WAV file")
    samples = data[body : body + size]
    if written.channels == 2:
        coding, samples = Coding.PCM16, _CONVERT[coding, Coding.PCM16](samples)
        samples = audioop.tomono(samples, 2, 0.5, 0.5)
    return Clip(coding, samples, written.rate_hz)


def _format(chunk: bytes) -> _Format:
    if len(chunk) < _FORMAT.size:
        raise _bad("the WAV file's format is cut short")
    tag, channels, rate_hz, _, _, bits = _FORMAT.unpack_from(chunk)
    if tag == _EXTENSIBLE and len(chunk) >= 26:
        tag = int.from_bytes(chunk[24:26], "little")  # the first of the subformat's GUID
    coding = _CODINGS.get((tag, bits))
    if coding is None:
        raise _bad(f"format {tag} of {bits} bits is neither 16-bit PCM nor G.711; {_HOW}")
    if channels not in (1, 2):
        raise _bad(f"{channels} channels; one or two are needed; {_HOW}")
    rates = RATES_HZ if coding is Coding.PCM16 else (RATE_HZ,)
    if rate_hz not in rates:
        raise _bad(f"{rate_hz} Hz is none of {', '.join(map(str, rates))}; {_HOW}")
    return _Format(coding, channels, rate_hz)


def _bad(reason: str) -> MediaError:
    return MediaError("bad-audio", reason)
