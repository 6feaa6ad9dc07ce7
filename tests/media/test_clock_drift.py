"""A sender's clock against ours."""

import random

import pytest

from sip.media.relay.clock_drift import MIN_SPAN_S, ClockDrift


def measured(
    ppm: float, seconds: float, *, jitter_s: float = 0.0, drift: ClockDrift | None = None,
    began: float = 5000.0,
) -> ClockDrift:  # fmt: skip
    """A packet looked at each second, from a sender whose clock is `ppm` fast."""
    drift = drift or ClockDrift()
    rng = random.Random(3)
    for index in range(int(seconds) + 1):
        arrival = began + index
        media = 77.0 + index * (1 + ppm * 1e-6)
        drift.sample(media, arrival + rng.uniform(0, jitter_s))
    return drift


@pytest.mark.parametrize("ppm", [-400.0, -20.0, 0.0, 30.0, 1000.0])
def test_an_even_stream_tells_exactly(ppm: float) -> None:
    assert measured(ppm, 20).ppm == pytest.approx(ppm, abs=0.01)


def test_an_hour_of_great_drift_is_no_step() -> None:
    assert measured(1000.0, 3600).ppm == pytest.approx(1000.0, abs=0.01)


def test_jitter_averages_out() -> None:
    assert measured(300.0, 300, jitter_s=0.04).ppm == pytest.approx(300.0, rel=0.1)


def test_nothing_is_told_of_a_short_time() -> None:
    assert ClockDrift().ppm is None
    assert measured(500.0, MIN_SPAN_S - 1).ppm is None


def test_a_step_begins_anew_and_what_was_known_stays() -> None:
    drift = measured(200.0, 30)
    drift.sample(9000.0, 5031.0)
    assert drift.ppm == pytest.approx(200.0, abs=0.01)
    measured(-50.0, 30, drift=drift, began=6000.0)
    assert drift.ppm == pytest.approx(-50.0, abs=0.01)


def test_one_instant_tells_nothing() -> None:
    drift = ClockDrift()
    for _ in range(20):
        drift.sample(1.0, 1.0)
    assert drift.ppm is None
