"""Files of other rates become telephone sound: what is heard stays, what cannot be is gone."""

import itertools
import math

import pytest

from sip.media.relay.file_rates import RATES_HZ, resampled
from sip.media.tones import Bank, level_of, pcm16

OTHERS = [rate for rate in RATES_HZ if rate != 8000]
WINDOW = 1600


def sine(hz: float, rate_hz: int, seconds: float = 0.5) -> bytes:
    step = 2 * math.pi * hz / rate_hz
    return pcm16([round(10_000 * math.sin(step * n)) for n in range(int(rate_hz * seconds))])


def level(sound: bytes, hz: float) -> float:
    """The level of one frequency in the middle of the sound."""
    (power,) = Bank([hz], WINDOW).powers(sound[1600 : 1600 + 2 * WINDOW])
    return level_of(math.sqrt(power))


@pytest.mark.parametrize("rate_hz", OTHERS)
@pytest.mark.parametrize("hz", [300, 1000, 3400])
def test_the_voice_band_passes_as_it_was(rate_hz: int, hz: float) -> None:
    heard = resampled(sine(hz, rate_hz), rate_hz, 0, 4000)
    assert level(heard, hz) == pytest.approx(level(sine(hz, 8000), hz), abs=0.3)


@pytest.mark.parametrize("rate_hz", [rate for rate in OTHERS if rate > 11025])
@pytest.mark.parametrize("hz", [4700, 5300])
def test_what_8_khz_cannot_carry_does_not_come_back_as_another_tone(
    rate_hz: int, hz: float
) -> None:
    heard = resampled(sine(hz, rate_hz), rate_hz, 0, 4000)
    assert level(heard, 8000 - hz) < level(sine(1000, 8000), 1000) - 55


def test_a_voice_at_full_scale_is_clipped_and_does_not_wrap() -> None:
    loud = pcm16([32767 if n // 24 % 2 else -32768 for n in range(4800)])
    heard = memoryview(resampled(loud, 48000, 0, 800)).cast("h")
    assert max(heard) > 30_000
    assert all(abs(one - other) < 40_000 for one, other in itertools.pairwise(heard))


@pytest.mark.parametrize("rate_hz", OTHERS)
def test_pieces_are_those_of_the_whole(rate_hz: int) -> None:
    sound = sine(440, rate_hz, 0.1)
    whole = resampled(sound, rate_hz, 0, 800)
    pieces = [resampled(sound, rate_hz, first, 160) for first in range(0, 800, 160)]
    assert b"".join(pieces) == whole


def test_silence_stays_silence_and_follows_the_end() -> None:
    assert resampled(bytes(960), 48000, 0, 160) == bytes(320)
    assert resampled(sine(440, 48000, 0.02), 48000, 400, 160) == bytes(320)
