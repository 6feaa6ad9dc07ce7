"""RTP as far as a relay reads it: the fixed header and the receiver's arithmetic (RFC 3550).

A relay forwards bytes; nothing here allocates or copies a packet.
"""

from __future__ import annotations

import struct

#: RFC 3550 5.1: V/P/X/CC, M/PT, sequence number, timestamp, SSRC.
HEADER = struct.Struct("!BBHII")
HEADER_SIZE = HEADER.size

#: RFC 3550 A.1: a forward jump up to this is loss, beyond it perhaps a restart.
MAX_DROPOUT = 3000
#: RFC 3550 A.1: a step back up to this is misordering.
MAX_MISORDER = 100

#: A second SSRC is taken over only when the first has been silent for this long, three 20 ms
#: packets, and the newcomer has sent two packets in sequence (RFC 3550's probation).
SSRC_SILENCE_S = 0.060

DEFAULT_CLOCK_RATE_HZ = 8000


class StreamStats:
    """What one RTP stream's receiver knows: RFC 3550 A.1 (sequence), A.3 (loss), A.8 (jitter).

    `update` takes a packet of the accepted source and says whether it is to be forwarded.
    It is on the path of every packet.
    """

    __slots__ = (
        "_arrival_s",
        "_bad_seq",
        "_base_seq",
        "_cycles",
        "_expected_before",
        "_jitter_s",
        "_max_seq",
        "_newcomer",
        "_newcomer_seq",
        "_tick_s",
        "_timestamp",
        "octets",
        "packets",
        "payload_type",
        "rates_hz",
        "ssrc",
        "ssrc_changes",
    )

    def __init__(self) -> None:
        self.packets = 0
        self.octets = 0
        self.payload_type = -1
        self.ssrc = -1
        self.ssrc_changes = 0
        #: Clock rate by payload type, from the SDP; G.711's where it says nothing.
        self.rates_hz: dict[int, int] = {}
        self._tick_s = 1.0 / DEFAULT_CLOCK_RATE_HZ
        self._base_seq = 0
        self._max_seq = 0
        self._cycles = 0
        self._bad_seq = -1
        self._expected_before = 0
        self._timestamp = 0
        self._arrival_s = 0.0
        self._jitter_s = 0.0
        self._newcomer = -1
        self._newcomer_seq = 0

    def update(
        self, payload_type: int, seq: int, timestamp: int, ssrc: int, size: int, now: float
    ) -> bool:
        """Counts one packet of `size` octets that arrived at `now` (monotonic seconds).

        False if it belongs to another synchronisation source than the one that is speaking; such
        a packet is not counted here and must not be forwarded.
        """
        if ssrc != self.ssrc:
            if not self._admit(ssrc, seq, now):
                return False
            self._start(ssrc, seq)
        else:
            delta = (seq - self._max_seq) & 0xFFFF
            if delta == 1:
                self._max_seq = seq
                if seq == 0:
                    self._cycles += 0x10000
            elif delta:
                self._jump(seq, delta)
            if timestamp != self._timestamp:
                # Packets of one DTMF event share a timestamp (RFC 4733 2.5.1.2): no jitter in that.
                step = (timestamp - self._timestamp) & 0xFFFFFFFF
                if step >= 0x80000000:
                    step -= 0x100000000
                drift = now - self._arrival_s - step * self._tick_s
                if drift < 0.0:
                    drift = -drift
                self._jitter_s += (drift - self._jitter_s) * 0.0625
        if payload_type != self.payload_type:
            self.payload_type = payload_type
            self._tick_s = 1.0 / self.rates_hz.get(payload_type, DEFAULT_CLOCK_RATE_HZ)
        self._timestamp = timestamp
        self._arrival_s = now
        self.packets += 1
        self.octets += size
        return True

    def forget_source(self) -> None:
        """The party signalled another address: whatever SSRC comes next is its own."""
        if self.ssrc >= 0:
            self._close_sequence()
        self.ssrc = -1
        self._newcomer = -1

    @property
    def lost(self) -> int:
        """Packets missing in the sequence so far; duplicates may hide some (RFC 3550 A.3)."""
        return max(0, self._expected_before + self._expected() - self.packets)

    @property
    def jitter_ms(self) -> float:
        """Interarrival jitter (RFC 3550 A.8) in milliseconds."""
        return self._jitter_s * 1000.0

    def silent_s(self, now: float) -> float | None:
        """Seconds since the last packet; None if there was none."""
        return now - self._arrival_s if self.packets else None

    def _expected(self) -> int:
        if self.ssrc < 0:
            return 0
        return self._cycles + self._max_seq - self._base_seq + 1

    def _admit(self, ssrc: int, seq: int, now: float) -> bool:
        """RFC 3550 A.1's probation for an SSRC that is not the stream's."""
        if self.ssrc < 0:
            return True
        if now - self._arrival_s < SSRC_SILENCE_S:
            self._newcomer = -1
            return False
        proven = ssrc == self._newcomer and seq == self._newcomer_seq
        self._newcomer = ssrc
        self._newcomer_seq = (seq + 1) & 0xFFFF
        if proven:
            self._close_sequence()
            self.ssrc_changes += 1
        return proven

    def _start(self, ssrc: int, seq: int) -> None:
        self.ssrc = ssrc
        self._newcomer = -1
        self._restart_sequence(seq)

    def _restart_sequence(self, seq: int) -> None:
        self._base_seq = seq
        self._max_seq = seq
        self._cycles = 0
        self._bad_seq = -1

    def _close_sequence(self) -> None:
        self._expected_before += self._expected()

    def _jump(self, seq: int, delta: int) -> None:
        """A sequence number that is neither the next nor the last one."""
        if delta < MAX_DROPOUT:
            if seq < self._max_seq:
                self._cycles += 0x10000
            self._max_seq = seq
        elif delta <= 0x10000 - MAX_MISORDER:
            if seq == self._bad_seq:
                # Two in sequence: the sender restarted without a word (RFC 3550 A.1).
                self._close_sequence()
                self._restart_sequence(seq)
            else:
                self._bad_seq = (seq + 1) & 0xFFFF
