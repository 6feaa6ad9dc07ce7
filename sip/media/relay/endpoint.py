"""One socket facing one party, and what happens to a packet that arrives on it.

`RtpEndpoint` is the path of every packet: receive into the shared buffer, check the source, look
at the header, count, send. Nothing of size is made on the way; `bench/` measures it.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Protocol

from sip.media.plane import Learn
from sip.media.relay import rtcp
from sip.media.relay.latch import WINDOW_S, Latch, SocketAddress
from sip.media.relay.rtp import RtpStream
from sip.media.relay.twin import open_twin

#: No UDP datagram is larger, so none is ever cut.
BUFFER_SIZE = 65535

#: Packets from the learned source after which it gets a socket of its own, 0.3 s of them.
TWIN_AFTER = 16


class Poller(Protocol):
    """Calls `reader(now)` when `sock` has a packet; `now` is monotonic seconds."""

    def watch(self, sock: socket.socket, reader: Callable[[float], None]) -> None: ...

    def unwatch(self, sock: socket.socket) -> None:
        """To be called before the socket is closed."""
        ...


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
        "_poller",
        "_receive",
        "_view",
        "foreign",
        "latch",
        "octets_sent",
        "packets_sent",
        "refused",
        "remote",
        "send_errors",
        "send_to",
        "socket",
        "source",
    )

    def __init__(
        self,
        sock: socket.socket,
        poller: Poller,
        buffer: PacketBuffer,
        window_s: float = WINDOW_S,
    ) -> None:
        self.socket = sock
        self.latch = Latch(window_s)
        #: A copy of `latch.source`, one attribute nearer.
        self.source: SocketAddress | None = None
        self.remote: SocketAddress | None = None
        self.packets_sent = 0
        self.octets_sent = 0
        self.foreign = 0
        self.refused = 0
        self.send_errors = 0
        self.send_to = sock.sendto
        self._receive = sock.recvfrom_into
        self._poller = poller
        self._buffer = buffer.data
        self._view = buffer.view
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


class RtpEndpoint(Endpoint):
    """The RTP socket facing a party, and its twin once the party's source is known."""

    __slots__ = (
        "_twin",
        "_twin_receive",
        "_until_twin",
        "peer",
        "stream",
        "twin_send",
    )

    def __init__(
        self,
        sock: socket.socket,
        poller: Poller,
        buffer: PacketBuffer,
        window_s: float = WINDOW_S,
    ) -> None:
        super().__init__(sock, poller, buffer, window_s)
        self.peer: RtpEndpoint | None = None
        self.stream = RtpStream()
        #: Sends to `remote` by the twin; None without one and while there is no `remote`.
        self.twin_send: Callable[[memoryview], int] | None = None
        self._twin: socket.socket | None = None
        self._twin_receive = sock.recv_into
        self._until_twin = TWIN_AFTER

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
            self._forget_source()
        elif self._twin is not None:
            self.twin_send = self._twin.send if self.remote is not None else None
        return changed

    def close(self) -> None:
        self._close_twin()
        super().close()

    def on_readable(self, now: float) -> None:
        try:
            size, source = self._receive(self._buffer)
        except OSError:
            return  # a spurious wake-up
        if source != self.source:
            if not self.stream.reads(self._buffer, size) or not self._learn(source, now):
                self.foreign += 1
                return
            self._forget_source()
        if not self.stream.take(self._buffer, size, now):
            self.refused += 1
            return
        self._forward(size)
        if self._until_twin:
            self._until_twin -= 1
            if not self._until_twin:
                self._open_twin(source, now)

    def on_twin_readable(self, now: float) -> None:
        """Takes one datagram of the learned source."""
        try:
            size = self._twin_receive(self._buffer)
        except OSError:
            return  # the ICMP error of an earlier packet; it is cleared by having been read
        if self.stream.take(self._buffer, size, now):
            self._forward(size)
        else:
            self.refused += 1

    def _forward(self, size: int) -> None:
        """Sends what is in the buffer on to the other party."""
        peer = self.peer
        if peer is None:
            return
        send = peer.twin_send
        try:
            if send is not None:
                send(self._view[:size])
            elif peer.remote is not None:
                peer.send_to(self._view[:size], peer.remote)
            else:
                return
        except OSError:
            if not peer.send_again(self._view[:size]):
                return
        peer.packets_sent += 1
        peer.octets_sent += size

    def send_again(self, packet: memoryview) -> bool:
        """After a failure, by the leased socket, which no ICMP error (forged or not) reaches."""
        try:
            if self.remote is not None:
                self.send_to(packet, self.remote)
                return True
        except OSError:
            self.send_errors += 1
        return False

    def _forget_source(self) -> None:
        """Another source may be, or has been, learned: nothing of the last one holds."""
        self._close_twin()
        self.stream.forget_source()
        self._until_twin = TWIN_AFTER

    def _open_twin(self, source: SocketAddress, now: float) -> None:
        try:
            twin = open_twin(self.socket, source)
        except OSError:
            return  # no file descriptor, or no route: the leased socket goes on
        self._twin = twin
        # What came between its bind and its connect may be anybody's.
        while True:
            try:
                size, sender = twin.recvfrom_into(self._buffer)
            except BlockingIOError:
                break
            except OSError:
                continue
            if sender != source:
                self.foreign += 1
            elif self.stream.take(self._buffer, size, now):
                self._forward(size)
            else:
                self.refused += 1
        self._twin_receive = twin.recv_into
        self.twin_send = twin.send if self.remote is not None else None
        self._poller.watch(twin, self.on_twin_readable)

    def _close_twin(self) -> None:
        twin, self._twin = self._twin, None
        self.twin_send = None
        self._twin_receive = self.socket.recv_into
        if twin is not None:
            self._poller.unwatch(twin)
            twin.close()


class RtcpEndpoint(Endpoint):
    """The RTCP socket facing a party; reports pass as they are, as no SSRC is rewritten."""

    __slots__ = ("packets", "peer")

    def __init__(
        self,
        sock: socket.socket,
        poller: Poller,
        buffer: PacketBuffer,
        window_s: float = WINDOW_S,
    ) -> None:
        super().__init__(sock, poller, buffer, window_s)
        self.peer: RtcpEndpoint | None = None
        self.packets = 0

    def on_readable(self, now: float) -> None:
        try:
            size, source = self._receive(self._buffer)
        except OSError:
            return
        if not rtcp.valid(self._buffer, size):
            self.refused += 1
            return
        if source != self.source and not self._learn(source, now):
            self.foreign += 1
            return
        self.packets += 1
        peer = self.peer
        if peer is None or peer.remote is None:
            return
        try:
            peer.send_to(self._view[:size], peer.remote)
        except OSError:
            peer.send_errors += 1
            return
        peer.packets_sent += 1
        peer.octets_sent += size
