"""Where audio stands in a recording: by timestamp, on one clock, late and lost packets mended."""

import struct

from sip.media.recording.timeline import RATE_HZ, Timeline, payload_of
from tests.media.talk import rtp

FRAME = 160


def tone(value: int, samples: int = FRAME) -> bytes:
    return struct.pack("<h", value) * samples


def channels(audio: bytes) -> tuple[list[int], list[int]]:
    samples = [each[0] for each in struct.iter_unpack("<h", audio)]
    return samples[::2], samples[1::2]


def put(line: Timeline, channel: int, n: int, now: float, value: int, ssrc: int = 7) -> None:
    line.put(channel, rtp(0, n, n * FRAME, ssrc), tone(value), RATE_HZ, now)


def test_two_channels_on_one_clock_and_silence_where_nothing_was_heard() -> None:
    line = Timeline(10.0)
    put(line, 0, 1, 10.00, 5)
    put(line, 1, 900, 10.01, 6)
    put(line, 0, 3, 10.04, 7)
    left, right = channels(line.take(10.06))
    assert left == [5] * 160 + [0] * 160 + [7] * 160
    assert right == [0] * 80 + [6] * 160 + [0] * 240


def test_jitter_and_reordering_move_nothing() -> None:
    line = Timeline(0.0)
    for n, now in ((0, 0.0), (2, 0.05), (1, 0.09), (3, 0.09), (4, 0.15)):
        put(line, 0, n, now, n + 1)
    left, _ = channels(line.take(0.1))
    assert left == [value for n in range(5) for value in [n + 1] * FRAME]


def test_what_comes_when_its_time_was_written_is_lost_and_what_follows_is_not() -> None:
    line = Timeline(0.0)
    put(line, 0, 0, 0.0, 1)
    assert len(line.take(0.1)) == 0.1 * RATE_HZ * 4
    put(line, 0, 1, 0.12, 2)
    put(line, 0, 6, 0.13, 3)
    left, _ = channels(line.take(0.16))
    assert left == [0] * 160 + [3] * 160 + [0] * 160


def test_a_new_source_and_a_clock_that_ran_away_begin_anew_where_they_are() -> None:
    line = Timeline(0.0)
    put(line, 0, 0, 0.0, 1)
    put(line, 0, 5000, 0.02, 2, ssrc=8)
    put(line, 0, 9000, 0.04, 3, ssrc=8)
    left, _ = channels(line.take(0.06))
    assert left == [1] * 160 + [2] * 160 + [3] * 160


def test_the_payload_is_what_stands_between_the_parts_of_the_header_and_the_padding() -> None:
    packet = struct.pack("!BBHII", 0xB1, 0, 1, 2, 3) + b"csrc" + b"\0\1\0\1ext!" + b"voice\0\2"
    assert payload_of(packet) == b"voice"
    assert payload_of(rtp(0, 1, 2, 3, b"")) == b""
    assert payload_of(struct.pack("!BBHII", 0x90, 0, 1, 2, 3)) == b""
