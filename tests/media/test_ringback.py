"""Ringback tones: each country's frequencies, in its cadence."""

import math
from itertools import accumulate, pairwise

import phonenumbers
import pytest

from sip.media.relay.sounds import Sounds
from sip.media.relay.wav import FRAME_MS
from sip.media.ringback import RINGBACK, Ringback, ringback
from sip.media.tones import Bank, level_of

ALL = sorted(set(RINGBACK.values()))


@pytest.mark.parametrize("tone", ALL, ids=str)
def test_a_cycle_sounds_and_is_silent_in_turn(tone: Ringback) -> None:
    cycle = tone.cycle()
    assert len(cycle) == 16 * sum(tone.cadence_ms)
    starts = [0, *accumulate(tone.cadence_ms)]
    for index, (begin, end) in enumerate(pairwise(starts)):
        part = cycle[16 * begin : 16 * end]
        if index % 2:
            assert not any(part)
        else:
            bank = Bank(tone.frequencies_hz, len(part) // 2)
            for power in bank.powers(part):
                assert -20 < level_of(math.sqrt(power)) < -12


@pytest.mark.parametrize("tone", ALL, ids=str)
def test_cycles_follow_each_other_without_a_gap(tone: Ringback) -> None:
    assert sum(tone.cadence_ms) % FRAME_MS == 0
    assert Sounds().ringback(tone).duration_ms == sum(tone.cadence_ms)


def test_countries_are_two_letters_that_exist() -> None:
    assert set(RINGBACK) <= phonenumbers.SUPPORTED_REGIONS


@pytest.mark.parametrize(
    ("country", "frequencies", "cadence"),
    [
        ("US", (440, 480), (2000, 4000)),
        ("gb", (400, 450), (400, 200, 400, 2000)),
        ("DE", (425,), (1000, 4000)),
        ("FR", (440,), (1500, 3500)),
        ("ES", (425,), (1500, 3000)),
        (None, (425,), (1000, 4000)),
        ("XX", (425,), (1000, 4000)),
    ],
)
def test_a_country_that_is_not_listed_has_the_recommended_one(
    country: str | None, frequencies: tuple[int, ...], cadence: tuple[int, ...]
) -> None:
    assert ringback(country) == (frequencies, cadence)
