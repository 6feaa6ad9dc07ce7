"""Audio of a packet as 16-bit samples at 8 kHz, whatever its codec."""

from __future__ import annotations

from sip.media.relay.codecs import CODERS
from sip.media.relay.frames import Codec
from sip.media.relay.resample import Halver

_WIDE_HZ = 16000


class Decoder:
    """Decodes the packets of one stream in turn. `clock_hz` is the clock of its timestamps."""

    def __init__(self, codec: Codec) -> None:
        coder = CODERS[codec.name]
        hz = coder.pcm_hz[0]
        self.clock_hz = coder.clock_hz
        self._decoder = coder.decoder(hz)
        self._halver = Halver() if hz == _WIDE_HZ else None

    def pcm(self, payload: bytes) -> bytes:
        """One packet's audio; nothing for a payload that cannot be decoded."""
        try:
            pcm = self._decoder.decode(payload)
        except ValueError:
            return b""
        return pcm if self._halver is None else self._halver.take(pcm)
