"""The receiver's arithmetic of RFC 3550: sequence, loss and jitter, with times of our choosing."""

import pytest

from sip.media.relay.rtp import MAX_DROPOUT, SSRC_SILENCE_S, RtpStream
from tests.media.talk import rtp

PTIME_S = 0.020
TICKS = 160


def stream(rates_hz: dict[int, int] | None = None) -> RtpStream:
    """A receiver to which PCMU, or what is given, was negotiated."""
    fresh = RtpStream()
    fresh.negotiate(rates_hz or {0: 8000})
    return fresh


def take(
    stats: RtpStream, seq: int, timestamp: int, now: float, *, ssrc: int = 1, payload_type: int = 0
) -> bool:
    packet = rtp(payload_type, seq, timestamp, ssrc)
    return stats.take(packet, now)


class Sender:
    """Feeds packets of 172 octets to a `RtpStream`, 20 ms apart unless told otherwise."""

    def __init__(self, stats: RtpStream, *, ssrc: int = 0xA, seq: int = 0, at: float = 0.0):
        self.stats = stats
        self.ssrc = ssrc
        self.seq = seq
        self.timestamp = 0
        self.now = at

    def send(self, count: int = 1, *, late_s: float = 0.0, payload_type: int = 0) -> bool:
        taken = True
        for _ in range(count):
            packet = rtp(payload_type, self.seq, self.timestamp, self.ssrc)
            taken = self.stats.take(packet, self.now + late_s)
            self.skip()
        return taken

    def skip(self, count: int = 1) -> None:
        self.seq += count
        self.timestamp += TICKS * count
        self.now += PTIME_S * count


def test_an_even_stream_has_neither_loss_nor_jitter() -> None:
    stats = stream()
    Sender(stats).send(500)
    assert (stats.packets, stats.octets, stats.losses.lost) == (500, 500 * 172, 0)
    assert stats.jitter_ms == pytest.approx(0.0, abs=1e-6)


def test_missing_packets_are_lost() -> None:
    stats = stream()
    sender = Sender(stats)
    sender.send(10)
    sender.skip(3)
    sender.send(10)
    assert stats.losses.lost == 3


@pytest.mark.parametrize("first", [0xFFFE, 0xFFFF, 0, 1])
def test_the_sequence_number_wraps(first: int) -> None:
    stats = stream()
    sender = Sender(stats, seq=first)
    sender.send(4)
    assert stats.losses.lost == 0
    sender.send(2 * 65536)
    assert stats.losses.lost == 0


def test_loss_across_the_wrap_is_counted() -> None:
    stats = stream()
    sender = Sender(stats, seq=0xFFF0)
    sender.send(10)
    sender.skip(12)
    sender.send(10)
    assert sender.seq > 0xFFFF
    assert stats.losses.lost == 12


def test_misordered_packets_are_not_lost() -> None:
    """Each pair changes places, also the one astride the wrap."""
    stats = stream()
    for first in range(0xFFF1, 0x1000F, 2):
        for seq in (first + 1, first):
            take(stats, seq, seq * TICKS, seq * PTIME_S)
    # The very first packet came before the base that it set: RFC 3550 A.1 has no way to know.
    assert stats.packets == 30
    assert stats.losses.lost == 0


def test_duplicates_never_make_loss_negative() -> None:
    stats = stream()
    for _ in range(5):
        take(stats, 7, 1120, 0.0)
    assert stats.losses.lost == 0
    assert stats.packets == 5


def test_a_sender_that_restarts_its_sequence_is_followed() -> None:
    """RFC 3550 A.1: two packets in sequence after a great jump are a restart, not loss."""
    stats = stream()
    sender = Sender(stats, seq=100)
    sender.send(10)
    sender.seq = 40_000
    sender.send(10)
    # The packet that began the new sequence cannot be told from a stray one: it is 1 of 19.
    assert stats.losses.lost == 0
    sender.skip(5)
    sender.send(1)
    assert stats.losses.lost in (4, 5)


def test_one_stray_packet_does_not_move_the_sequence() -> None:
    stats = stream()
    sender = Sender(stats, seq=100)
    sender.send(10)
    take(stats, 100 + MAX_DROPOUT + 5000, sender.timestamp, sender.now, ssrc=sender.ssrc)
    sender.send(10)
    assert stats.losses.lost == 0


def test_jitter_of_alternating_delay_is_that_of_the_rfc() -> None:
    """Packets late by 0 and 10 ms in turn: |D| is always 10 ms and J converges to it."""
    stats = stream()
    sender = Sender(stats)
    expected = 0.0
    sender.send()
    for index in range(1, 40):
        sender.send(late_s=0.010 * (index % 2))
        expected += (10.0 - expected) / 16
        assert stats.jitter_ms == pytest.approx(expected)


def test_jitter_survives_the_wrap_of_the_timestamp() -> None:
    stats = stream()
    sender = Sender(stats)
    sender.timestamp = 0xFFFFFFFF - 5 * TICKS
    sender.send(20)
    assert stats.jitter_ms == pytest.approx(0.0, abs=1e-6)


def test_jitter_uses_the_clock_rate_of_the_payload_type() -> None:
    """The same ticks mean another time at 48 kHz (RFC 7587)."""
    stats = stream({111: 48000})
    for index in range(50):
        take(stats, index, index * 960, index * 0.020, payload_type=111)
    assert stats.jitter_ms == pytest.approx(0.0, abs=1e-6)


def test_the_packets_of_one_dtmf_event_are_no_jitter() -> None:
    """RFC 4733 2.5.1.2: every packet of an event has the timestamp of its beginning."""
    stats = stream({101: 8000})
    for index in range(50):
        take(stats, index, 8000, index * 0.020, payload_type=101)
    assert stats.jitter_ms == 0.0


def test_a_second_ssrc_is_refused_while_the_first_speaks() -> None:
    stats = stream()
    voice = Sender(stats)
    voice.send(10)
    intruder = Sender(stats, ssrc=0xBAD, seq=500, at=voice.now)
    for _ in range(10):
        assert voice.send()
        assert not intruder.send()
    assert stats.ssrc == 0xA
    assert stats.packets == 20
    assert stats.ssrc_changes == 0


def test_a_new_ssrc_is_taken_when_the_old_one_has_fallen_silent() -> None:
    """Carriers change SSRC without a word, from ringback to the callee for instance."""
    stats = stream()
    ringback = Sender(stats)
    ringback.send(10)
    callee = Sender(stats, ssrc=0xB, seq=9000, at=ringback.now + SSRC_SILENCE_S)
    assert not callee.send(), "one packet may be a stray"
    assert callee.send(), "two in sequence are a stream"
    assert callee.send(20)
    assert stats.ssrc_changes == 1
    assert stats.losses.lost == 0


def test_packets_of_random_ssrcs_take_nothing_over() -> None:
    stats = stream()
    Sender(stats).send(10)
    for index in range(100):
        assert not take(stats, index, index * TICKS, 10.0 + index * PTIME_S, ssrc=1000 + index)
    assert stats.packets == 10


def test_a_signalled_change_of_source_frees_the_ssrc_and_keeps_the_loss() -> None:
    stats = stream()
    before = Sender(stats)
    before.send(5)
    before.skip(2)
    before.send(5)
    stats.forget_source()
    assert stats.losses.lost == 2
    assert Sender(stats, ssrc=0xC, seq=1, at=before.now).send(10)
    assert stats.losses.lost == 2
    assert stats.packets == 20


def test_silence_is_time_since_the_last_packet() -> None:
    stats = stream()
    assert "silent ms" not in stats.stats(5.0)
    sender = Sender(stats, at=10.0)
    sender.send()
    assert stats.stats(12.5)["silent ms"] == 2500


def test_a_new_ssrc_with_other_timestamps_is_no_jitter() -> None:
    stats = stream()
    first = Sender(stats)
    first.send(10)
    second = Sender(stats, ssrc=0xB, seq=9000, at=first.now + 1.0)
    second.timestamp = 2_000_000_000
    second.send(20)
    assert stats.ssrc_changes == 1
    assert stats.jitter_ms == pytest.approx(0.0, abs=1e-6)


def test_a_restarted_timestamp_is_no_jitter() -> None:
    stats = stream()
    sender = Sender(stats)
    sender.send(10)
    sender.timestamp += 1_000_000_000
    sender.send(10)
    assert stats.jitter_ms == pytest.approx(0.0, abs=1e-6)


def test_only_negotiated_payload_types_pass_also_after_a_change() -> None:
    stats = stream({0: 8000, 8: 8000})
    assert take(stats, 1, 160, 0.02)
    assert take(stats, 2, 320, 0.04, payload_type=8)
    assert not take(stats, 3, 480, 0.06, payload_type=18)
    stats.negotiate({0: 8000})
    assert not take(stats, 3, 480, 0.06, payload_type=8)
    assert take(stats, 4, 640, 0.08)
    assert (stats.packets, stats.payload_type) == (3, 0)


@pytest.mark.parametrize("packet", [b"", b"\x80" * 11, b"\x00" * 172, b"\x40" + b"\0" * 20])
def test_what_is_no_rtp_is_not_taken(packet: bytes) -> None:
    stats = stream()
    assert not stats.reads(packet)
    assert not stats.take(packet, 0.0)
    assert stats.packets == 0
