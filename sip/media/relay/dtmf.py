"""DTMF as RTP events (RFC 4733): which keys did a party press, each exactly once?

A sender repeats an event's packets while the key is down, all with the timestamp of its beginning
and a growing duration, and marks the last three as its end. Any of these may be lost, repeated or
late, so that neither the marker of the first packet nor all ends are needed: an event is known by
its timestamp.
"""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass
from typing import Final, NamedTuple

from sip.core.info_keys import KEYS

#: Seconds without a packet after which a key counts as let go: all three ends were lost.
RELEASE_S: Final = 0.3

#: RFC 4733 2.5.1.3: an event longer than its duration field goes on as another, that much later.
SEGMENT: Final = 0xFFFF

#: Events remembered after they were told, for their late packets.
_REMEMBERED: Final = 8

_HEADER_SIZE: Final = 12
_EXTENSION: Final = 0x10
_END: Final = 0x80
_RTP = struct.Struct("!2xHII")
_EVENT = struct.Struct("!BBH")


class Press(NamedTuple):
    """A key, and how long it was held, in seconds."""

    key: str
    held_s: float

    @property
    def duration_ms(self) -> int:
        return round(self.held_s * 1000)


class _Event(NamedTuple):
    """One packet's event."""

    ssrc: int
    timestamp: int
    number: int
    ended: bool
    duration: int


@dataclass(slots=True)
class _Held:
    """A key that is down. Durations are in ticks; `before` is that of segments that are over."""

    ssrc: int
    timestamp: int
    number: int
    duration: int
    tick_s: float
    before: int = 0

    @property
    def press(self) -> Press:
        return Press(KEYS[self.number], (self.before + self.duration) * self.tick_s)


class KeyReader:
    """One party's keys."""

    __slots__ = ("_held", "_told")

    def __init__(self) -> None:
        self._held: _Held | None = None
        self._told: deque[tuple[int, int]] = deque(maxlen=_REMEMBERED)

    @property
    def held(self) -> Press | None:
        """The key that is down, as long as it was so far: `release` is due if its end is lost."""
        return None if self._held is None else self._held.press

    def take(self, packet: bytes, tick_s: float) -> list[Press]:
        """An RTP packet of an event's payload type: the keys that are let go by it.

        `tick_s` is the length of a tick of that type's clock.
        """
        event = _read(packet)
        if event is None or (event.ssrc, event.timestamp) in self._told:
            return []
        presses: list[Press] = []
        held = self._held
        if held is not None and (event.ssrc, event.timestamp) != (held.ssrc, held.timestamp):
            if _continues(held, event):
                self._told.append((held.ssrc, held.timestamp))
                held.timestamp = event.timestamp
                held.before += SEGMENT
                held.duration = 0
            else:  # a new key: the ends of the last one were lost
                presses += self.release()
                held = None
        if held is None:
            held = self._held = _Held(
                event.ssrc, event.timestamp, event.number, event.duration, tick_s
            )
        held.duration = max(held.duration, event.duration)
        if event.ended:
            presses += self.release()
        return presses

    def release(self) -> list[Press]:
        """The key that is down, if one is, counts as let go."""
        held, self._held = self._held, None
        if held is None:
            return []
        self._told.append((held.ssrc, held.timestamp))
        return [held.press]


def has_key(packet: bytes) -> bool:
    """Whether a packet of an event's payload type is one of a key."""
    return _read(packet) is not None


def _continues(held: _Held, event: _Event) -> bool:
    return (
        event.ssrc == held.ssrc
        and event.number == held.number
        and (event.timestamp - held.timestamp) & 0xFFFFFFFF == SEGMENT
    )


def _read(packet: bytes) -> _Event | None:
    """The packet's event (RFC 3550 5.1, RFC 4733 2.3); None if it has none that is a key."""
    if len(packet) < _HEADER_SIZE:
        return None
    start = _HEADER_SIZE + 4 * (packet[0] & 0x0F)
    if packet[0] & _EXTENSION:
        if len(packet) < start + 4:
            return None
        start += 4 + 4 * (packet[start + 2] << 8 | packet[start + 3])
    if len(packet) < start + _EVENT.size:
        return None
    number, flags, duration = _EVENT.unpack_from(packet, start)
    if number >= len(KEYS):
        return None
    _, timestamp, ssrc = _RTP.unpack_from(packet)
    return _Event(ssrc, timestamp, number, bool(flags & _END), duration)
