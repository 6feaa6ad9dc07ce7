"""What one party hears: from whom, under which numbers, and by which socket it leaves.

A route is chosen when something begins or ends, never for a packet:

- FORWARD: the other side's packets as they are. Where nothing stands in between, `fd` is a socket
  to which the other side writes by itself; else it asks `pass_on`.
- REWRITE, from the first packet of ours on: everything that the party hears, its other side's
  packets and ours, is one stream (`numbering.py`).
"""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, Protocol

from sip.media.relay.latch import SocketAddress
from sip.media.relay.numbering import Numbering, Numbers
from sip.media.relay.rtp import DEFAULT_CLOCK_RATE_HZ, HEADER, HEADER_SIZE, RtpStream
from sip.media.relay.srtp import Sender

_VERSION: Final = 0x8000
_MARKER: Final = 0x0080

#: RFC 3550 6.4: who has sent nothing for two of RTCP's intervals, 5 s each, is no sender any more.
QUIET_S: Final = 10.0

_write = os.write
_unpack = HEADER.unpack_from

#: The other side's packets, made into packets with the codecs, sizes and numbers of a stream
#: that the party understands; none while nothing is complete.
Convert = Callable[[bytes, float], Iterable[bytes]]

#: Packets in a row that cannot be encrypted, after which the party gets a stream of our own: its
#: speaker began its numbers anew (RFC 3711 9.1 allows none to be used twice).
MAX_UNSEALED: Final = 8


class Traffic(NamedTuple):
    """Packets and octets."""

    packets: int = 0
    octets: int = 0

    def plus(self, other: Traffic) -> Traffic:
        if other is NO_TRAFFIC:
            return self
        return Traffic(self.packets + other.packets, self.octets + other.octets)

    def minus(self, other: Traffic) -> Traffic:
        if other is NO_TRAFFIC:
            return self
        return Traffic(self.packets - other.packets, self.octets - other.octets)


NO_TRAFFIC: Final = Traffic()


class Audio(NamedTuple):
    """The stream that a party hears: its source, the timestamp of this moment, what was sent.

    `payload_octets` are without the headers (RFC 3550 6.4.1).
    """

    ssrc: int
    rtp_time: int
    packets: int
    payload_octets: int
    rate_hz: int


class Source(Protocol):
    """Where the other side's packets come from."""

    @property
    def stream(self) -> RtpStream: ...

    @property
    def passed(self) -> Traffic:
        """What arrived there and was sent on."""
        ...


class Outlet:
    """The way out to one party. `sock` is its leased socket."""

    __slots__ = ("_connected_fd", "_convert", "_counted", "_keying", "_leave_out", "_muted",
                 "_numbering", "_octets", "_overheard", "_packets", "_passed_before", "_rng",
                 "_socket", "_source", "_withheld", "datagrams", "fd", "rate_hz", "remote",
                 "sealed", "send_errors", "sender")  # fmt: skip

    def __init__(self, sock: socket.socket, rng: random.Random) -> None:
        self._socket = sock
        self._rng = rng
        #: The connected socket's descriptor where the other side may write to it; else -1.
        self.fd = -1
        #: What encrypts where nothing else is done on the way, and where to write then; else None.
        self.sealed: Sender | None = None
        self._connected_fd = -1
        #: Where packets for the party go; None while it is unknown, or on hold by ``c=0.0.0.0``.
        self.remote: SocketAddress | None = None
        #: The clock of what the party hears.
        self.rate_hz = DEFAULT_CLOCK_RATE_HZ
        self.send_errors = 0
        #: Whether the party understands no RTP at present: nothing of ours is said to it.
        self.datagrams = False
        self._numbering: Numbering | None = None
        self._convert: Convert | None = None
        #: What encrypts all that the party hears; None for a party in the clear.
        self.sender: Sender | None = None
        self._withheld = self._muted = False
        self._overheard = False
        #: Whether keys are sent, and nothing else; and whether the packet that is just being
        #: looked at must not pass.
        self._keying = self._leave_out = False
        self._source: Source | None = None
        #: What had passed from the source when it became that; what was sent before; and what
        #: was counted packet by packet, as all is that is not forwarded.
        self._passed_before = NO_TRAFFIC
        self._counted = NO_TRAFFIC
        self._packets = self._octets = 0

    # who is heard, and how

    @property
    def source(self) -> Source | None:
        """Whom the party hears."""
        return self._source

    def hear(self, source: Source | None) -> None:
        """The party hears `source` from now on, or nobody."""
        if self._source is not None:
            self._counted = self._counted.plus(self._forwarded)
        self._source = source
        if source is not None:
            self._passed_before = source.passed
        if self._numbering is not None:
            self._numbering.other_source()

    def aim(self, remote: SocketAddress | None) -> None:
        """Where the party is."""
        self.remote = remote
        self._choose()

    def connect(self, fd: int) -> None:
        """`fd` is connected to the party; -1: none is any more."""
        self._connected_fd = fd
        self._choose()

    def withhold(self, withheld: bool, now: float) -> None:
        """The party does not hear its other side, or does again: its stream goes on."""
        self._renumber(now)
        self._withheld = withheld
        self._choose()

    def mute(self, muted: bool, now: float) -> None:
        """What the other side says is kept from the party, or is not any more.

        Unlike while something is played to it, what fills a gap is sent all the same.
        """
        if muted is not self._muted:
            self._renumber(now)
            self._muted = muted
            self._choose()

    @property
    def deaf(self) -> bool:
        """Whether the party does not hear its other side for now."""
        return self._withheld or self._muted

    def keying(self, keying: bool, now: float) -> None:
        """Keys are sent to the party from now on, and nothing else; or no more."""
        self._renumber(now)
        self._keying = keying

    def leave_out(self, now: float) -> None:
        """The packet of the other side that is just being looked at must not pass.

        What comes next follows without a gap.
        """
        self._renumber(now).other_source()
        self._leave_out = True

    def overhear(self, overheard: bool) -> None:
        """What the other side says must be looked at before it passes."""
        if overheard is not self._overheard:
            self._overheard = overheard
            self._choose()

    def convert(self, convert: Convert | None, now: float) -> None:
        """The other side's packets go through `convert` from now on."""
        if convert is not None:
            self._renumber(now)
        self._convert = convert
        self._choose()

    def encrypt(self, sender: Sender | None) -> None:
        """Whatever leaves is encrypted last, by `sender`."""
        self.sender = sender
        self._choose()

    # packets

    def pass_on(self, packet: bytes, now: float) -> bool:
        """Sends what the other side said, if it is to be heard. The packet is RTP."""
        if self._left_out():
            return False
        if self._convert is not None:
            sent = [self._pass(each, now) for each in self._convert(packet, now)]
            return all(sent)
        return self._pass(packet, now)

    def pass_beside(self, packet: bytes, now: float) -> bool:
        """Sends a key that the other side said beside its stream, with an SSRC of its own."""
        if self._left_out():
            return False
        if self._numbering is None:
            return self._send(packet, now)
        kind, _, timestamp, ssrc = _unpack(packet)
        return self._send_as(packet, kind, self._numbering.beside(ssrc, timestamp, now), now)

    def pass_datagram(self, packet: bytes) -> bool:
        """Sends what is no RTP as it came, and never encrypted."""
        if self.remote is None or self._withheld:
            return False
        try:
            self._socket.sendto(packet, self.remote)
        except OSError:
            self.send_errors += 1
            return False
        return self._count(packet)

    def speak(self, payload_type: int, payload: bytes, ticks: int, now: float) -> bool:
        """Sends a packet of ours, `ticks` of the clock long. It is marked where audio begins.

        While keys are sent, it is lost.
        """
        return not self._keying and self.speak_tone(payload_type, payload, ticks, now)

    def speak_tone(self, payload_type: int, payload: bytes, ticks: int, now: float) -> bool:
        """The same of a key's tone."""
        numbering = self._renumber(now)
        numbers = numbering.own(ticks, now)
        if self.remote is None or self.datagrams:
            return False
        kind = _VERSION | payload_type | (_MARKER if numbers.begins else 0)
        header = HEADER.pack(kind, numbers.seq, numbers.timestamp, numbering.ssrc)
        return self._send(header + payload, now)

    def speak_key(self, payload_type: int, payload: bytes, step: int | None, now: float) -> bool:
        """Sends a packet of a key (RFC 4733 2.5).

        `step` 0 begins one, with the marker; n goes on with it as another event that is n ticks
        later; None says more of the same.
        """
        numbering = self._renumber(now)
        numbers = numbering.key(step, now)
        if self.remote is None or self.datagrams:
            return False
        kind = _VERSION | payload_type | (_MARKER if numbers.begins else 0)
        header = HEADER.pack(kind, numbers.seq, numbers.timestamp, numbering.ssrc)
        return self._send(header + payload, now)

    @property
    def sent(self) -> Traffic:
        """What was sent to the party. What is forwarded is not counted packet by packet."""
        sent = self._counted.plus(self._forwarded)
        return sent.plus(Traffic(self._packets, self._octets)) if self._packets else sent

    @property
    def spoken_at(self) -> float | None:
        """When the party was last sent something; None if it never was."""
        if self._numbering is not None:
            return self._numbering.sent_at
        return None if self._source is None else self._source.stream.heard_at

    @property
    def withheld(self) -> bool:
        """Whether the party does not hear its other side now."""
        return self._withheld

    @property
    def own_voice(self) -> bool:
        """Whether what the party was sent last is ours."""
        return self._numbering is not None and self._numbering.own_last

    @property
    def forwards(self) -> bool:
        """Whether the party hears the other side's stream under its own numbers."""
        return self._numbering is None and self._convert is None

    def audio(self, now: float) -> Audio | None:
        """What the party hears; None where it was sent nothing for a while."""
        spoken_at, sent = self.spoken_at, self.sent
        if spoken_at is None or now - spoken_at > QUIET_S or not sent.packets:
            return None
        if self._numbering is not None:
            ssrc, rate_hz = self._numbering.ssrc, self.rate_hz
            rtp_time = self._numbering.timestamp_at(now)
        else:
            assert self._source is not None
            stream = self._source.stream
            ssrc, rate_hz = stream.ssrc, round(1 / stream.tick_s)
            rtp_time = stream.last_timestamp + round((now - stream.last_at) * rate_hz)
        octets = max(0, sent.octets - HEADER_SIZE * sent.packets)
        return Audio(ssrc, rtp_time & 0xFFFFFFFF, sent.packets, octets, rate_hz)

    @property
    def _forwarded(self) -> Traffic:
        if self._source is None or self._numbering is not None:
            return NO_TRAFFIC
        return self._source.passed.minus(self._passed_before)

    def _choose(self) -> None:
        """The other side may write to the connected socket where nothing stands in between."""
        direct = self.remote is not None and not (
            self._withheld or self._muted or self._overheard or self._numbering is not None
        )
        fd = self._connected_fd if direct else -1
        sender = self.sender
        if sender is None:
            self.fd, self.sealed = fd, None
        else:
            self.fd, self.sealed, sender.fd = -1, sender if fd >= 0 else None, fd

    def _renumber(self, now: float) -> Numbering:
        """The numbers of what the party hears, which are ours from now on."""
        numbering = self._numbering
        if numbering is None:
            forwarded = self._forwarded
            source = self._source
            if source is not None and forwarded.packets > 0 and source.stream.ssrc >= 0:
                last = source.stream
                numbering = Numbering(
                    last.ssrc, last.last_seq, last.last_timestamp, last.last_at, self.rate_hz
                )
            else:
                numbering = Numbering.fresh(self._rng, now, self.rate_hz)
            self._counted = self._counted.plus(forwarded)
            self._numbering = numbering
            self._choose()
        numbering.rate_hz = self.rate_hz
        return numbering

    def _left_out(self) -> bool:
        """Whether the packet that is just being looked at must not pass."""
        if self._leave_out:
            self._leave_out = False
            return True
        return self.remote is None or self._withheld or self._muted or self._keying

    def _pass(self, packet: bytes, now: float) -> bool:
        numbering = self._numbering
        if numbering is None:
            return self._send(packet, now)
        kind, seq, timestamp, ssrc = _unpack(packet)
        numbers = numbering.passed(ssrc, seq, timestamp, now)
        return numbers is not None and self._send_as(packet, kind, numbers, now)

    def _send_as(self, packet: bytes, kind: int, numbers: Numbers, now: float) -> bool:
        assert self._numbering is not None
        if numbers.begins:
            kind |= _MARKER
        header = HEADER.pack(kind, numbers.seq, numbers.timestamp, self._numbering.ssrc)
        return self._send(header + packet[HEADER_SIZE:], now)

    def _send(self, packet: bytes, now: float) -> bool:
        """By the connected socket where there is one."""
        wire = packet
        sender = self.sender
        if sender is not None:
            sealed = sender.protect(packet)
            if sealed is None:
                self.not_sealed(sender, now)
                return False
            wire = sealed
            sender.unsealed = 0
        try:
            if self._connected_fd >= 0:
                _write(self._connected_fd, wire)
                return self._count(packet)
        except OSError:
            pass  # an ICMP error's, and no reason to lose this packet
        return self.send_leased(wire) and self._count(packet)

    def send_leased(self, wire: bytes) -> bool:
        """No ICMP error reaches the leased socket."""
        remote = self.remote
        assert remote is not None
        try:
            self._socket.sendto(wire, remote)
        except OSError:
            self.send_errors += 1
            return False
        return True

    def not_sealed(self, sender: Sender, now: float) -> None:
        """A packet's number was used. If that goes on, what follows gets numbers of our own."""
        sender.unsealed += 1
        if sender.unsealed == MAX_UNSEALED:
            sender.unsealed = 0
            self._counted = self._counted.plus(self._forwarded)
            self._numbering = Numbering.fresh(self._rng, now, self.rate_hz)
            self._choose()

    def _count(self, packet: bytes) -> bool:
        """It was sent; what is forwarded is counted where it arrived."""
        if self._numbering is not None:
            self._packets += 1
            self._octets += len(packet)
        return True
