"""One party's sockets in this process: what a packet does to counters, and that none raises."""

import socket
import struct
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sip.media.plane import Learn
from sip.media.relay import rtcp
from sip.media.relay.endpoint import Endpoint, PacketBuffer, RtcpEndpoint, RtpEndpoint
from tests.media.talk import receiver_report, rtp

PARTY = "127.0.0.2"
OTHER = "127.0.0.3"


class Wire:
    """Two endpoints joined back to back, the party of one, and a socket that is not the party's."""

    def __init__(self, kind: type[RtpEndpoint] | type[RtcpEndpoint], window_s: float) -> None:
        self._sockets = [_bound(host) for host in ("127.0.0.1", "127.0.0.1", PARTY, OTHER, PARTY)]
        ours, theirs, self.party, self.listener, self.second = self._sockets
        buffer = PacketBuffer()
        self.endpoint: Endpoint = kind(ours, buffer, window_s)
        self.far: Endpoint = kind(theirs, buffer, window_s)
        self.endpoint.expect(self.party.getsockname(), 0.0, signalling_ip=None, learn=Learn.ANY)
        self.far.expect(self.listener.getsockname(), 0.0, signalling_ip=None, learn=Learn.ANY)
        self.endpoint.peer, self.far.peer = self.far, self.endpoint
        if isinstance(self.endpoint, RtpEndpoint):
            self.endpoint.payload_types = frozenset({0, 101})

    def send(self, data: bytes, by: socket.socket | None = None) -> None:
        (by or self.party).sendto(data, self.endpoint.socket.getsockname())
        self.endpoint.on_readable()

    def heard(self) -> bytes | None:
        try:
            return self.listener.recv(65535)
        except BlockingIOError:
            return None

    def close(self) -> None:
        for sock in self._sockets:
            sock.close()


def _bound(host: str) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.bind((host, 0))
    return sock


@pytest.fixture
def wire() -> Iterator[Wire]:
    """RTP, with a learning window that closed long ago."""
    wire = Wire(RtpEndpoint, window_s=0.0)
    yield wire
    wire.close()


@pytest.fixture
def rtcp_wire() -> Iterator[Wire]:
    wire = Wire(RtcpEndpoint, window_s=0.0)
    yield wire
    wire.close()


def test_a_packet_passes_unchanged(wire: Wire) -> None:
    extended = struct.pack("!BBHII", 0xB2, 0x80, 5, 800, 9) + b"csrc" * 2 + b"\0\1\0\1ext!voice\3"
    wire.send(extended)
    assert wire.heard() == extended
    assert wire.far.packets_sent == 1
    assert wire.far.octets_sent == len(extended)


def test_after_the_window_a_stranger_is_not_learned_and_the_party_still_is(wire: Wire) -> None:
    wire.send(rtp(0, 1, 160, 7), by=wire.listener)
    assert wire.heard() is None
    assert wire.endpoint.foreign == 1
    wire.send(rtp(0, 1, 160, 7))
    assert wire.heard() is not None


def test_a_late_first_packet_from_the_partys_other_port_is_learned(wire: Wire) -> None:
    """Muted until long after the answer, behind a NAT that changed the port."""
    wire.send(rtp(0, 1, 160, 7), by=wire.second)
    assert wire.heard() is not None
    assert wire.endpoint.remote == wire.second.getsockname()


def test_nothing_is_sent_before_the_other_side_is_known(wire: Wire) -> None:
    wire.far.remote = None
    wire.send(rtp(0, 1, 160, 7))
    wire.endpoint.peer = None
    wire.send(rtp(0, 2, 320, 7))
    assert wire.heard() is None
    assert isinstance(wire.endpoint, RtpEndpoint)
    assert wire.endpoint.stats.packets == 2


def test_a_send_that_fails_is_counted_and_harms_nothing(wire: Wire) -> None:
    wire.far.remote = ("255.255.255.255", 9)  # broadcast without leave: EACCES
    wire.send(rtp(0, 1, 160, 7))
    assert wire.far.send_errors == 1
    assert wire.far.packets_sent == 0


def test_a_wake_up_without_a_packet_is_nothing(wire: Wire, rtcp_wire: Wire) -> None:
    wire.endpoint.on_readable()
    rtcp_wire.endpoint.on_readable()
    assert wire.endpoint.refused == rtcp_wire.endpoint.refused == 0


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=64), own=st.booleans())
def test_any_bytes_on_rtp_are_taken_or_counted(wire: Wire, data: bytes, own: bool) -> None:
    endpoint = wire.endpoint
    assert isinstance(endpoint, RtpEndpoint)
    before = endpoint.stats.packets + endpoint.foreign + endpoint.refused
    wire.send(data, by=None if own else wire.listener)
    assert endpoint.stats.packets + endpoint.foreign + endpoint.refused == before + 1
    heard = wire.heard()
    assert heard is None or (heard == data and own)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=64), own=st.booleans())
def test_any_bytes_on_rtcp_are_taken_or_counted(rtcp_wire: Wire, data: bytes, own: bool) -> None:
    endpoint = rtcp_wire.endpoint
    assert isinstance(endpoint, RtcpEndpoint)
    before = endpoint.packets + endpoint.foreign + endpoint.refused
    rtcp_wire.send(data, by=None if own else rtcp_wire.listener)
    assert endpoint.packets + endpoint.foreign + endpoint.refused == before + 1


@pytest.mark.parametrize(
    ("packet", "valid"),
    [
        (receiver_report(1, 2), True),
        (receiver_report(1, 2) + b"more", True),
        (b"\x80\xc9\x00\x01\x00\x00\x00\x01", True),
        (b"\x81\xcb\x00\x01\x00\x00\x00\x01", True),  # BYE
        (b"\x80\xc9\x00\x02\x00\x00\x00\x01", False),  # longer than it is
        (b"\x40\xc9\x00\x01\x00\x00\x00\x01", False),  # version 1
        (rtp(0, 1, 160, 1), False),
        (b"\x80\xc9\x00\x00", False),
        (b"", False),
    ],
)
def test_what_rtcp_is(packet: bytes, valid: bool) -> None:
    assert rtcp.valid(packet, len(packet)) is valid
