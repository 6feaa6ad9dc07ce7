"""What an endpoint sends to its party: the other side's packets as they are, or audio of ours.

A route is chosen when something begins or ends, never for a packet: on FORWARD the other side
writes to this party's socket itself, on the others it finds no socket to write to and asks.
"""

from __future__ import annotations

import random
import struct
from enum import Enum
from typing import Final

_HEADER = struct.Struct("!BBHII")
_VERSION: Final = 0x80
_MARKER: Final = 0x80


class Route(Enum):
    """Where what the party hears comes from."""

    FORWARD = "forward"
    """From the other side, untouched."""
    PLAY = "play"
    """From us; the other side's packets are withheld."""
    RESUME = "resume"
    """From the other side again; its next packet of audio is marked (RFC 3551 4.1)."""


class OwnStream:
    """A synchronisation source of ours, towards one party, for as long as its call lasts.

    Sequence numbers go on from one play to the next, and timestamps by the time between them
    (RFC 3550 5.1). The other side's stream keeps its own SSRC, so that it goes on unchanged.
    """

    __slots__ = ("_began", "_marked", "_rate_hz", "_sequence", "_ssrc", "_start", "_timestamp")

    def __init__(self, rng: random.Random, now: float, rate_hz: int) -> None:
        self._ssrc = rng.getrandbits(32)
        self._sequence = rng.getrandbits(15)  # no wrap in the first ten minutes
        self._start = self._timestamp = rng.getrandbits(32)
        self._began = now
        self._rate_hz = rate_hz
        self._marked = False

    def begin(self, now: float) -> None:
        """Audio begins, after none was sent: the next packet is marked (RFC 3551 4.1)."""
        self._timestamp = self._start + round((now - self._began) * self._rate_hz)
        self._marked = True

    def packet(self, payload_type: int, payload: bytes, samples: int) -> bytes:
        """The next packet, which is `samples` long."""
        marker = _MARKER if self._marked else 0
        header = _HEADER.pack(
            _VERSION,
            marker | payload_type,
            self._sequence,
            self._timestamp & 0xFFFFFFFF,
            self._ssrc,
        )
        self._marked = False
        self._sequence = (self._sequence + 1) & 0xFFFF
        self._timestamp += samples
        return header + payload


def marked(packet: bytes) -> bytes:
    """The packet with its marker set."""
    return b"".join((packet[:1], bytes((packet[1] | _MARKER,)), packet[2:]))
