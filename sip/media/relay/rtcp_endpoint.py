"""The RTCP socket facing one party: its reports go to the other side as they are."""

from __future__ import annotations

import socket

from sip.media.relay import rtcp
from sip.media.relay.endpoint import MAX_PACKET, NEVER, Endpoint, Poller
from sip.media.relay.latch import SocketAddress


class RtcpEndpoint(Endpoint):
    """The RTCP socket facing a party; reports pass as they are, as no SSRC is rewritten."""

    __slots__ = ("_heard_at", "_ssrc", "packets", "packets_sent", "peer", "remote", "send_errors")

    def __init__(self, sock: socket.socket, poller: Poller) -> None:
        super().__init__(sock, poller)
        self.peer: RtcpEndpoint | None = None
        self.remote: SocketAddress | None = None
        self.send_errors = 0
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
        peer = self.peer
        if peer is None or peer.remote is None:
            return
        try:
            peer.socket.sendto(packet, peer.remote)
        except OSError:
            peer.send_errors += 1
            return
        peer.packets_sent += 1
