"""A turn of the relay's loop where packets are encrypted: what follows when its sockets are read.

To read a socket, to encrypt and to write to a socket each take more code than the processor's
first cache holds. Where they alternate from packet to packet, each begins by fetching its own
again, which takes longer than the cipher. So packets that are encrypted on either side go in steps,
many of a turn in each: they are read, proven, encrypted and written.
"""

from __future__ import annotations

import os
from typing import Final, Protocol

#: Sockets that are read before the steps that follow: what was read stays near, and no packet waits
#: for long.
AT_ONCE: Final = 64

_write = os.write


class Road(Protocol):
    """The way of one party's packets to its other side."""

    def prove(self, packet: bytes, now: float) -> None:
        """Takes what the party sent if it is the party's, by its key."""
        ...

    def seal(self, packet: bytes, now: float) -> None:
        """Encrypts for the other side what was taken."""
        ...

    def send_again(self, wire: bytes) -> None:
        """Sends what its descriptor did not take."""
        ...


class Turn:
    """What the turn's packets have before them, in the order of the steps."""

    __slots__ = ("arrived", "ready", "taken")

    def __init__(self) -> None:
        #: As they came, yet to be proven; in the clear, yet to be encrypted; yet to be written to
        #: the descriptor. A step may add to those after it, and none closes a socket.
        self.arrived: list[tuple[Road, bytes]] = []
        self.taken: list[tuple[Road, bytes]] = []
        self.ready: list[tuple[int, bytes, Road]] = []

    def end(self, now: float) -> None:
        """Takes every step; `now` is when the packets arrived.

        A fault of ours costs the packet that shows it, and is raised when all others are done.
        """
        arrived, taken, ready = self.arrived, self.taken, self.ready
        fault: Exception | None = None
        for road, packet in arrived:
            try:
                road.prove(packet, now)
            except Exception as error:
                fault = error
        arrived.clear()
        for road, packet in taken:
            try:
                road.seal(packet, now)
            except Exception as error:
                fault = error
        taken.clear()
        for fd, wire, road in ready:
            try:
                _write(fd, wire)
            except OSError:
                road.send_again(wire)
        ready.clear()
        if fault is not None:
            raise fault
