"""Audio of a packet as 16-bit PCM at 8 kHz, by codec."""

from __future__ import annotations

import audioop
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from sip.media.recording.frames import Codec


class Decoder(Protocol):
    """Decodes the packets of one stream in turn."""

    @property
    def clock_hz(self) -> int:
        """The clock of the stream's timestamps."""
        ...

    def pcm(self, payload: bytes) -> bytes:
        """One packet's audio; nothing for a payload that cannot be decoded."""
        ...


class _G711:
    """The two laws of ITU-T G.711, which keep nothing from one packet to the next."""

    clock_hz = 8000

    def __init__(self, law: Callable[[bytes, int], bytes]) -> None:
        self._law = law

    def pcm(self, payload: bytes) -> bytes:
        return self._law(payload, 2)


DECODERS: Final[Mapping[Codec, Callable[[], Decoder]]] = {
    Codec.PCMU: lambda: _G711(audioop.ulaw2lin),
    Codec.PCMA: lambda: _G711(audioop.alaw2lin),
}
