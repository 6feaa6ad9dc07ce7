"""The RTCP socket facing one party: its reports go to the other side as they are."""

from __future__ import annotations

import socket

from sip.media.relay import rtcp
from sip.media.relay.endpoint import MAX_PACKET, NEVER, Endpoint, Poller
from sip.media.relay.latch import SocketAddress
from sip.media.relay.srtp import Change, Guard


class RtcpEndpoint(Endpoint):
    """The RTCP socket facing a party; reports pass as they are, as no SSRC is rewritten."""

    __slots__ = ("_heard_at", "_ssrc", "guard", "packets", "packets_sent", "peer", "protect",
                 "remote", "send_errors")  # fmt: skip

    def __init__(self, sock: socket.socket, poller: Poller) -> None:
        super().__init__(sock, poller)
        self.peer: RtcpEndpoint | None = None
        self.remote: SocketAddress | None = None
        self.send_errors = 0
        #: What proves and decrypts the party's reports, and encrypts those for it (SRTCP).
        self.guard: Guard | None = None
        self.protect: Change | None = None
        self._heard_at = NEVER
        self._ssrc = b""
        self.packets = 0
        self.packets_sent = 0

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
        if self.peer is not None:
            self.peer.send(packet)

    def send(self, packet: bytes) -> None:
        """Sends a report to the party, if it can be sent to."""
        if self.remote is None:
            return
        wire = packet if self.protect is None else self.protect(packet)
        if wire is None:
            return
        try:
            self.socket.sendto(wire, self.remote)
        except OSError:
            self.send_errors += 1
            return
        self.packets_sent += 1
