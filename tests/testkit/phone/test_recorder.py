"""Packets are laid out by their timestamps and counted as RFC 3550 counts them."""

from testkit.phone.recorder import Recorder

FRAME = 160


def sound(value: int) -> bytes:
    return value.to_bytes(2, "little", signed=True) * FRAME


def feed(
    recorder: Recorder, n: int, *, ssrc: int = 1, at: float | None = None, value: int | None = None
) -> None:
    """Packet n of a stream whose counters wrap after a few packets."""
    recorder.packet(
        at=0.02 * n if at is None else at,
        ssrc=ssrc,
        sequence=(65534 + n) % 65536,
        timestamp=(2**32 - 2 * FRAME + n * FRAME) % 2**32,
        pcm=sound(n + 1 if value is None else value),
    )


def test_packets_in_order_make_one_sound_across_the_wraps() -> None:
    recorder = Recorder()
    for n in range(6):
        feed(recorder, n)
    assert recorder.pcm() == b"".join(sound(n + 1) for n in range(6))
    reception = recorder.reception()
    assert (reception.received, reception.lost, reception.first_at) == (6, 0, 0.0)


def test_a_lost_packet_is_a_gap_of_silence_and_is_counted() -> None:
    recorder = Recorder()
    for n in (0, 1, 3):
        feed(recorder, n)
    assert recorder.pcm() == sound(1) + sound(2) + sound(0) + sound(4)
    assert recorder.reception().lost == 1


def test_a_late_packet_falls_into_its_place() -> None:
    recorder = Recorder()
    for n in (0, 2, 1, 3):
        feed(recorder, n, at=0.02 * n if n != 1 else 0.045)
    assert recorder.pcm() == b"".join(sound(n + 1) for n in range(4))
    assert recorder.reception().lost == 0


def test_a_new_stream_goes_on_where_the_time_is() -> None:
    recorder = Recorder()
    feed(recorder, 0)
    feed(recorder, 0, ssrc=2, at=0.1, value=9)
    assert recorder.pcm() == sound(1) + sound(0) * 4 + sound(9)
    assert recorder.reception().lost == 0


def test_a_leap_of_the_timestamps_does_not_stretch_the_recording() -> None:
    recorder = Recorder()
    feed(recorder, 0)
    recorder.packet(at=0.02, ssrc=1, sequence=65535, timestamp=90_000_000, pcm=sound(5))
    recorder.packet(at=0.04, ssrc=1, sequence=0, timestamp=90_000_160, pcm=sound(6))
    assert recorder.pcm() == sound(1) + sound(5) + sound(6)


def test_the_last_part_can_be_had_alone() -> None:
    recorder = Recorder()
    for n in range(5):
        feed(recorder, n)
    assert recorder.pcm(last_ms=40) == sound(4) + sound(5)


def test_jitter_is_zero_at_an_even_pace_and_grows_with_unevenness() -> None:
    even, uneven = Recorder(), Recorder()
    for n in range(50):
        feed(even, n)
        feed(uneven, n, at=0.02 * n + (0.008 if n % 2 else 0.0))
    assert even.reception().jitter_ms < 0.01
    assert 4 < uneven.reception().jitter_ms < 8.5


def test_it_knows_when_a_sound_came_even_from_a_sender_that_falls_behind() -> None:
    recorder = Recorder()
    for n in range(10):
        feed(recorder, n, at=0.02 * n if n < 5 else 0.02 * n + 0.3)
    assert recorder.arrived_at(40) == 0.04
    assert recorder.arrived_at(120) == 0.12 + 0.3
    assert Recorder().arrived_at(0) is None


def test_nothing_received() -> None:
    reception = Recorder().reception()
    assert (reception.received, reception.lost, reception.first_at) == (0, 0, None)
    assert Recorder().pcm() == b""
