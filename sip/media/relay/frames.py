"""What the relay and the recorder say to each other: one frame a message of their socket.

The socket keeps messages apart and in order (SOCK_SEQPACKET), and never makes the relay wait: a
message that does not fit its buffer is lost and counted. Both read the same monotonic clock.

    frame: kind (1) | number of the recording on this connection (4) | time, seconds (8) | body
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final, NamedTuple

_HEAD = struct.Struct("!BId")

#: Longest frame: a datagram of audio and what is said of it.
MAX_FRAME: Final = 8192

#: Octets of frames that may wait in the socket: 1,000 packets with the kernel's own share.
BUFFER: Final = 1 << 20


class Kind(IntEnum):
    """What a frame says."""

    BEGIN = 1
    """body: JSON with `recording`, `call_sid` and `started_at`"""
    AUDIO = 2
    """body: channel (1), codec (1), packet of RTP"""
    PAUSE = 3
    RESUME = 4
    END = 5
    """body: why, in a word"""
    ENDED = 6
    """the recorder's: it is over, and what else comes of it is lost"""


class Codec(IntEnum):
    """How a packet's audio is written: the codecs that can be recorded."""

    PCMU = 0
    PCMA = 8
    G722 = 9
    OPUS = 111


class Frame(NamedTuple):
    """One message."""

    kind: Kind
    number: int
    time: float
    body: bytes = b""

    def encode(self) -> bytes:
        """As it crosses the socket."""
        return _HEAD.pack(self.kind, self.number, self.time) + self.body


def decode(data: bytes) -> Frame | None:
    """The frame, or None for what is none."""
    if len(data) < _HEAD.size:
        return None
    kind, number, time = _HEAD.unpack_from(data)
    if kind not in Kind._value2member_map_:
        return None
    return Frame(Kind(kind), number, time, data[_HEAD.size :])
