"""The RTP socket facing one party, and what happens to a packet that arrives on it.

`RtpEndpoint.on_connected_readable` is the path of nearly every packet: read, look at the header,
count, write. Its cost is that of the two system calls and about as much again, as `bench/` shows.
(`read` and `write` are cheaper than the socket's methods, whose arguments take longer to parse.)
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import NamedTuple, Protocol

from sip.media.plane import Signalling
from sip.media.relay.connected_socket import open_connected
from sip.media.relay.latch import Latch, SocketAddress
from sip.media.relay.routes import Route, marked
from sip.media.relay.rtp import RtpStream

#: Longest datagram taken; one that fills it was cut and is refused. Audio fits an Ethernet frame.
MAX_PACKET = 4096

#: Packets from the learned source after which it gets a socket of its own, 0.3 s of them.
CONNECT_AFTER = 16

#: Before any packet.
NEVER = float("-inf")


_read = os.read
_write = os.write


class Poller(Protocol):
    """Calls `reader(now)` when `sock` has a packet; `now` is monotonic seconds."""

    def watch(self, sock: socket.socket, reader: Callable[[float], None]) -> None: ...

    def unwatch(self, sock: socket.socket) -> None:
        """To be called before the socket is closed, which must follow."""
        ...


class Endpoint:
    """What RTP and RTCP endpoints share: where packets go to and may come from.

    `remote` is where packets for the party go: its SDP address until its source is learned,
    then that; None while it is unknown or on hold by ``c=0.0.0.0``. `peer` is the endpoint
    facing the other party, by whose socket this party's packets leave.
    """

    __slots__ = (
        "_poller",
        "_receive",
        "foreign",
        "latch",
        "refused",
        "remote",
        "send_errors",
        "socket",
        "source",
    )

    def __init__(self, sock: socket.socket, poller: Poller) -> None:
        self.socket = sock
        self.latch = Latch()
        #: A copy of `latch.source`, one attribute nearer.
        self.source: SocketAddress | None = None
        self.remote: SocketAddress | None = None
        self.foreign = 0
        self.refused = 0
        self.send_errors = 0
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
        self.remote = None if address is None else self.source or address
        return changed

    def _learn(self, source: SocketAddress, now: float, heard_at: float, goes_on: bool) -> bool:
        """A valid packet from a source that is not the learned one: may it be taken?"""
        if not self.latch.judge(source, now, heard_at=heard_at, goes_on=goes_on):
            return False
        self.source = source
        if self.remote is not None:
            self.remote = source
        return True


class Traffic(NamedTuple):
    """Packets and octets."""

    packets: int = 0
    octets: int = 0

    def plus(self, other: Traffic) -> Traffic:
        if other is _NONE:
            return self
        return Traffic(self.packets + other.packets, self.octets + other.octets)

    def minus(self, other: Traffic) -> Traffic:
        if other is _NONE:
            return self
        return Traffic(self.packets - other.packets, self.octets - other.octets)


_NONE = Traffic()


class RtpEndpoint(Endpoint):
    """The RTP socket facing a party, and a connected one once the party's source is known."""

    __slots__ = (
        "_aside",
        "_aside_at",
        "_connected",
        "_connected_fd",
        "_own",
        "_peer_before",
        "_route",
        "_sent_before",
        "_unsent",
        "_until_connected",
        "peer",
        "send_fd",
        "stream",
    )

    def __init__(self, sock: socket.socket, poller: Poller) -> None:
        super().__init__(sock, poller)
        self.stream = RtpStream()
        self.peer: RtpEndpoint | None = None
        #: What had passed from `peer` when it became that, and what was sent before.
        self._peer_before = _NONE
        self._sent_before = _NONE
        #: What the party sent and could not be sent on.
        self._unsent = _NONE
        #: Keys that the party sent beside its stream, with an SSRC of their own.
        self._aside = _NONE
        self._aside_at = NEVER
        #: What we sent to the party ourselves.
        self._own = _NONE
        self._route = Route.FORWARD
        #: The connected socket's descriptor, by which the other side sends to `remote`; -1 without
        #: one, while on hold, and on every route but FORWARD.
        self.send_fd = -1
        self._connected: socket.socket | None = None
        self._connected_fd = -1
        self._until_connected = CONNECT_AFTER

    @property
    def taken(self) -> Traffic:
        """What the party sent and we took."""
        if self.stream.payload_type < 0:
            return self._aside
        return Traffic(self.stream.packets, self.stream.octets).plus(self._aside)

    @property
    def passed(self) -> Traffic:
        """What the party sent and was sent on."""
        return self.taken.minus(self._unsent)

    @property
    def sent(self) -> Traffic:
        """What was sent to the party: what passed from its peers, and what is our own.

        What passes is not counted packet by packet.
        """
        return self._forwarded.plus(self._own)

    @property
    def _forwarded(self) -> Traffic:
        if self.peer is None:
            return self._sent_before
        return self._sent_before.plus(self.peer.passed.minus(self._peer_before))

    def attach(self, peer: RtpEndpoint | None) -> None:
        """What the party sends goes to `peer` from now on, and the other way round."""
        if peer is self.peer:
            return
        if self.peer is not None:
            self.peer.detach()
            self.detach()
        if peer is not None:
            if peer.peer is not None:
                peer.peer.detach()
                peer.detach()
            self.peer, peer.peer = peer, self
            self._peer_before, peer._peer_before = peer.passed, self.passed

    def detach(self) -> None:
        """The half of parting that concerns this endpoint."""
        self._sent_before = self._forwarded
        self.peer = None

    def expect(
        self,
        address: SocketAddress | None,
        now: float,
        *,
        signalling: Signalling | None,
        resumes: bool = False,
    ) -> bool:
        """As `Endpoint.expect`; another address may speak with another SSRC."""
        changed = super().expect(address, now, signalling=signalling, resumes=resumes)
        if changed:
            self._close_connected()
        self._choose_socket()
        return changed

    def begin_play(self) -> None:
        """From now on the party hears us and not its other side."""
        self._take_route(Route.PLAY)

    def end_play(self) -> None:
        """The other side is heard again."""
        self._take_route(Route.RESUME)

    def send_own(self, packet: bytes) -> None:
        """Sends a packet of ours; it is lost where the party cannot be sent to."""
        if self.remote is None:
            return
        try:
            self.socket.sendto(packet, self.remote)
        except OSError:
            self.send_errors += 1
            return
        self._own = self._own.plus(Traffic(1, len(packet)))

    def _take_route(self, route: Route) -> None:
        self._route = route
        self._choose_socket()

    def _choose_socket(self) -> None:
        """The other side may write to the connected socket where nothing stands in between."""
        direct = self._route is Route.FORWARD and self.remote is not None
        self.send_fd = self._connected_fd if direct else -1

    def close(self) -> None:
        self._close_connected()
        super().close()

    def on_readable(self, now: float) -> None:
        try:
            packet, source = self._receive(MAX_PACKET)
        except OSError:
            return  # a spurious wake-up
        if source != self.source and not self._follow(source, packet, now):
            self.foreign += 1
            return
        self._take(packet, now)
        if self._until_connected:
            self._until_connected -= 1
            if not self._until_connected:
                self._open_connected(source, now)

    def _follow(self, source: SocketAddress, packet: bytes, now: float) -> bool:
        """A packet from elsewhere: true if the party is there from now on."""
        stream = self.stream
        if not stream.reads(packet):
            return False
        goes_on = stream.goes_on(packet)
        if not self._learn(source, now, self._heard_at, goes_on):
            return False
        self._close_connected()
        if not goes_on:
            stream.forget_source()
        return True

    @property
    def _heard_at(self) -> float:
        """The time of the last packet taken, audio or key."""
        heard_at = self.stream.heard_at
        return self._aside_at if heard_at is None else max(heard_at, self._aside_at)

    def on_connected_readable(self, now: float) -> None:
        """Takes one datagram of the learned source."""
        try:
            packet = _read(self._connected_fd, MAX_PACKET)
        except OSError:
            return  # the ICMP error of an earlier packet; it is cleared by having been read
        self._take(packet, now)

    def _take(self, packet: bytes, now: float) -> None:
        """Counts a datagram of the learned source and forwards it if it may pass."""
        if not self.stream.take(packet, now) or len(packet) == MAX_PACKET:
            self._take_aside(packet, now)
            return
        peer = self.peer
        if peer is not None:
            fd = peer.send_fd
            try:
                if fd >= 0:
                    _write(fd, packet)
                    return
            except OSError:
                pass  # an ICMP error's, and no reason to lose this packet
            if peer.send_leased(packet):
                return
        self._unsent = self._unsent.plus(Traffic(1, len(packet)))

    def _take_aside(self, packet: bytes, now: float) -> None:
        """A packet that is not the stream's: passed on if it is a key, else refused.

        Some send keys with an SSRC of their own (RFC 4733 2.1 wants the audio's).
        """
        if len(packet) == MAX_PACKET or not self.stream.take_key(packet, now):
            self.refused += 1
            return
        traffic = Traffic(1, len(packet))
        self._aside = self._aside.plus(traffic)
        self._aside_at = now
        if self.peer is None or not self.peer.send_leased(packet):
            self._unsent = self._unsent.plus(traffic)

    def send_leased(self, packet: bytes) -> bool:
        """Sends what the other side said by the leased socket, if it is to be heard.

        No ICMP error, forged or not, reaches that socket.
        """
        if self.remote is None or self._route is Route.PLAY:
            return False
        if self._route is Route.RESUME and not self.stream.is_key(packet):
            packet = marked(packet)
            self._take_route(Route.FORWARD)
        try:
            self.socket.sendto(packet, self.remote)
        except OSError:
            self.send_errors += 1
            return False
        return True

    def _open_connected(self, source: SocketAddress, now: float) -> None:
        try:
            connected = open_connected(self.socket, source)
        except OSError:
            return  # no file descriptor, or no route: the leased socket goes on
        self._connected = connected
        self._connected_fd = connected.fileno()
        self._choose_socket()
        # What came between its bind and its connect may be from any source.
        while True:
            try:
                packet, sender = connected.recvfrom(MAX_PACKET)
            except BlockingIOError:
                break
            except OSError:
                continue
            if sender == source:
                self._take(packet, now)
            else:
                self.foreign += 1
        self._poller.watch(connected, self.on_connected_readable)

    def _close_connected(self) -> None:
        """The party is elsewhere, or gone."""
        self._until_connected = CONNECT_AFTER
        connected, self._connected = self._connected, None
        self._connected_fd = self.send_fd = -1
        if connected is not None:
            self._poller.unwatch(connected)
            connected.close()
