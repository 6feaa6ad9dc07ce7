"""One stream from several speakers: what a receiver sees of its numbers (RFC 3550 5.1)."""

import random
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sip.media.relay.numbering import Numbering, Numbers

OURS = 0xAAAA
THEIRS = 0xBBBB
FRAME = 160


def taken_over(seq: int = 100, timestamp: int = 16_000, at: float = 10.0) -> Numbering:
    """A stream that was forwarded until packet `seq`, at `at`."""
    return Numbering(OURS, seq, timestamp, at, 8000)


def test_a_gap_is_filled_and_the_speaker_goes_on_behind_it() -> None:
    numbering = taken_over()
    assert numbering.own(FRAME, 10.2) == Numbers(101, 17_600, True)
    assert numbering.own(FRAME, 10.22) == Numbers(102, 17_760, False)
    assert numbering.passed(OURS, 101, 17_920, 10.24) == Numbers(103, 17_920, True)
    assert numbering.passed(OURS, 102, 18_080, 10.26) == Numbers(104, 18_080, False)


def test_what_the_speaker_lost_and_what_overtook_stays_visible() -> None:
    numbering = taken_over()
    numbering.own(FRAME, 10.02)
    assert numbering.passed(OURS, 500, 0, 10.04) == Numbers(102, 16_320, True)
    assert numbering.passed(OURS, 503, 480, 10.10) == Numbers(105, 16_800, False)
    assert numbering.passed(OURS, 502, 320, 10.11) == Numbers(104, 16_640, False)
    assert numbering.passed(OURS, 504, 640, 10.12) == Numbers(106, 16_960, False)


def test_a_packet_that_we_spoke_over_is_dropped() -> None:
    """Its number is ours already."""
    numbering = taken_over()
    numbering.own(FRAME, 10.02)
    assert numbering.passed(OURS, 500, 0, 10.04) is not None
    assert numbering.passed(OURS, 499, -160 & 0xFFFFFFFF, 10.05) is None
    assert numbering.passed(OURS, 501, 160, 10.06) is not None


def test_another_speaker_goes_on_under_the_same_source() -> None:
    numbering = taken_over()
    numbering.own(FRAME, 10.02)
    numbering.passed(OURS, 500, 0, 10.04)
    assert numbering.passed(THEIRS, 9, 5, 10.54) == Numbers(103, 16_320 + 4000, True)
    numbering.other_source()
    assert numbering.passed(THEIRS, 10, 165, 10.56) == Numbers(104, 16_320 + 4160, True)
    assert numbering.ssrc == OURS


def test_numbers_wrap() -> None:
    numbering = taken_over(0xFFFF, 0xFFFFFF9C)
    assert numbering.own(FRAME, 10.02) == Numbers(0, 60, True)
    assert numbering.passed(OURS, 0xFFFF, 0xFFFFFFFF, 10.04) == Numbers(1, 220, True)
    assert numbering.passed(OURS, 0, 159, 10.06) == Numbers(2, 380, False)


def test_ours_follow_each_other_by_their_length_and_after_a_pause_by_the_clock() -> None:
    numbering = taken_over()
    numbering.own(FRAME, 10.02)
    assert numbering.own(FRAME, 10.05).timestamp == 16_160 + FRAME, "the loop was a little late"
    assert numbering.own(FRAME, 11.05) == Numbers(103, 16_160 + FRAME + 8000, True)


def test_a_key_beside_the_stream_has_one_time_and_takes_numbers_of_its_own() -> None:
    numbering = taken_over()
    numbering.own(FRAME, 10.02)
    numbering.passed(OURS, 500, 0, 10.04)
    assert numbering.beside(THEIRS, 77, 10.05) == Numbers(103, 16_320 + 80, True)
    assert numbering.beside(THEIRS, 77, 10.07) == Numbers(104, 16_320 + 80, False)
    assert numbering.passed(OURS, 501, 160, 10.08) == Numbers(105, 16_480, False)
    assert numbering.beside(THEIRS, 77, 10.09) == Numbers(106, 16_320 + 80, False)


def test_a_long_stream_goes_on_past_half_the_sequence_space() -> None:
    numbering = taken_over()
    numbering.own(FRAME, 10.02)
    for n in range(70_000):
        numbers = numbering.passed(OURS, n & 0xFFFF, n * 160, 10.04 + n * 0.02)
        assert numbers is not None
        assert numbers.seq == (102 + n) & 0xFFFF


@given(st.lists(st.sampled_from(["ours", "theirs", "lost", "another", "key"]), max_size=60))
def test_no_number_is_used_twice_whoever_speaks(turns: list[str]) -> None:
    numbering = Numbering.fresh(random.Random(1), 0.0, 8000)
    now, seq, ssrc = 0.0, 40_000, 1
    used: list[int] = []
    for turn in turns:
        now, seq = now + 0.02, (seq + 1) & 0xFFFF
        match turn:
            case "lost":
                continue
            case "ours":
                numbers: Numbers | None = numbering.own(FRAME, now)
            case "key":
                numbers = numbering.beside(99, len(used), now)
            case _:
                ssrc += turn == "another"
                numbers = numbering.passed(ssrc, seq, seq * 160, now)
        assert numbers is not None
        used.append(numbers.seq)
    steps = [(after - before) & 0xFFFF for before, after in pairwise(used)]
    assert all(0 < step < 100 for step in steps)
