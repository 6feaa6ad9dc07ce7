"""One party's sockets in this process: what a packet does to counters, and that none raises."""

import errno
import os
import random
import select
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sip.core.sdp_crypto import Crypto, Suite
from sip.media import rtcp
from sip.media.relay.connected_socket import open_connected
from sip.media.relay.endpoint import MAX_PACKET
from sip.media.relay.outlet import Outlet, Traffic
from sip.media.relay.rtcp_endpoint import RtcpEndpoint
from sip.media.relay.rtp_endpoint import CONNECT_AFTER, RtpEndpoint
from sip.media.relay.srtp import Guard, Receiver, Sender
from sip.media.relay.turn import Turn
from tests.media.talk import PATIENCE_S, key_packets, receiver_report, rtp

PARTY = "127.0.0.2"
OTHER = "127.0.0.3"

Kind = TypeVar("Kind", RtpEndpoint, RtcpEndpoint)


class Wire(Generic[Kind]):
    """Two endpoints back to back: `party` sends to `near`, and `listener` hears what `far` sends.

    It is their poller too, and time is 100 s unless said.
    """

    def __init__(self, make: Callable[[socket.socket, "Wire[Kind]"], Kind]) -> None:
        self._sockets = [_bound(host) for host in ("127.0.0.1", "127.0.0.1", PARTY, OTHER, PARTY)]
        ours, theirs, self.party, self.listener, self.second = self._sockets
        self._readers: dict[int, Callable[[float], None]] = {}
        self._poll = select.epoll()
        self.turn = Turn()
        self.near: Kind = make(ours, self)
        self.far: Kind = make(theirs, self)
        self.near.expect(self.party.getsockname(), 0.0, signalling=None)
        self.far.expect(self.listener.getsockname(), 0.0, signalling=None)
        join(self.near, self.far)

    def watch(self, sock: socket.socket, reader: Callable[[float], None]) -> None:
        self._poll.register(sock, select.EPOLLIN)
        self._readers[sock.fileno()] = reader

    def unwatch(self, sock: socket.socket) -> None:
        self._poll.unregister(sock)
        del self._readers[sock.fileno()]

    @property
    def watched(self) -> int:
        return len(self._readers)

    def send(self, data: bytes, by: socket.socket | None = None, at: float = 100.0) -> None:
        """Sends to `near` and lets whichever socket gets it read it."""
        (by or self.party).sendto(data, self.near.socket.getsockname())
        for fd, _ in self._poll.poll(PATIENCE_S):
            self._readers[fd](at)
        self.turn.end(at)

    def hears_at(self, address: tuple[str, int]) -> None:
        """The listener comes back to where it was."""
        self.listener = _bound(*address)
        self._sockets.append(self.listener)

    def settle(self, ssrc: int = 7) -> int:
        """Packets until the party has a connected socket; the next sequence number."""
        for seq in range(1, CONNECT_AFTER + 1):
            self.send(rtp(0, seq, seq * 160, ssrc))
            assert self.heard() is not None
        return CONNECT_AFTER + 1

    def heard(self) -> bytes | None:
        try:
            return self.listener.recv(65535)
        except BlockingIOError:
            return None

    def close(self) -> None:
        self.near.close()
        self.far.close()
        assert self._readers == {}
        self._poll.close()
        for sock in self._sockets:
            sock.close()


def join(one: RtpEndpoint | RtcpEndpoint, other: RtpEndpoint | RtcpEndpoint) -> None:
    if isinstance(one, RtpEndpoint) and isinstance(other, RtpEndpoint):
        one.attach(other)
    elif isinstance(one, RtcpEndpoint) and isinstance(other, RtcpEndpoint):
        one.peer, other.peer = other, one


def _bound(host: str, port: int = 0) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.bind((host, port))
    return sock


def _rtp_endpoint(sock: socket.socket, poller: Wire[RtpEndpoint]) -> RtpEndpoint:
    return RtpEndpoint(sock, poller, random.Random(3))


def _rtcp_endpoint(sock: socket.socket, poller: Wire[RtcpEndpoint]) -> RtcpEndpoint:
    rng = random.Random(3)
    return RtcpEndpoint(sock, poller, Outlet(sock, rng), rng)


@pytest.fixture
def wire() -> Iterator[Wire[RtpEndpoint]]:
    wire = Wire(_rtp_endpoint)
    wire.near.stream.negotiate({0: 8000, 101: 8000})
    yield wire
    wire.close()


@pytest.fixture
def rtcp_wire() -> Iterator[Wire[RtcpEndpoint]]:
    wire = Wire(_rtcp_endpoint)
    yield wire
    wire.close()


def test_a_packet_passes_unchanged(wire: Wire[RtpEndpoint]) -> None:
    extended = struct.pack("!BBHII", 0xB2, 0x80, 5, 800, 9) + b"csrc" * 2 + b"\0\1\0\1ext!voice\3"
    wire.send(extended)
    assert wire.heard() == extended
    assert wire.far.outlet.sent.packets == 1
    assert wire.far.outlet.sent.octets == len(extended)


def test_a_stranger_is_not_learned_and_the_party_still_is(
    wire: Wire[RtpEndpoint],
) -> None:
    wire.send(rtp(0, 1, 160, 7), by=wire.listener)
    assert wire.heard() is None
    assert wire.near.foreign == 1
    wire.send(rtp(0, 1, 160, 7))
    assert wire.heard() is not None


def test_nothing_is_sent_before_the_other_side_is_known(wire: Wire[RtpEndpoint]) -> None:
    wire.far.outlet.aim(None)
    wire.send(rtp(0, 1, 160, 7))
    wire.near.attach(None)
    wire.send(rtp(0, 2, 320, 7))
    assert wire.heard() is None
    assert wire.near.stream.packets == 2
    assert wire.far.outlet.sent.packets == 0


def test_a_send_that_fails_is_counted_and_harms_nothing(wire: Wire[RtpEndpoint]) -> None:
    wire.far.outlet.aim(("255.255.255.255", 9))  # broadcast without leave: EACCES
    wire.send(rtp(0, 1, 160, 7))
    assert wire.far.outlet.send_errors == 1
    assert wire.far.outlet.sent.packets == 0


def test_a_learned_party_gets_a_socket_of_its_own_and_nothing_changes(
    wire: Wire[RtpEndpoint],
) -> None:
    seq = wire.settle()
    assert wire.watched == 3
    for packet in (rtp(0, seq, seq * 160, 7), rtp(101, seq + 1, seq * 160, 7, b"\1\0\0\xa0")):
        wire.send(packet)
        assert wire.heard() == packet
    wire.send(rtp(8, seq + 2, seq * 160, 7))
    wire.send(b"\x80")
    wire.send(rtp(0, 1, 160, 0xBAD))
    wire.send(rtp(0, 1, 160, 7), by=wire.second)
    wire.send(rtp(0, 1, 160, 7), by=wire.listener)
    assert wire.heard() is None
    assert wire.near.stream.packets == CONNECT_AFTER + 2
    assert wire.near.refused == 3
    assert wire.near.foreign == 2


def test_what_reaches_the_second_socket_before_it_is_connected_is_judged(
    wire: Wire[RtpEndpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between bind and connect it hears everybody; a stranger's packet must not slip in."""

    def with_a_stranger_waiting(
        leased: socket.socket, peer: tuple[str, int] | tuple[str, int, int, int]
    ) -> socket.socket:
        connected = open_connected(leased, wire.second.getsockname())
        wire.second.sendto(rtp(0, 99, 99 * 160, 7), leased.getsockname())
        connected.connect(peer)
        wire.party.sendto(rtp(0, 17, 17 * 160, 7), leased.getsockname())
        return connected

    monkeypatch.setattr("sip.media.relay.rtp_endpoint.open_connected", with_a_stranger_waiting)
    wire.settle()
    assert wire.near.foreign == 1
    assert wire.heard() == rtp(0, 17, 17 * 160, 7)
    assert wire.heard() is None


def test_what_waits_at_the_leased_socket_is_heard_before_what_comes_to_the_other(
    wire: Wire[RtpEndpoint],
) -> None:
    """A burst, or a relay that was held up: nothing overtakes."""
    burst = [rtp(0, n, n * 160, 7, b"%d" % n) for n in range(1, CONNECT_AFTER + 20)]
    for packet in burst:
        wire.party.sendto(packet, wire.near.socket.getsockname())
    for _ in range(CONNECT_AFTER):
        wire.near.on_readable(100.0)
    late = rtp(0, len(burst) + 1, 9999, 7)
    wire.send(late)
    heard = [wire.heard() for _ in range(len(burst) + 1)]
    assert heard == [*burst, late]


def test_without_a_descriptor_for_a_second_socket_the_leased_socket_goes_on(
    wire: Wire[RtpEndpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*_: object) -> socket.socket:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr("sip.media.relay.rtp_endpoint.open_connected", exhausted)
    seq = wire.settle()
    assert wire.watched == 2
    wire.send(rtp(0, seq, seq * 160, 7))
    assert wire.heard() is not None


def test_the_port_stays_exclusive_beside_a_connected_socket(wire: Wire[RtpEndpoint]) -> None:
    """Not even a program that asks to share it may bind a port with a call on it."""
    wire.settle()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError, match=os.strerror(errno.EADDRINUSE)):
            thief.bind(wire.near.socket.getsockname())


def test_a_new_address_closes_the_connected_socket_and_is_learned(wire: Wire[RtpEndpoint]) -> None:
    wire.settle()
    wire.near.expect(wire.second.getsockname(), 100.0, signalling=None)
    assert wire.watched == 2
    wire.send(rtp(0, 1, 160, 0xB), by=wire.second)
    assert wire.heard() is not None
    wire.send(rtp(0, 2, 320, 7))
    assert wire.heard() is None
    assert wire.near.foreign == 1


def test_hold_stops_sending_by_the_connected_socket_and_resume_goes_on(
    wire: Wire[RtpEndpoint],
) -> None:
    """`far`'s party is learned and has a connected socket; then it holds by 0.0.0.0."""
    wire.far.stream.negotiate({0: 8000})
    for seq in range(CONNECT_AFTER):
        wire.listener.sendto(rtp(0, seq, seq * 160, 9), wire.far.socket.getsockname())
        wire.far.on_readable(100.0)
    assert wire.far.outlet.fd >= 0
    wire.far.expect(None, 100.0, signalling=None)
    wire.send(rtp(0, 1, 160, 7))
    assert wire.heard() is None
    wire.far.expect(wire.listener.getsockname(), 100.0, signalling=None)
    assert wire.far.outlet.fd >= 0
    wire.send(rtp(0, 2, 320, 7))
    assert wire.heard() is not None
    assert wire.far.outlet.sent.packets == 1


def test_while_we_play_the_other_side_is_withheld_and_all_is_one_stream(
    wire: Wire[RtpEndpoint],
) -> None:
    """RFC 3550 5.1, RFC 3551 4.1: the numbers go on, and audio after a pause has the marker."""
    outlet = wire.far.outlet
    for party in (wire.near, wire.far):
        party.stream.negotiate({0: 8000, 101: 8000}, {101})
    for seq in range(CONNECT_AFTER):
        wire.listener.sendto(rtp(0, seq, seq * 160, 9), wire.far.socket.getsockname())
        wire.far.on_readable(100.0)
    wire.send(rtp(0, 1, 160, 7))
    assert wire.heard() == rtp(0, 1, 160, 7)
    outlet.withhold(True, 100.0)
    wire.send(rtp(0, 2, 320, 7))
    assert wire.heard() is None
    outlet.speak(0, b"ours", 160, 100.02)
    outlet.speak(0, b"ours too", 160, 100.04)
    assert wire.heard() == rtp(0x80, 2, 320, 7, b"ours")
    assert wire.heard() == rtp(0, 3, 480, 7, b"ours too")
    outlet.withhold(False, 100.0)
    wire.send(rtp(0, 4, 640, 7, b"theirs"), at=100.1)
    assert wire.heard() == rtp(0x80, 4, 960, 7, b"theirs")
    wire.send(rtp(0, 6, 960, 7, b"after a loss"), at=100.14)
    assert wire.heard() == rtp(0, 6, 1280, 7, b"after a loss")
    wire.send(rtp(101, 7, 1120, 7, b"\1\0\0\xa0"), at=100.16)
    assert wire.heard() == rtp(101, 7, 1440, 7, b"\1\0\0\xa0")
    assert outlet.fd < 0, "from the first packet of ours on, nothing passes unnumbered"
    assert outlet.sent.packets == 6
    assert wire.near.stream.packets == 5


def test_what_we_play_to_a_party_on_hold_is_lost(wire: Wire[RtpEndpoint]) -> None:
    wire.far.expect(None, 100.0, signalling=None)
    assert not wire.far.outlet.speak(0, b"ours", 160, 100.0)
    assert wire.heard() is None
    assert wire.far.outlet.sent.packets == 0


def test_who_listens_in_is_told_all_and_nothing_passes_otherwise(wire: Wire[RtpEndpoint]) -> None:
    """Also by the connected socket, and what the party itself does not get to hear."""
    told: list[bytes] = []

    def ear(packet: bytes, now: float) -> None:
        told.append(packet)

    seq = wire.settle()
    wire.near.listen_in(ear)
    packets = [rtp(0, seq + n, (seq + n) * 160, 7) for n in range(4)]
    wire.send(packets[0])
    assert wire.heard() == packets[0]
    wire.far.outlet.withhold(True, 100.0)
    wire.send(packets[1])
    assert wire.heard() is None
    wire.far.outlet.withhold(False, 100.0)
    wire.send(packets[2])
    assert wire.heard() is not None
    wire.near.let_be(ear)
    wire.send(packets[3])
    assert wire.heard() is not None
    assert told == packets[:3]


def test_what_is_converted_and_protected_is_counted_as_it_leaves(wire: Wire[RtpEndpoint]) -> None:
    """Two packets of 20 ms become one of 40; its numbers are ours, and it is sealed last."""
    held: list[bytes] = []

    def two_in_one(packet: bytes, now: float) -> list[bytes]:
        held.append(packet)
        if len(held) < 2:
            return []
        first, second = held
        held.clear()
        return [first + second[12:]]

    outlet = wire.far.outlet
    outlet.convert(two_in_one, 100.0)
    key = Crypto(1, Suite.AES_CM_128_HMAC_SHA1_80, bytes(30))
    outlet.encrypt(Sender(key))
    for seq in range(1, 5):
        wire.send(rtp(0, seq, seq * 160, 7, b"%d" % seq))
    hearer = Receiver(key)
    heard = [hearer.unprotect(wire.heard() or b"") for _ in range(3)]
    assert [packet and packet[12:] for packet in heard] == [b"12", b"34", None]
    assert outlet.sent.packets == 2


def test_keys_with_an_ssrc_of_their_own_pass_beside_the_stream(wire: Wire[RtpEndpoint]) -> None:
    keys: list[bytes] = []
    wire.near.stream.negotiate({0: 8000, 101: 8000}, {101})
    wire.near.stream.on_key = lambda packet, tick_s, now: keys.append(packet)
    wire.send(rtp(0, 1, 160, 7))
    assert wire.heard() is not None
    key = rtp(101, 900, 4711, 8, b"\1\0\0\xa0")
    wire.send(key)
    assert wire.heard() == key
    assert keys == [key]
    wire.send(rtp(0, 2, 320, 7))
    assert wire.heard() is not None, "the audio's SSRC is what it was"
    assert wire.near.stream.losses.lost == 0
    assert wire.near.taken.packets == wire.far.outlet.sent.packets == 3
    wire.send(rtp(0, 901, 4800, 8))
    assert wire.near.refused == 1, "audio of another SSRC is refused as ever"


def test_only_packets_of_keys_are_shown_to_who_reads_keys(wire: Wire[RtpEndpoint]) -> None:
    keys: list[bytes] = []
    wire.near.stream.negotiate({0: 8000, 8: 8000, 101: 8000}, {101})
    wire.near.stream.on_key = lambda packet, tick_s, now: keys.append(packet)
    packets = [rtp(0, 1, 160, 7), rtp(8, 2, 320, 7), *key_packets(101, 3, seq=3, timestamp=480,
               ssrc=7), rtp(0, 11, 1600, 7)]  # fmt: skip
    for packet in packets:
        wire.send(packet)
        assert wire.heard() == packet
    assert keys == packets[2:-1]


def test_a_datagram_that_was_cut_is_refused(wire: Wire[RtpEndpoint]) -> None:
    fits, cut = (rtp(0, n, n * 160, 7, b"\0" * (MAX_PACKET - 14 + n)) for n in (1, 2))
    wire.send(fits)
    assert wire.heard() == fits
    wire.send(cut)
    assert wire.heard() is None
    assert wire.near.refused == 1


def test_an_icmp_error_costs_no_packet(wire: Wire[RtpEndpoint]) -> None:
    """On a connected socket an unreachable port, real or forged, fails the next send."""
    wire.far.stream.negotiate({0: 8000})
    for seq in range(CONNECT_AFTER):
        wire.listener.sendto(rtp(0, seq, seq * 160, 9), wire.far.socket.getsockname())
        wire.far.on_readable(100.0)
    address = wire.listener.getsockname()
    wire.listener.close()
    wire.send(rtp(0, 1, 160, 7))  # the answer to this is the ICMP error
    wire.hears_at(address)
    packet = rtp(0, 2, 320, 7)
    # Straight to the reader: the poll would have cleared the error first.
    wire.party.sendto(packet, wire.near.socket.getsockname())
    wire.near.on_readable(100.0)
    assert wire.heard() == packet
    assert wire.far.outlet.sent.packets == 2
    assert wire.far.outlet.send_errors == 0


KEYS = [Crypto(1, Suite.AES_CM_128_HMAC_SHA1_80, bytes([n]) * 30) for n in (1, 2)]


class Sealed:
    """A party that encrypts, or one that hears what is encrypted, at either end of a wire."""

    def __init__(self, wire: Wire[RtpEndpoint], *, comes: bool, leaves: bool) -> None:
        self.wire = wire
        self.sender = Sender(KEYS[0]) if comes else None
        self.hearer = Receiver(KEYS[1]) if leaves else None
        if comes:
            wire.near.stand_guard(Guard(KEYS[0]))
        if leaves:
            wire.far.outlet.encrypt(Sender(KEYS[1]))
        wire.far.stream.negotiate({0: 8000})
        for seq in range(CONNECT_AFTER):
            wire.listener.sendto(rtp(0, seq, seq * 160, 9), wire.far.socket.getsockname())
            wire.far.on_readable(100.0)
            assert self.says(seq) == self.heard()

    def says(self, seq: int) -> bytes:
        packet = rtp(0, seq, seq * 160, 7)
        sealed = packet if self.sender is None else self.sender.protect(packet)
        assert sealed is not None
        self.wire.send(sealed)
        return packet

    def heard(self) -> bytes | None:
        wire = self.wire.heard()
        return wire if wire is None or self.hearer is None else self.hearer.unprotect(wire)


@pytest.fixture(params=["comes", "leaves", "both"])
def sealed(wire: Wire[RtpEndpoint], request: pytest.FixtureRequest) -> Sealed:
    """Who is heard encrypts, or who hears is spoken to so, or both; each by a connected socket."""
    return Sealed(wire, comes=request.param != "leaves", leaves=request.param != "comes")


def test_an_icmp_error_costs_no_encrypted_packet(wire: Wire[RtpEndpoint], sealed: Sealed) -> None:
    address = wire.listener.getsockname()
    wire.listener.close()
    sealed.says(100)
    wire.hears_at(address)
    assert sealed.says(101) == sealed.heard()
    assert wire.far.outlet.sent.packets == CONNECT_AFTER + 2
    assert wire.far.outlet.send_errors == 0


def test_an_encrypted_packet_that_cannot_be_sent_is_counted(
    wire: Wire[RtpEndpoint], sealed: Sealed
) -> None:
    wire.far.outlet.remote = ("255.255.255.255", 9)  # broadcast without leave: EACCES
    assert wire.far._connected is not None
    wire.far._connected.shutdown(socket.SHUT_WR)
    sealed.says(100)
    assert wire.far.outlet.send_errors == 1
    assert wire.far.outlet.sent == Traffic(CONNECT_AFTER, CONNECT_AFTER * 172)


def test_a_wake_up_without_a_packet_is_nothing(
    wire: Wire[RtpEndpoint], rtcp_wire: Wire[RtcpEndpoint]
) -> None:
    wire.near.on_readable(100.0)
    wire.near.on_connected_readable(100.0)
    rtcp_wire.near.on_readable(100.0)
    assert wire.near.refused == rtcp_wire.near.refused == 0


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=64), own=st.booleans())
def test_any_bytes_on_rtp_are_taken_or_counted(
    wire: Wire[RtpEndpoint], data: bytes, own: bool
) -> None:
    near = wire.near
    before = near.stream.packets + near.foreign + near.refused
    wire.send(data, by=None if own else wire.listener)
    assert near.stream.packets + near.foreign + near.refused == before + 1
    heard = wire.heard()
    assert heard is None or (heard == data and own)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=64), own=st.booleans())
def test_any_bytes_on_rtcp_are_taken_or_counted(
    rtcp_wire: Wire[RtcpEndpoint], data: bytes, own: bool
) -> None:
    near = rtcp_wire.near
    before = near.packets + near.foreign + near.refused
    rtcp_wire.send(data, by=None if own else rtcp_wire.listener)
    assert near.packets + near.foreign + near.refused == before + 1


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
    assert rtcp.valid(packet) is valid
