"""The RTP socket facing one party, and what happens to a packet that arrives on it.

`RtpEndpoint.on_connected_readable` is the path of nearly every packet: read, look at the header,
count, write. Its cost is that of the two system calls and about as much again, as `bench/` shows.
(`read` and `write` are cheaper than the socket's methods, whose arguments take longer to parse.)
"""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Callable
from typing import Protocol

from sip.media.relay.connected_socket import open_connected
from sip.media.relay.latch import Latch, SocketAddress
from sip.media.relay.outlet import NO_TRAFFIC, Outlet, Traffic
from sip.media.relay.rtp import RtpStream
from sip.media.relay.srtp import Change, Guard
from sip.media.terms import Signalling

#: Longest datagram taken; one that fills it was cut and is refused. Audio fits an Ethernet frame.
MAX_PACKET = 4096

#: Packets from the learned source after which it gets a socket of its own, 0.3 s of them.
CONNECT_AFTER = 16

#: Packets that are taken at once when that socket is opened: seconds of a stalled relay.
MAX_WAITING = 256

#: Before any packet.
NEVER = float("-inf")


#: Who is told the packets of a party: the packet and the time.
Ear = Callable[[bytes, float], None]

_read = os.read
_write = os.write


def _nothing(_: bytes) -> bytes | None:
    """Default for what makes a packet readable: nothing is."""
    return None


class Poller(Protocol):
    """Calls `reader(now)` when `sock` has a packet; `now` is monotonic seconds."""

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


class RtpEndpoint(Endpoint):
    """The RTP socket facing a party, and a connected one once the party's source is known."""

    __slots__ = (
        "_aside",
        "_aside_at",
        "_connected",
        "_connected_fd",
        "_ears",
        "_onto",
        "_unprotect",
        "_unsent",
        "_until_connected",
        "datagrams",
        "guard",
        "outlet",
        "stream",
    )

    def __init__(self, sock: socket.socket, poller: Poller, rng: random.Random) -> None:
        super().__init__(sock, poller)
        self.stream = RtpStream()
        #: Whether what comes is no RTP, but passes as it is: fax by T.38.
        self.datagrams = False
        #: What the party hears.
        self.outlet = Outlet(sock, rng)
        #: What proves and decrypts what the party sends; None for a party in the clear.
        self.guard: Guard | None = None
        self._unprotect: Change = _nothing
        #: Who hears the party, beside those who listen in on the way.
        self._onto: Outlet | None = None
        self._ears: tuple[Ear, ...] = ()
        #: What the party sent and could not be sent on.
        self._unsent = NO_TRAFFIC
        #: Keys that the party sent beside its stream, with an SSRC of their own.
        self._aside = NO_TRAFFIC
        self._aside_at = NEVER
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

    def attach(self, peer: RtpEndpoint | None) -> None:
        """What the party sends, `peer`'s party hears from now on, and the other way round."""
        if peer is not None and self._onto is peer.outlet:
            return
        self._detach()
        if peer is not None:
            peer._detach()
            self._listen_to(peer)
            peer._listen_to(self)

    def _listen_to(self, peer: RtpEndpoint) -> None:
        peer._onto = self.outlet
        self.outlet.hear(peer)
        self.outlet.overhear(bool(peer._ears))

    def _detach(self) -> None:
        """Both parties hear nobody."""
        onto, self._onto = self._onto, None
        if onto is not None and onto.source is self:
            onto.hear(None)
        speaker = self.outlet.source
        self.outlet.hear(None)
        if isinstance(speaker, RtpEndpoint):
            speaker._onto = None

    def _aim(self, remote: SocketAddress | None) -> None:
        self.outlet.aim(remote)

    def listen_in(self, ear: Ear) -> None:
        """`ear` is told each packet that is taken from the party, with the time, until `let_be`."""
        self._ears = (*self._ears, ear)
        self._tell_outlet()

    def let_be(self, ear: Ear) -> None:
        """`ear` is told no more; without effect if it is told nothing."""
        self._ears = tuple([each for each in self._ears if each is not ear])
        self._tell_outlet()

    def _tell_outlet(self) -> None:
        if self._onto is not None:
            self._onto.overhear(bool(self._ears))

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
        return changed

    def close(self) -> None:
        self._close_connected()
        super().close()

    def stand_guard(self, guard: Guard | None) -> None:
        """What the party sends is encrypted from now on, or is not any more.

        To be told also when the key behind a guard has changed.
        """
        self._unprotect = _nothing if guard is None else guard.receiver.unprotect
        if guard is not self.guard:
            self.guard = guard
            self._close_connected()  # its packets are read otherwise

    def on_readable(self, now: float) -> None:
        try:
            packet, source = self._receive(MAX_PACKET)
        except OSError:
            return  # a spurious wake-up
        if self._judge(packet, source, now) and self._until_connected:
            self._until_connected -= 1
            if not self._until_connected:
                self._open_connected(source, now)

    def _judge(self, packet: bytes, source: SocketAddress, now: float) -> bool:
        """Takes a datagram of the leased socket if it is the party's; false if it is not."""
        if self.guard is not None:  # nothing is learned from what is not proven
            clear = self.guard.open(packet, now)
            if clear is None:
                self.turn_away(source)
                return False
            packet = clear
        if source != self.source and not self._follow(source, packet, now):
            self.foreign += 1
            return False
        self._take(packet, now)
        return True

    def _follow(self, source: SocketAddress, packet: bytes, now: float) -> bool:
        """A packet from elsewhere: true if the party is there from now on."""
        stream = self.stream
        if not (self.datagrams or stream.reads(packet)):
            return False
        goes_on = not self.datagrams and stream.goes_on(packet)
        if not self._learn(source, now, self._heard_at, goes_on):
            return False
        self._close_connected()
        if not goes_on:
            stream.forget_source()
        return True

    @property
    def heard_at(self) -> float | None:
        """The time of the last packet taken, audio, key or fax; None if there was none."""
        return None if self._heard_at == NEVER else self._heard_at

    @property
    def _heard_at(self) -> float:
        heard_at = self.stream.heard_at
        return self._aside_at if heard_at is None else max(heard_at, self._aside_at)

    def on_connected_readable(self, now: float) -> None:
        """Takes one datagram of the learned source."""
        try:
            packet = _read(self._connected_fd, MAX_PACKET)
        except OSError:
            return  # the ICMP error of an earlier packet; it is cleared by having been read
        self._take(packet, now)

    def on_secure_readable(self, now: float) -> None:
        """Takes one datagram of the learned source of a party whose media is encrypted."""
        try:
            packet = _read(self._connected_fd, MAX_PACKET)
        except OSError:
            return
        clear = self._unprotect(packet)
        if clear is None and self.guard is not None:
            clear = self.guard.open_late(packet, now)
        if clear is None:
            self.refused += 1
            return
        self._take(clear, now)

    def _take(self, packet: bytes, now: float) -> None:
        """Counts a datagram of the learned source and forwards it if it may pass."""
        if not self.stream.take(packet, now) or len(packet) == MAX_PACKET:
            self._take_aside(packet, now)
            return
        onto = self._onto
        if onto is not None:
            fd = onto.fd
            try:
                if fd >= 0:
                    _write(fd, packet)
                    return
            except OSError:
                pass  # an ICMP error's, and no reason to lose this packet
            if onto.sealed_fd >= 0:
                if onto.pass_sealed(packet, now):
                    return
                self._unsent = self._unsent.plus(Traffic(1, len(packet)))
                return
            for ear in self._ears:
                ear(packet, now)
            if onto.pass_on(packet, now):
                return
        self._unsent = self._unsent.plus(Traffic(1, len(packet)))

    def _take_aside(self, packet: bytes, now: float) -> None:
        """A packet that is not the stream's: passed on if it is a key, else refused.

        Some send keys with an SSRC of their own (RFC 4733 2.1 wants the audio's).
        """
        if self.datagrams:
            self._take_datagram(packet, now)
            return
        if len(packet) == MAX_PACKET or not self.stream.take_key(packet, now):
            self.refused += 1
            return
        traffic = Traffic(1, len(packet))
        self._aside = self._aside.plus(traffic)
        self._aside_at = now
        if self._onto is None or not self._onto.pass_beside(packet, now):
            self._unsent = self._unsent.plus(traffic)

    def _take_datagram(self, packet: bytes, now: float) -> None:
        if len(packet) == MAX_PACKET:
            self.refused += 1
            return
        traffic = Traffic(1, len(packet))
        self._aside = self._aside.plus(traffic)
        self._aside_at = now
        if self._onto is None or not self._onto.pass_datagram(packet):
            self._unsent = self._unsent.plus(traffic)

    def _open_connected(self, source: SocketAddress, now: float) -> None:
        try:
            connected = open_connected(self.socket, source)
        except OSError:
            return  # no file descriptor, or no route: the leased socket goes on
        self._empty_leased(now)
        if self.source != source:  # it has moved on
            connected.close()
            return
        self._connected = connected
        self._connected_fd = connected.fileno()
        self.outlet.connect(self._connected_fd)
        # What came between its bind and its connect may be from any source.
        while True:
            try:
                packet, sender = connected.recvfrom(MAX_PACKET)
            except BlockingIOError:
                break
            except OSError:
                continue
            guard = self.guard
            clear = packet if guard is None else guard.open(packet, now)
            if sender == source and clear is not None:
                self._take(clear, now)
            elif sender == source:
                self.refused += 1
            else:
                self.foreign += 1
        secure = self.guard is not None
        reader = self.on_secure_readable if secure else self.on_connected_readable
        self._poller.watch(connected, reader)

    def _empty_leased(self, now: float) -> None:
        """What waits at the leased socket came before all that the connected one gets."""
        for _ in range(MAX_WAITING):
            try:
                packet, source = self._receive(MAX_PACKET)
            except OSError:
                return
            self._judge(packet, source, now)

    def _close_connected(self) -> None:
        """The party is elsewhere, or gone."""
        self._until_connected = CONNECT_AFTER
        connected, self._connected = self._connected, None
        self._connected_fd = -1
        self.outlet.connect(-1)
        if connected is not None:
            self._poller.unwatch(connected)
            connected.close()
