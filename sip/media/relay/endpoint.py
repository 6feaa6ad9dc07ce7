"""One socket facing one party, and what happens to a packet that arrives on it.

`RtpEndpoint.on_readable` is the path of every packet: receive into the shared buffer, compare
the source, look at the header, count, send. It makes the source's address tuple and nothing else
of size; `bench/` measures it.
"""

from __future__ import annotations

import socket
from time import monotonic

from sip.media.plane import Learn
from sip.media.relay import rtcp
from sip.media.relay.latch import WINDOW_S, Latch, SocketAddress
from sip.media.relay.rtp import HEADER, HEADER_SIZE, StreamStats

#: No UDP datagram is larger, so none is ever cut.
BUFFER_SIZE = 65535

_unpack = HEADER.unpack_from


class PacketBuffer:
    """The one buffer that every packet passes through; the relay has a single thread."""

    __slots__ = ("data", "view")

    def __init__(self) -> None:
        self.data = bytearray(BUFFER_SIZE)
        self.view = memoryview(self.data)


class Endpoint:
    """What RTP and RTCP endpoints share: where packets go to and may come from.

    `remote` is where packets for the party go: its SDP address until its source is learned,
    then that; None while it is unknown or on hold by ``c=0.0.0.0``. `peer` is the endpoint
    facing the other party, by whose socket this party's packets leave.
    """

    __slots__ = (
        "_buffer",
        "_receive",
        "_view",
        "foreign",
        "latch",
        "octets_sent",
        "packets_sent",
        "peer",
        "refused",
        "remote",
        "send",
        "send_errors",
        "socket",
        "source",
    )

    def __init__(
        self, sock: socket.socket, buffer: PacketBuffer, window_s: float = WINDOW_S
    ) -> None:
        self.socket = sock
        self.latch = Latch(window_s)
        #: A copy of `latch.source`, one attribute nearer.
        self.source: SocketAddress | None = None
        self.remote: SocketAddress | None = None
        self.peer: Endpoint | None = None
        self.packets_sent = 0
        self.octets_sent = 0
        self.foreign = 0
        self.refused = 0
        self.send_errors = 0
        self.send = sock.sendto
        self._receive = sock.recvfrom_into
        self._buffer = buffer.data
        self._view = buffer.view

    def on_readable(self) -> None:
        """Takes one datagram off the socket and forwards it if it is the party's."""
        raise NotImplementedError

    def expect(
        self,
        address: SocketAddress | None,
        now: float,
        *,
        signalling_ip: str | None,
        learn: Learn,
    ) -> bool:
        """The party signalled where it is (None: on hold); true if that is a new address."""
        changed = self.latch.expect(address, now, signalling_ip=signalling_ip, learn=learn)
        self.source = self.latch.source
        self.remote = None if address is None else self.source or address
        return changed

    def _learn(self, source: SocketAddress, now: float) -> bool:
        """A valid packet from a source that is not the learned one: may it be taken?"""
        if not self.latch.judge(source, now):
            return False
        self.source = source
        if self.remote is not None:
            self.remote = source
        return True

    def _forward(self, size: int) -> None:
        peer = self.peer
        if peer is None or peer.remote is None:
            return
        try:
            peer.send(self._view[:size], peer.remote)
        except OSError:
            peer.send_errors += 1
            return
        peer.packets_sent += 1
        peer.octets_sent += size


class RtpEndpoint(Endpoint):
    """The RTP socket facing a party."""

    __slots__ = ("payload_types", "stats")

    def __init__(
        self, sock: socket.socket, buffer: PacketBuffer, window_s: float = WINDOW_S
    ) -> None:
        super().__init__(sock, buffer, window_s)
        self.stats = StreamStats()
        #: What the party may send: the payload types of both descriptions.
        self.payload_types: frozenset[int] = frozenset()

    def expect(
        self,
        address: SocketAddress | None,
        now: float,
        *,
        signalling_ip: str | None,
        learn: Learn,
    ) -> bool:
        """As `Endpoint.expect`; another address may speak with another SSRC."""
        changed = super().expect(address, now, signalling_ip=signalling_ip, learn=learn)
        if changed:
            self.stats.forget_source()
        return changed

    def on_readable(self) -> None:
        try:
            size, source = self._receive(self._buffer)
        except OSError:
            return  # a spurious wake-up, or the ICMP error of an earlier packet
        now = monotonic()
        if size < HEADER_SIZE:
            self._refuse(source)
            return
        first, second, seq, timestamp, ssrc = _unpack(self._buffer)
        payload_type = second & 0x7F
        if first & 0xC0 != 0x80 or payload_type not in self.payload_types:
            self._refuse(source)
            return
        if source != self.source:
            if not self._learn(source, now):
                self.foreign += 1
                return
            self.stats.forget_source()
        if not self.stats.update(payload_type, seq, timestamp, ssrc, size, now):
            self.refused += 1
            return
        # _forward, written out: a call costs more than what it does.
        peer = self.peer
        if peer is None:
            return
        remote = peer.remote
        if remote is None:
            return
        try:
            peer.send(self._view[:size], remote)
        except OSError:
            peer.send_errors += 1
            return
        peer.packets_sent += 1
        peer.octets_sent += size

    def _refuse(self, source: SocketAddress) -> None:
        if source == self.source:
            self.refused += 1
        else:
            self.foreign += 1


class RtcpEndpoint(Endpoint):
    """The RTCP socket facing a party; reports pass as they are, as no SSRC is rewritten."""

    __slots__ = ("packets",)

    def __init__(
        self, sock: socket.socket, buffer: PacketBuffer, window_s: float = WINDOW_S
    ) -> None:
        super().__init__(sock, buffer, window_s)
        self.packets = 0

    def on_readable(self) -> None:
        try:
            size, source = self._receive(self._buffer)
        except OSError:
            return
        if not rtcp.valid(self._buffer, size):
            self.refused += 1
            return
        if source != self.source and not self._learn(source, monotonic()):
            self.foreign += 1
            return
        self.packets += 1
        self._forward(size)
