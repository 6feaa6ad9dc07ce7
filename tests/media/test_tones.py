"""Tones that are made, and measured by correlation."""

import audioop
import math

import pytest

from sip.media.tones import Bank, level_of, rms_of, tone

WINDOW = 102


def window(pcm: bytes, at: int = 200, size: int = WINDOW) -> bytes:
    return pcm[2 * at : 2 * (at + size)]


@pytest.mark.parametrize("level", [0.0, -10.0, -30.0])
def test_a_tone_has_its_level(level: float) -> None:
    assert level_of(audioop.rms(window(tone([1000], 100, level_dbm0=level), size=160), 2)) == (
        pytest.approx(level, abs=0.2)
    )


def test_full_scale_is_a_little_above_0_dbm0() -> None:
    """ITU-T G.711: +3.17 dBm0 of the A-law."""
    assert level_of(32768 / math.sqrt(2)) == pytest.approx(3.17, abs=0.01)
    assert rms_of(level_of(1234.0)) == pytest.approx(1234.0)
    assert level_of(0) == -math.inf


def test_a_tone_has_its_length_and_begins_and_ends_softly() -> None:
    pcm = tone([440, 480], 50)
    assert len(pcm) == 2 * 400
    assert pcm[:2] == pcm[-2:] == b"\0\0"
    assert tone([], 20) == bytes(320)


def test_too_loud_is_clipped() -> None:
    assert audioop.max(tone([700, 1200], 100, level_dbm0=3.0), 2) >= 32767


@pytest.mark.parametrize("hz", [700, 1100, 2100])
def test_each_frequency_is_measured_by_itself(hz: int) -> None:
    measured = Bank([700, 1100, 2100], 160).powers(window(tone([hz], 100), size=160))
    levels = [level_of(math.sqrt(power)) for power in measured]
    assert max(levels) == levels[[700, 1100, 2100].index(hz)] == pytest.approx(-10, abs=0.1)
    assert sorted(levels)[-2] < -40


def test_tones_at_once_have_their_own_levels() -> None:
    both = audioop.add(tone([700], 100), tone([2100], 100, level_dbm0=-20), 2)
    one, other = Bank([700, 2100], 160).powers(window(both, size=160))
    assert level_of(math.sqrt(one)) == pytest.approx(-10, abs=0.2)
    assert level_of(math.sqrt(other)) == pytest.approx(-20, abs=0.2)


def test_a_tone_beside_its_frequency_is_measured_too_low() -> None:
    """A quarter of the bank's resolution: 0.9 dB."""
    off = 8000 / 160 / 4
    (power,) = Bank([1000], 160).powers(window(tone([1000 + off], 100), size=160))
    assert level_of(math.sqrt(power)) == pytest.approx(-10.9, abs=0.2)


def test_silence_has_no_power() -> None:
    assert Bank([697, 1209], WINDOW).powers(bytes(2 * WINDOW)) == [0.0, 0.0]
