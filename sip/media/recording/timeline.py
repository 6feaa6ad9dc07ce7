"""Where each packet's audio belongs: two channels on one clock, with what comes late mended.

A channel's position is that of the packet's timestamp, counted from a packet whose arrival says
where the stream stands (RFC 3550 5.1). Timestamps that run from the arrivals by more than
`MAX_DRIFT_S`, a new source, and a pause are a new beginning. What was not heard is silence.
"""

from __future__ import annotations

import struct
from typing import Final

from sip.media.recording.vault import SAMPLE_OCTETS

RATE_HZ: Final = 8000

#: Of RTP, without what may follow it.
HEADER_SIZE: Final = 12
_RTP = struct.Struct("!4xII")
CHANNELS: Final = 2

#: Seconds that the audio waits for what comes late or out of order.
WINDOW_S: Final = 0.4

#: Seconds of audio that may wait at most.
MAX_WAITING_S: Final = 10

#: Seconds by which a stream's clock may run from ours before it is set anew.
MAX_DRIFT_S: Final = 0.2

_FRAME: Final = CHANNELS * SAMPLE_OCTETS


class _Place:
    """Where one channel's stream stands."""

    __slots__ = ("position", "source", "timestamp")

    def __init__(self) -> None:
        self.source = -1
        self.timestamp = 0
        self.position = 0


class Timeline:
    """The audio of two channels from `began` on (monotonic seconds), until it is taken."""

    def __init__(self, began: float) -> None:
        self._began = began
        #: What is not taken yet, interleaved; its first sample's position.
        self._audio = bytearray()
        self._taken = 0
        self._places = (_Place(), _Place())

    def put(self, channel: int, packet: bytes, pcm: bytes, rate_hz: int, now: float) -> None:
        """A packet of RTP and its audio: 16-bit PCM at `RATE_HZ`; `rate_hz` its timestamps'."""
        timestamp, source = _RTP.unpack_from(packet)
        position = self._position(self._places[channel], source, timestamp, rate_hz, now)
        late = self._taken - position
        if late > 0:
            pcm = pcm[late * SAMPLE_OCTETS :]
            position = self._taken
        if not pcm or position > self._taken + MAX_WAITING_S * RATE_HZ:
            return
        start = (position - self._taken) * _FRAME
        end = start + len(pcm) * CHANNELS
        if end > len(self._audio):
            self._audio.extend(bytes(end - len(self._audio)))
        for octet in range(SAMPLE_OCTETS):
            first = start + channel * SAMPLE_OCTETS + octet
            self._audio[first:end:_FRAME] = pcm[octet::SAMPLE_OCTETS]

    def take(self, until: float) -> bytes:
        """The audio up to a time, which is gone then; silence where nothing was heard."""
        samples = max(0, self._sample(until) - self._taken)
        octets = samples * _FRAME
        taken = bytes(self._audio[:octets])
        del self._audio[:octets]
        self._taken += samples
        return taken + bytes(octets - len(taken))

    def begin_anew(self) -> None:
        """After a pause: nothing that was put before says where the next packet belongs."""
        for place in self._places:
            place.source = -1

    def _position(
        self, place: _Place, source: int, timestamp: int, rate_hz: int, now: float
    ) -> int:
        here = self._sample(now)
        step = (timestamp - place.timestamp) & 0xFFFFFFFF
        if step >= 0x80000000:
            step -= 0x100000000
        position = place.position + step * RATE_HZ // rate_hz
        if source != place.source or abs(position - here) > MAX_DRIFT_S * RATE_HZ:
            position = here
        place.source, place.timestamp, place.position = source, timestamp, position
        return position

    def _sample(self, time: float) -> int:
        return max(0, round((time - self._began) * RATE_HZ))


def payload_of(packet: bytes) -> bytes:
    """The payload of a packet of RTP (RFC 3550 5.1): without CSRCs, extension and padding."""
    start = HEADER_SIZE + 4 * (packet[0] & 0x0F)
    if packet[0] & 0x10:
        if len(packet) < start + 4:
            return b""
        start += 4 + 4 * int.from_bytes(packet[start + 2 : start + 4])
    end = len(packet)
    if packet[0] & 0x20 and end > start:
        end -= packet[-1]
    return packet[start:end]
