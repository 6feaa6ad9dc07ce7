"""RTP as far as the agent needs it: packets (RFC 3550 5.1), telephone events (RFC 4733 2.3),
ports leased as bound sockets, one 20 ms beat for all calls.
"""

import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass

from sip.clock import Clock, Timer

FRAME_S = 0.02
#: After a stall of more frames than this, the beat starts anew instead of catching up.
MAX_CATCH_UP = 5

_HEADER = struct.Struct("!BBHII")
_DIGITS = "0123456789*#ABCD"


@dataclass(frozen=True, slots=True)
class RtpPacket:
    """One packet; CSRCs and extensions are skipped, padding is removed."""

    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes

    def to_bytes(self) -> bytes:
        second = self.payload_type | (0x80 if self.marker else 0)
        head = _HEADER.pack(
            0x80, second, self.sequence & 0xFFFF, self.timestamp & 0xFFFFFFFF, self.ssrc
        )
        return head + self.payload

    @classmethod
    def parse(cls, data: bytes) -> "RtpPacket | None":
        """None for what is no RTP version 2 packet."""
        if len(data) < _HEADER.size:
            return None
        first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(data)
        if first >> 6 != 2:
            return None
        start = _HEADER.size + 4 * (first & 0x0F)
        if first & 0x10:
            if len(data) < start + 4:
                return None
            start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4], "big")
        end = len(data) - (data[-1] if first & 0x20 else 0)
        if start > end:
            return None
        return cls(second & 0x7F, bool(second & 0x80), sequence, timestamp, ssrc, data[start:end])


def dtmf_digit(payload: bytes) -> str | None:
    """The key of a telephone event; None for events that are no keys."""
    if len(payload) < 4 or payload[0] >= len(_DIGITS):
        return None
    return _DIGITS[payload[0]]


class PortPool:
    """Even ports, leased as bound sockets; the next lease looks further on, so ports rest."""

    def __init__(self, first: int, last: int) -> None:
        """`first` to `last`, both included; 0 and 0 take whatever port is free."""
        self._ports = range(first + first % 2, last + 1, 2) if first else range(0)
        self._next = 0

    def lease(self, host: str) -> socket.socket:
        """A bound, non-blocking socket. Raises OSError when all ports are taken."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        if not self._ports:
            return _bind(family, host, 0)
        for _ in range(len(self._ports)):
            port = self._ports[self._next % len(self._ports)]
            self._next += 1
            try:
                return _bind(family, host, port)
            except OSError:
                continue
        raise OSError(f"no free RTP port from {self._ports[0]} to {self._ports[-1]}")


def _bind(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_DGRAM)
    try:
        bound.setblocking(False)
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound


class Beat:
    """Calls each `tick` that joined every 20 ms, on one timer, without drifting."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._members: dict[int, Callable[[], None]] = {}
        self._next_key = 0
        self._timer: Timer | None = None
        self._due_s = 0.0

    def __len__(self) -> int:
        return len(self._members)

    def join(self, tick: Callable[[], None]) -> int:
        """From now on `tick` is called; `leave` takes what this returns."""
        self._next_key += 1
        self._members[self._next_key] = tick
        if self._timer is None:
            self._due_s = self._clock.now()
            self._schedule()
        return self._next_key

    def leave(self, key: int) -> None:
        """Harmless when it left before."""
        self._members.pop(key, None)
        if not self._members and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _schedule(self) -> None:
        self._due_s += FRAME_S
        now_s = self._clock.now()
        if now_s - self._due_s > MAX_CATCH_UP * FRAME_S:
            self._due_s = now_s
        self._timer = self._clock.call_later(max(0.0, self._due_s - now_s), self._fire)

    def _fire(self) -> None:
        for tick in list(self._members.values()):
            tick()
        if self._members:
            self._schedule()
        else:
            self._timer = None
