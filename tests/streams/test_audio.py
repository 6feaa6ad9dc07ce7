"""What is kept, how far ahead is sent, and when the caller breaks in: pure."""

import audioop

from sip.media.tones import tone
from sip.streams.early import Early
from sip.streams.loudness import BargeIn, Interruption
from sip.streams.pacing import LEAD_S, Pacing

QUIET = b"\xff" * 160
LOUD = audioop.lin2ulaw(tone((500,), 20, level_dbm0=-15.0), 2)


def test_two_seconds_are_kept_and_the_oldest_go() -> None:
    early = Early()
    for at in range(130):
        early.keep(20 * at, bytes(160))
    assert (len(early), early.dropped) == (100, 30)
    assert early.pop()[0] == 600


def sent(pacing: Pacing, now: float) -> int:
    count = 0
    while pacing.next(now) is not None:
        count += 1
    return count


def test_a_burst_is_sent_little_ahead_of_real_time() -> None:
    pacing = Pacing()
    for _ in range(20):
        pacing.add(LOUD, loud=True)
    assert sent(pacing, 10.0) == 8
    assert pacing.played_at - 10.0 <= LEAD_S
    assert sent(pacing, 10.01) == 0
    wait_s = pacing.wait_s(10.0)
    assert wait_s is not None
    assert abs(wait_s - 0.02) < 1e-9
    assert sent(pacing, 10.021) == 1


def test_what_comes_in_time_goes_at_once() -> None:
    pacing = Pacing()
    for at in range(50):
        pacing.add(QUIET, loud=False)
        assert sent(pacing, at * 0.02) == 1


def test_silence_is_left_out_while_speech_waits() -> None:
    pacing = Pacing()
    for _ in range(12):
        pacing.add(LOUD, loud=True)
    sent(pacing, 0.0)
    pacing.add(QUIET, loud=False)
    assert (len(pacing), pacing.dropped) == (4, 1)


def test_no_more_than_two_seconds_wait() -> None:
    pacing = Pacing()
    for _ in range(130):
        pacing.add(LOUD, loud=True)
    assert (len(pacing), pacing.dropped) == (100, 30)


def test_a_long_piece_is_sent_when_nothing_is_ahead_of_it() -> None:
    pacing = Pacing()
    pacing.add(LOUD * 20, loud=True)
    assert sent(pacing, 0.0) == 1


def begins(interruption: Interruption, *pieces: bytes) -> list[int]:
    return [at for at, piece in enumerate(pieces) if interruption.begins(piece)]


def test_speech_of_200_ms_is_an_interruption_once() -> None:
    interruption = Interruption(BargeIn())
    assert begins(interruption, *[QUIET] * 5, *[LOUD] * 30) == [14]


def test_a_cough_is_none_and_a_breath_does_not_end_speech() -> None:
    assert begins(Interruption(BargeIn()), *[LOUD] * 8, *[QUIET] * 10, *[LOUD] * 8) == []
    assert begins(Interruption(BargeIn()), *[LOUD] * 5, *[QUIET] * 3, *[LOUD] * 5) == [12]


def test_the_next_speech_is_another() -> None:
    interruption = Interruption(BargeIn())
    assert begins(interruption, *[LOUD] * 20, *[QUIET] * 15, *[LOUD] * 20) == [9, 44]


def test_it_can_be_switched_off_and_set() -> None:
    assert begins(Interruption(BargeIn(wanted=False)), *[LOUD] * 30) == []
    assert begins(Interruption(BargeIn(debounce_ms=100)), *[LOUD] * 30) == [4]
    assert begins(Interruption(BargeIn(level_dbm0=-10.0)), *[LOUD] * 30) == []
