"""The RTP socket facing one party, and what happens to a packet that arrives on it.

`RtpEndpoint.on_connected_readable` is the path of nearly every packet: read, look at the header,
count, write. Its cost is that of the two system calls and about as much again, as `bench/` shows.
(`read` and `write` are cheaper than the socket's methods, whose arguments take longer to parse.)
Where a packet is encrypted on either side, the same is done in steps (`turn.py`): `prove`, `seal`.
"""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Callable
from typing import Final

from sip.media.relay.connected_socket import open_connected
from sip.media.relay.endpoint import MAX_PACKET, NEVER, Endpoint, Poller
from sip.media.relay.latch import SocketAddress
from sip.media.relay.outlet import NO_TRAFFIC, Outlet, Traffic
from sip.media.relay.rtp import RtpStream
from sip.media.relay.srtp import Guard
from sip.media.terms import Signalling

#: Packets from the learned source after which it gets a socket of its own, 0.3 s of them.
CONNECT_AFTER: Final = 16

#: Packets that are taken at once when that socket is opened: seconds of a stalled relay.
MAX_WAITING: Final = 256

#: Who is told the packets of a party: the packet and the time.
Ear = Callable[[bytes, float], None]

_read = os.read
_write = os.write


class RtpEndpoint(Endpoint):
    """The RTP socket facing a party, and a connected one once the party's source is known."""

    __slots__ = (
        "_aside",
        "_aside_at",
        "_connected",
        "_connected_fd",
        "_ears",
        "_onto",
        "_turn",
        "_unsent",
        "_until_connected",
        "datagrams",
        "guard",
        "outlet",
        "stream",
    )

    def __init__(self, sock: socket.socket, poller: Poller, rng: random.Random) -> None:
        super().__init__(sock, poller)
        self._turn = poller.turn
        self.stream = RtpStream()
        #: Whether what comes is no RTP, but passes as it is: fax by T.38.
        self.datagrams = False
        #: What the party hears.
        self.outlet = Outlet(sock, rng)
        #: What proves and decrypts what the party sends; None for a party in the clear.
        self.guard: Guard | None = None
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
        if speaker is not None:
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
        if ear in self._ears:
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
        """What the party sends is encrypted from now on, or is not any more."""
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
        """Reads one datagram of the learned source of a party whose media is encrypted."""
        try:
            packet = _read(self._connected_fd, MAX_PACKET)
        except OSError:
            return
        self._turn.arrived.append((self, packet))

    def prove(self, packet: bytes, now: float) -> None:
        """Takes what `on_secure_readable` has read, and has it sent on if it may pass."""
        guard = self.guard
        assert guard is not None
        clear = guard.receiver.unprotect(packet)
        if clear is None:
            clear = guard.open_late(packet, now)
            if clear is None:
                self.refused += 1
                return
        if not self.stream.take(clear, now) or len(clear) == MAX_PACKET:
            self._take_aside(clear, now)
            return
        onto = self._onto
        if onto is not None:
            fd = onto.fd
            if fd >= 0:
                self._turn.ready.append((fd, clear, self))
                return
        self.seal(clear, now)

    def seal(self, packet: bytes, now: float) -> None:
        """Encrypts what was taken, if nothing else stands before its hearer."""
        onto = self._onto
        sealed = None if onto is None else onto.sealed
        if onto is None or sealed is None:
            self._pass_on(packet, now)
            return
        wire = sealed.protect(packet)
        if wire is None:
            onto.not_sealed(sealed, now)
            self._not_sent(len(packet))
            return
        sealed.unsealed = 0
        self._turn.ready.append((sealed.fd, wire, self))

    def send_again(self, wire: bytes) -> None:
        """Sends what the connected socket did not take: an ICMP error's is no reason to lose it."""
        onto = self._onto
        if onto is None or not onto.send_leased(wire):
            self._not_sent(self.stream.size)

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
            if onto.sealed is not None:
                self._turn.taken.append((self, packet))
                return
        self._pass_on(packet, now)

    def _pass_on(self, packet: bytes, now: float) -> None:
        """Sends on what was taken where more than one thing may stand in between."""
        onto = self._onto
        if onto is not None:
            for ear in self._ears:
                ear(packet, now)
            if onto.pass_on(packet, now):
                return
        self._not_sent(len(packet))

    def _not_sent(self, size: int) -> None:
        self._unsent = self._unsent.plus(Traffic(1, size))

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
        if connected is not None:
            self._connected_fd = -1
            self.outlet.connect(-1)
            self._poller.unwatch(connected)
            connected.close()
