"""What RTP and RTCP sockets share: whom they face, and from where packets may come."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Final, Protocol

from sip.media.relay.latch import Latch, SocketAddress
from sip.media.relay.turn import Turn
from sip.media.terms import Signalling

#: Longest datagram taken; one that fills it was cut and is refused. Audio fits an Ethernet frame.
MAX_PACKET: Final = 4096

#: Before any packet.
NEVER: Final = float("-inf")


class Poller(Protocol):
    """Calls `reader(now)` when `sock` has a packet; `now` is monotonic seconds.

    After some packets, and before anything else happens, it ends its turn.
    """

    turn: Turn

    def watch(self, sock: socket.socket, reader: Callable[[float], None]) -> None: ...

    def unwatch(self, sock: socket.socket) -> None:
        """To be called before the socket is closed, which must follow."""
        ...


class Endpoint:
    """What RTP and RTCP endpoints share: where packets go to and may come from.

    Packets for the party go to its SDP address until its source is learned, then there, and
    nowhere while it is unknown or on hold by ``c=0.0.0.0``.
    """

    __slots__ = (
        "_on_hold",
        "_poller",
        "_receive",
        "foreign",
        "latch",
        "refused",
        "socket",
        "source",
    )

    def __init__(self, sock: socket.socket, poller: Poller) -> None:
        self.socket = sock
        self.latch = Latch()
        #: A copy of `latch.source`, one attribute nearer.
        self.source: SocketAddress | None = None
        self.foreign = 0
        self.refused = 0
        self._on_hold = False
        self._receive = sock.recvfrom
        self._poller = poller
        poller.watch(sock, self.on_readable)

    def on_readable(self, now: float) -> None:
        """Takes one datagram off the leased socket and forwards it if it is the party's."""
        raise NotImplementedError

    def close(self) -> None:
        """Nothing arrives any more. The leased socket itself is the pool's to close."""
        self._poller.unwatch(self.socket)

    def expect(
        self,
        address: SocketAddress | None,
        now: float,
        *,
        signalling: Signalling | None,
        resumes: bool = False,
    ) -> bool:
        """See `Latch.expect`."""
        changed = self.latch.expect(address, now, signalling=signalling, resumes=resumes)
        self.source = self.latch.source
        self._on_hold = address is None
        self._aim(None if address is None else self.source or address)
        return changed

    def _learn(self, source: SocketAddress, now: float, heard_at: float, goes_on: bool) -> bool:
        """A valid packet from a source that is not the learned one: may it be taken?"""
        if not self.latch.judge(source, now, heard_at=heard_at, goes_on=goes_on):
            return False
        self.source = source
        if not self._on_hold:
            self._aim(source)
        return True

    def turn_away(self, source: SocketAddress) -> None:
        """Counts a packet that was not proven to be the party's."""
        if source == self.source or source == self.latch.expected:
            self.refused += 1
        else:
            self.foreign += 1

    def _aim(self, remote: SocketAddress | None) -> None:
        """Packets for the party go to `remote` from now on, or nowhere."""
        raise NotImplementedError
