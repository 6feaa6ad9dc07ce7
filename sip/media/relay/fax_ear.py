"""Listens for a fax's calling tone in what one party sends; in G.711, as faxes come in no other."""

from __future__ import annotations

import audioop
import struct
from collections.abc import Callable
from typing import Final

from sip.core.sdp_lines import Codec
from sip.media.fax_tone import FaxToneReader
from sip.media.relay.rtp import payload_of
from sip.media.relay.rtp_endpoint import RtpEndpoint
from sip.media.tones import RATE_HZ

#: Samples of a party that are listened to: T.30 lets a caller call for 40 s at most, and some of
#: that is before the answer.
LISTENED: Final = 60 * RATE_HZ
#: The longest gap that is filled with silence, in samples; a longer one is as good as that.
_LONGEST_GAP: Final = 2 * RATE_HZ

_DECODE: Final = {"PCMU": audioop.ulaw2lin, "PCMA": audioop.alaw2lin}
_TIMESTAMP: Final = struct.Struct("!4xI")
_CLOCK: Final = 1 << 32

#: Told once, with the time.
Tell = Callable[[float], None]


class FaxEar:
    """One party's audio, until its tone is told, it has been listened to for long, or `close`."""

    __slots__ = ("_codec_of", "_ear", "_endpoint", "_left", "_next", "_reader", "_tell")

    def __init__(
        self, endpoint: RtpEndpoint, codec_of: Callable[[int], Codec | None], tell: Tell
    ) -> None:
        """`codec_of` says what a payload type of the party is."""
        self._endpoint = endpoint
        self._codec_of = codec_of
        self._tell: Tell | None = tell
        self._reader = FaxToneReader()
        #: The timestamp that follows the audio heard so far.
        self._next: int | None = None
        self._left = LISTENED
        self._ear = self.hear  # one object, by which it is let be
        endpoint.listen_in(self._ear)

    def close(self) -> None:
        """Nothing more is told."""
        self._tell = None
        self._endpoint.let_be(self._ear)

    def hear(self, packet: bytes, now: float) -> None:
        """A packet of the party's."""
        codec = self._codec_of(packet[1] & 0x7F)
        decode = None if codec is None else _DECODE.get(codec.name)
        payload = b"" if decode is None else payload_of(packet)
        tell = self._tell
        if tell is None or decode is None or not payload:
            return
        gap = self._gap(_TIMESTAMP.unpack_from(packet)[0], len(payload))
        if gap is None:
            return
        self._left -= len(payload)
        if self._reader.take(bytes(2 * gap) + decode(payload, 2)):
            self.close()
            tell(now)
        elif self._left <= 0:
            self.close()

    def _gap(self, timestamp: int, samples: int) -> int | None:
        """How many samples are missing before a packet; None for one that comes late.

        A pause in which nothing is sent, as of silence, is quiet, and so is what was lost.
        """
        expected = timestamp if self._next is None else self._next
        ahead = (timestamp - expected) % _CLOCK
        if ahead > _CLOCK - _LONGEST_GAP:
            return None
        self._next = (timestamp + samples) % _CLOCK
        return min(ahead, _LONGEST_GAP)
