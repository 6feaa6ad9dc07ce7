"""The RTCP socket facing one party: what it says of what it hears, and what it is told."""

from __future__ import annotations

import random
import socket

from sip.media import rtcp
from sip.media.relay.endpoint import MAX_PACKET, NEVER, Endpoint, Poller
from sip.media.relay.latch import SocketAddress
from sip.media.relay.outlet import Outlet
from sip.media.relay.reporter import Reporter
from sip.media.relay.srtp import Change, Guard


class RtcpEndpoint(Endpoint):
    """The RTCP socket facing a party.

    The other side's reports pass as they are while the party hears that side's own numbers. Under
    numbers of ours they would speak of a stream that the party does not know.
    """

    __slots__ = ("_heard_at", "_outlet", "_rng", "_ssrc", "guard", "packets", "packets_sent",
                 "peer", "protect", "remote", "reporter", "send_errors")  # fmt: skip

    def __init__(
        self, sock: socket.socket, poller: Poller, outlet: Outlet, rng: random.Random
    ) -> None:
        """`outlet` is the way of audio to the same party."""
        super().__init__(sock, poller)
        #: Made once there is RTCP, theirs or ours: many calls are over before.
        self.reporter: Reporter | None = None
        self._rng = rng
        self.peer: RtcpEndpoint | None = None
        self.remote: SocketAddress | None = None
        self.send_errors = 0
        self._outlet = outlet
        #: What proves and decrypts the party's reports, and encrypts those for it (SRTCP).
        self.guard: Guard | None = None
        self.protect: Change | None = None
        self._heard_at = NEVER
        self._ssrc = b""
        self.packets = 0
        self.packets_sent = 0

    def reporting(self) -> Reporter:
        """The `reporter`, made where there is none yet."""
        if self.reporter is None:
            self.reporter = Reporter(self._rng)
        return self.reporter

    def _aim(self, remote: SocketAddress | None) -> None:
        self.remote = remote

    def on_readable(self, now: float) -> None:
        try:
            packet, source = self._receive(MAX_PACKET)
        except OSError:
            return
        if self.guard is not None:
            clear = self.guard.open_rtcp(packet, now)
            if clear is None:
                self.turn_away(source)
                return
            packet = clear
        if not rtcp.valid(packet) or len(packet) == MAX_PACKET:
            self.refused += 1
            return
        ssrc = rtcp.ssrc(packet)
        if source != self.source and not self._learn(
            source, now, self._heard_at, ssrc == self._ssrc
        ):
            self.foreign += 1
            return
        self._heard_at, self._ssrc = now, ssrc
        self.packets += 1
        self.reporting().heard(packet, self._outlet.audio(now), now)
        if self.peer is not None:
            self.peer.pass_on(packet, now)

    def pass_on(self, packet: bytes, now: float) -> None:
        """The other side's RTCP, if it tells the party anything."""
        if self._outlet.forwards and self.send(packet):
            self.reporting().passed(packet, now)

    def send(self, packet: bytes) -> bool:
        """Sends RTCP to the party, if it is known where."""
        if self.remote is None:
            return False
        wire = packet if self.protect is None else self.protect(packet)
        if wire is None:
            return False
        try:
            self.socket.sendto(wire, self.remote)
        except OSError:
            self.send_errors += 1
            return False
        self.packets_sent += 1
        return True
