"""The filter between 8 and 16 kHz: flat in the telephone band, and nothing beside it."""

import math

import numpy as np
import pytest

from sip.media.relay.resample import Doubler, Halver


def tone(hz: float, rate_hz: int, *, seconds: float = 1.0) -> bytes:
    n = np.arange(int(rate_hz * seconds))
    return (8000 * np.sin(2 * np.pi * hz * n / rate_hz)).astype("<i2").tobytes()


def level_db(pcm: bytes, hz: float, rate_hz: int) -> tuple[float, float]:
    """Of the tone in it against what was put in, and of all else against the tone, in dB."""
    samples = np.frombuffer(pcm, "<i2").astype(float)[rate_hz // 4 :]
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    bins = np.fft.rfftfreq(len(samples), 1 / rate_hz)
    near = power[abs(bins - hz) < 30].sum()
    whole = (8000 * len(samples) / 4) ** 2 * 1.5
    return 10 * math.log10(near / whole), 10 * math.log10((power.sum() - near) / near)


def through(stage: Doubler | Halver, pcm: bytes, frame: int) -> bytes:
    return b"".join(stage.take(pcm[at : at + frame]) for at in range(0, len(pcm), frame))


@pytest.mark.parametrize("hz", [300, 1000, 2000, 3000, 3400])
def test_the_telephone_band_passes_unchanged_and_makes_nothing_else(hz: int) -> None:
    up = through(Doubler(), tone(hz, 8000), 320)
    gain_db, rest_db = level_db(up, hz, 16000)
    assert abs(gain_db) < 0.1
    assert rest_db < -45
    down = through(Halver(), tone(hz, 16000), 640)
    gain_db, rest_db = level_db(down, hz, 8000)
    assert abs(gain_db) < 0.1
    assert rest_db < -60


@pytest.mark.parametrize("hz", [4600, 5000, 6000, 7500])
def test_what_8_khz_cannot_carry_is_left_out_and_not_folded_back(hz: int) -> None:
    down = np.frombuffer(through(Halver(), tone(hz, 16000), 640), "<i2").astype(float)
    power = (down[2000:] ** 2).mean()
    assert 10 * math.log10(power / (8000**2 / 2) + 1e-12) < -50


@pytest.mark.parametrize("stage", [Doubler, Halver])
def test_frames_of_any_length_come_out_as_one_stream(stage: type[Doubler | Halver]) -> None:
    pcm = tone(700, 8000, seconds=0.1)
    whole = stage().take(pcm)
    assert through(stage(), pcm, 36) == whole
    assert stage().take(b"") == b""


@pytest.mark.parametrize("stage", [Doubler, Halver])
def test_full_scale_is_not_overdriven(stage: type[Doubler | Halver]) -> None:
    pcm = np.full(1600, -32768, "<i2").tobytes()
    assert set(np.frombuffer(stage().take(pcm), "<i2")[-100:]) == {-32768}
