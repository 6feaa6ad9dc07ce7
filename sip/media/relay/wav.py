"""WAV files as the relay plays them: 8 kHz, one channel, PCM16 or G.711.

No rate is converted here: a file that a telephone cannot carry is refused with words that say how
to make one that it can.
"""

from __future__ import annotations

import audioop
import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from sip.media.plane import MediaError

RATE_HZ: Final = 8000
FRAME_MS: Final = 20
FRAME_SAMPLES: Final = RATE_HZ * FRAME_MS // 1000

#: Longest file, in octets: ten minutes of G.711, five of PCM16.
MAX_FILE: Final = 5_000_000

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
}
_SILENCE = {Coding.PCMA: b"\xd5", Coding.PCMU: b"\xff"}


@dataclass(frozen=True, slots=True)
class Clip:
    """The samples of one file."""

    coding: Coding
    data: bytes

    @property
    def frames(self) -> int:
        """20 ms pieces, the last one perhaps filled up with silence."""
        return -(-len(self.data) // (FRAME_SAMPLES * self.coding.width))

    @property
    def duration_ms(self) -> int:
        return len(self.data) // self.coding.width * 1000 // RATE_HZ

    def frame(self, index: int, law: Coding) -> bytes:
        """160 octets of G.711. Converted one at a time, so that no long file holds up audio."""
        size = FRAME_SAMPLES * self.coding.width
        data = _CONVERT[self.coding, law](self.data[index * size : (index + 1) * size])
        return data.ljust(FRAME_SAMPLES, _SILENCE[law])


def read(data: bytes) -> Clip:
    """Reads a RIFF WAVE file. Raises `MediaError` bad-audio with what is wrong with it."""
    if len(data) > MAX_FILE:
        raise _bad(f"longer than {MAX_FILE} octets")
    if len(data) < 12 or data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise _bad("no WAV file (RIFF … WAVE)")
    coding: Coding | None = None
    at = 12
    while at + 8 <= len(data):
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        body = at + 8
        if name == b"fmt ":
            coding = _coding(data[body : body + size])
        elif name == b"data":
            return _clip(coding, data, body, size)
        at = body + size + size % 2
    raise _bad("no samples in the WAV file")


def _clip(coding: Coding | None, data: bytes, body: int, size: int) -> Clip:
    if coding is None:
        raise _bad("the WAV file does not say its format before its samples")
    left = len(data) - body
    if size > left:
        if size != _UNKNOWN_SIZE:
            raise _bad(f"the WAV file is cut short: {left} of {size} octets of samples")
        size = left
    size -= size % coding.width
    if not size:
        raise _bad("no samples in the WAV file")
    return Clip(coding, data[body : body + size])


def _coding(chunk: bytes) -> Coding:
    if len(chunk) < _FORMAT.size:
        raise _bad("the WAV file's format is cut short")
    tag, channels, rate_hz, _, _, bits = _FORMAT.unpack_from(chunk)
    if tag == _EXTENSIBLE and len(chunk) >= 26:
        tag = int.from_bytes(chunk[24:26], "little")  # the first of the subformat's GUID
    coding = _CODINGS.get((tag, bits))
    if coding is None:
        raise _bad(f"format {tag} of {bits} bits is neither 16-bit PCM nor G.711; {_HOW}")
    if channels != 1 or rate_hz != RATE_HZ:
        raise _bad(f"{rate_hz} Hz, {channels} channels; 8000 Hz and 1 are needed; {_HOW}")
    return coding


def _bad(reason: str) -> MediaError:
    return MediaError("bad-audio", reason)
