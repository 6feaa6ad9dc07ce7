"""RTP as far as a relay reads it: the fixed header and the receiver's arithmetic (RFC 3550).

A relay forwards bytes; nothing here copies a packet.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Mapping

from sip.media.relay.losses import MAX_MISORDER, Losses

#: RFC 3550 5.1: V/P/X/CC/M/PT, sequence number, timestamp, SSRC. The first two octets are taken
#: as one number, as they are nearly always what they were in the packet before.
HEADER = struct.Struct("!HHII")
HEADER_SIZE = HEADER.size

_VERSION = 0xC000
_VERSION_2 = 0x8000
_MARKER = 0x0080
_TYPE = 0x007F

#: RFC 3550 A.1: a forward jump up to this is loss, beyond it perhaps a restart.
MAX_DROPOUT = 3000

#: A second SSRC is taken over only when the first has been silent for this long, three 20 ms
#: packets, and the newcomer has sent two packets in sequence (RFC 3550's probation).
SSRC_SILENCE_S = 0.060

#: Timestamps that run from the clock by more than this are a restart and no jitter.
MAX_DRIFT_S = 10.0

DEFAULT_CLOCK_RATE_HZ = 8000

_unpack = HEADER.unpack_from


def payload_of(packet: bytes) -> bytes:
    """What follows the header, its contributing sources and its extension; without padding.

    RFC 3550 5.1; empty where the packet is too short for what it says.
    """
    start = HEADER_SIZE + 4 * (packet[0] & 0x0F)
    if packet[0] & 0x10:
        if len(packet) < start + 4:
            return b""
        start += 4 + 4 * (packet[start + 2] << 8 | packet[start + 3])
    end = len(packet)
    if packet[0] & 0x20:
        end -= packet[-1]
    return packet[start:end]


class RtpStream:
    """What the receiver of one stream knows: RFC 3550 A.1 (sequence), A.3 (loss), A.8 (jitter).

    `take` judges and counts a packet that came from the party. It is on the path of every
    packet, which is why it is one function, looks first at what nearly all packets are, and
    counts only what is out of the ordinary: the rest follows from the sequence numbers.
    """

    __slots__ = (
        "_arrival_s",
        "_bad_seq",
        "_base_seq",
        "_behind",
        "_cycles",
        "_expected_before",
        "_gaps",
        "_jitter_s",
        "_key_types",
        "_kind",
        "_losses",
        "_newcomer",
        "_newcomer_seq",
        "_next_seq",
        "_octets_before",
        "_rates_hz",
        "_size",
        "_tick_s",
        "_timestamp",
        "on_key",
        "payload_type",
        "ssrc",
        "ssrc_changes",
    )

    def __init__(self) -> None:
        #: Of the last packet taken; -1 before the first, as is `ssrc`.
        self.payload_type = -1
        self.ssrc = -1
        self.ssrc_changes = 0
        self._rates_hz: Mapping[int, int] = {}
        self._tick_s = 1.0 / DEFAULT_CLOCK_RATE_HZ
        #: The first two octets last taken under the present negotiation, marker aside; -1 after
        #: a key, so that each of its packets is looked at and those of audio are not.
        self._kind = -1
        #: Payload types of keys (RFC 4733), and who is shown each packet of one, with the
        #: seconds of a tick of its clock and the time.
        self._key_types: Collection[int] = ()
        self.on_key: Callable[[bytes, float, float], None] | None = None
        self._base_seq = 0
        self._next_seq = 0
        self._cycles = 0
        self._bad_seq = -1
        #: Expected in sequences that are over.
        self._expected_before = 0
        #: Sequence numbers passed over, and packets that came when their number was over.
        self._gaps = 0
        self._behind = 0
        self._losses: Losses | None = None
        #: Size of the last packet, and the octets of those before it came to that.
        self._size = 0
        self._octets_before = 0
        self._timestamp = 0
        self._arrival_s = 0.0
        self._jitter_s = 0.0
        self._newcomer = -1
        self._newcomer_seq = 0

    def negotiate(self, rates_hz: Mapping[int, int], key_types: Collection[int] = ()) -> None:
        """Only these payload types may pass from now on; the values are their clock rates.

        `key_types` are those among them that carry keys (RFC 4733).
        """
        self._rates_hz = rates_hz
        self._key_types = key_types
        self._kind = -1

    def reads(self, packet: bytes) -> bool:
        """Whether this is RTP of a negotiated payload type, whoever it is from."""
        return (
            len(packet) >= HEADER_SIZE
            and packet[0] & 0xC0 == 0x80
            and packet[1] & 0x7F in self._rates_hz
        )

    def goes_on(self, packet: bytes) -> bool:
        """Whether this packet of RTP is, or follows after some loss, the one that comes next."""
        seq: int
        ssrc: int
        _, seq, _, ssrc = _unpack(packet)
        return ssrc == self.ssrc and (seq - self._next_seq) & 0xFFFF < MAX_DROPOUT

    def take(self, packet: bytes, now: float) -> bool:
        """Counts a packet that arrived at `now` (monotonic seconds).

        False, and left out of the count, if it must be dropped: something else than RTP, a payload
        type outside the negotiated ones, or a second synchronisation source beside the speaker.
        """
        size = len(packet)
        if size < HEADER_SIZE:
            return False
        kind, seq, timestamp, ssrc = _unpack(packet)
        if (kind != self._kind or ssrc != self.ssrc) and not self._change(
            packet, kind, seq, timestamp, ssrc, now
        ):
            return False
        if size != self._size:
            # As if all had been of the new size, plus the difference.
            self._octets_before += self.packets * (self._size - size)
            self._size = size
        if seq == self._next_seq:
            self._next_seq = seq + 1  # 65536 is never seen, so that a wrap is a jump
        else:
            self._jump(seq, now)
        step = timestamp - self._timestamp
        if step:  # Packets of one DTMF event share a timestamp (RFC 4733 2.5.1.2): no jitter there.
            if not -0x80000000 <= step < 0x80000000:
                step += 0x100000000 if step < 0 else -0x100000000
            drift = now - self._arrival_s - step * self._tick_s
            if drift < 0.0:
                drift = -drift
            if drift < MAX_DRIFT_S:
                self._jitter_s += (drift - self._jitter_s) * 0.0625
            self._timestamp = timestamp
        self._arrival_s = now
        return True

    def is_key(self, packet: bytes) -> bool:
        """Whether this is RTP of a payload type of keys."""
        return self.reads(packet) and packet[1] & _TYPE in self._key_types

    def take_key(self, packet: bytes, now: float) -> bool:
        """A packet that `take` refused: true if it is a key, sent beside the stream.

        Its SSRC and sequence are its own; the stream's counters leave it out.
        """
        if not self.is_key(packet):
            return False
        if self.on_key is not None:
            self.on_key(packet, 1.0 / self._rates_hz[packet[1] & _TYPE], now)
        return True

    def forget_source(self) -> None:
        """The party signalled another address: whatever SSRC comes next is its own."""
        self._close_sequence()
        self.ssrc = -1
        self._newcomer = -1

    def end(self) -> None:
        """Nothing more comes: what is missing is lost for good."""
        if self._losses is not None:
            self._losses.close()

    def stats(self, now: float) -> dict[str, int]:
        """All that is counted of it, in whole numbers, by the names of a reply.

        What was out of the ordinary is told only where something was.
        """
        expected = self.expected
        packets = expected - self._gaps + self._behind
        stats = {
            "packets": packets,
            "bytes": self._octets_before + packets * self._size,
            "jitter us": round(self._jitter_s * 1e6),
            "expected": expected,
        }
        if self._losses is not None:
            stats |= self.losses.stats()
        if self.payload_type >= 0:
            stats["payload type"] = self.payload_type
            stats["silent ms"] = round((now - self._arrival_s) * 1000)
        return stats

    @property
    def packets(self) -> int:
        """Packets taken."""
        return self._expected_before + self._expected() - self._gaps + self._behind

    @property
    def octets(self) -> int:
        """Octets taken, RTP headers included."""
        return self._octets_before + self.packets * self._size

    @property
    def size(self) -> int:
        """Octets of the last packet taken."""
        return self._size

    @property
    def expected(self) -> int:
        """Packets that the sequence numbers promised (RFC 3550 A.3)."""
        return self._expected_before + self._expected()

    @property
    def losses(self) -> Losses:
        """What was out of the ordinary, up to now."""
        if self._losses is None:
            return NO_LOSSES
        self._losses.settle(self.highest + 1)
        return self._losses

    @property
    def highest(self) -> int:
        """The highest extended sequence number (RFC 3550 A.1) of the present source."""
        return self._cycles + self._next_seq - 1

    @property
    def jitter_ms(self) -> float:
        """Interarrival jitter (RFC 3550 A.8) in milliseconds."""
        return self._jitter_s * 1000.0

    @property
    def tick_s(self) -> float:
        """Seconds of a tick of its clock."""
        return self._tick_s

    @property
    def last_seq(self) -> int:
        """The highest sequence number taken."""
        return (self._next_seq - 1) & 0xFFFF

    @property
    def last_timestamp(self) -> int:
        """Of the last packet taken, as is the next."""
        return self._timestamp

    @property
    def last_at(self) -> float:
        """When it arrived, in monotonic seconds."""
        return self._arrival_s

    @property
    def heard_at(self) -> float | None:
        """The time of the last packet; None if there was none."""
        return None if self.payload_type < 0 else self._arrival_s

    def _expected(self) -> int:
        if self.ssrc < 0:
            return 0
        return self._cycles + self._next_seq - self._base_seq

    def _change(
        self, packet: bytes, kind: int, seq: int, timestamp: int, ssrc: int, now: float
    ) -> bool:
        """A packet that differs from the last one in its first two octets or SSRC: may it?"""
        rate_hz = self._rates_hz.get(kind & _TYPE)
        if kind & _VERSION != _VERSION_2 or rate_hz is None:
            return False
        tick_s = 1.0 / rate_hz
        is_key = kind & _TYPE in self._key_types
        if ssrc != self.ssrc:
            if is_key or not self._admit(ssrc, seq, now):
                return False  # keys with an SSRC of their own never displace the audio's
            self._timestamp = timestamp
        self._kind = -1 if is_key else kind & ~_MARKER
        if is_key and self.on_key is not None:
            self.on_key(packet, tick_s, now)
        self.payload_type = kind & _TYPE
        self._tick_s = tick_s
        return True

    def _admit(self, ssrc: int, seq: int, now: float) -> bool:
        """RFC 3550 A.1's probation for an SSRC that is not the stream's."""
        if self.ssrc >= 0:
            if now - self._arrival_s < SSRC_SILENCE_S:
                self._newcomer = -1
                return False
            proven = ssrc == self._newcomer and seq == self._newcomer_seq
            self._newcomer = ssrc
            self._newcomer_seq = (seq + 1) & 0xFFFF
            if not proven:
                return False
            self.ssrc_changes += 1
        self._close_sequence()
        self.ssrc = ssrc
        self._newcomer = -1
        self._start_sequence(seq)
        return True

    def _start_sequence(self, seq: int) -> None:
        self._base_seq = seq
        self._next_seq = seq
        self._cycles = 0
        self._bad_seq = -1

    def _close_sequence(self) -> None:
        self._expected_before += self._expected()
        if self._losses is not None:
            self._losses.close()

    def _jump(self, seq: int, now: float) -> None:
        """A sequence number that is not the expected one (RFC 3550 A.1)."""
        delta = (seq - self._next_seq) & 0xFFFF
        if delta < MAX_DROPOUT:
            # Forward, past a wrap if the number is lower; with delta 0 nothing was lost.
            if delta:
                self._gaps += delta
                self._irregular().pass_over(self._cycles + self._next_seq, delta, now)
            if seq < self._next_seq:
                self._cycles += 0x10000
            self._next_seq = seq + 1
        elif delta >= 0x10000 - MAX_MISORDER:
            self._behind += 1
            self._irregular().behind(self._cycles + self._next_seq + delta - 0x10000, now)
        elif seq == self._bad_seq:
            # Two in sequence: the sender restarted without a word.
            self._close_sequence()
            self._start_sequence(seq)
            self._next_seq = seq + 1
        else:
            self._behind += 1
            self._bad_seq = (seq + 1) & 0xFFFF

    def _irregular(self) -> Losses:
        if self._losses is None:
            self._losses = Losses()
        return self._losses


#: Of a stream without any.
NO_LOSSES = Losses()
