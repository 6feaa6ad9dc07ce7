"""Which one or two frequencies a short stretch of audio consists of, if it does.

A first look goes over all frequencies with a window of 15 ms, in which 67 Hz are told apart; a
second one, near the strongest of these, has a window of 30 ms. Between two frequencies of the
second look the true one is found by the parabola through the strongest and its neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from sip.media.tones import Bank

#: Samples of the window of the second look, and of the first.
WINDOW: Final = 240
_FIRST: Final = 120
_FIRST_HZ: Final = tuple(range(380, 2161, 50))
#: The second look's frequencies: so far apart, and so many on either side of the middle.
_STEP_HZ: Final = 12
_BESIDE: Final = 2
_LOWEST_HZ: Final = 388
_HIGHEST_HZ: Final = 2160
#: Two frequencies of a pair are at least so far apart.
_APART_HZ: Final = 140
#: The stronger one of a pair has at least that part of what both must have, and the weaker one that
#: part of the stronger one's.
_STRONGER: Final = 0.4
_WEAKER: Final = 0.12


@dataclass(frozen=True, slots=True)
class Pure:
    """One frequency or two, their power together, and what they have of what could be theirs."""

    hz: float
    other_hz: float | None
    power: float
    share: float


def first_look(window: bytes) -> Sequence[float]:
    """The power of each frequency of the first look, in the newest part of the window."""
    return _bank().powers(window[-2 * _FIRST :])


def pure_of(window: bytes, powers: Sequence[float], least: float, most: float) -> Pure | None:
    """The frequency of a window, or both, that have the power `least` at least; None without.

    `powers` are those of the first look, `most` is what a tone could have.
    """
    strongest = max(range(len(powers)), key=powers.__getitem__)
    hz, first = power_near(power_near(_FIRST_HZ[strongest], window)[0], window)
    if not _LOWEST_HZ <= hz <= _HIGHEST_HZ:
        return None
    if first >= least:
        return Pure(hz, None, first, first / most)
    if first < _STRONGER * least:
        return None
    rest = [index for index, each in enumerate(_FIRST_HZ) if abs(each - hz) >= _APART_HZ]
    second = _FIRST_HZ[max(rest, key=powers.__getitem__)]
    other_hz, other = power_near(power_near(second, window)[0], window)
    if other < _WEAKER * first or first + other < least:
        return None
    return Pure(hz, other_hz, first + other, (first + other) / most)


def power_near(hz: float, window: bytes) -> tuple[float, float]:
    """The strongest frequency near one, in Hz, and its power."""
    middle = round(hz / _STEP_HZ) * _STEP_HZ
    powers = _near(middle).powers(window)
    best = max(range(len(powers)), key=powers.__getitem__)
    found, power = middle + (best - _BESIDE) * _STEP_HZ, powers[best]
    if not 0 < best < len(powers) - 1:
        return float(found), power
    before, after = powers[best - 1], powers[best + 1]
    off = (before - after) / (2 * min(before - 2 * power + after, -1.0))
    return found + off * _STEP_HZ, power - (before - after) * off / 4


@lru_cache(maxsize=1)
def _bank() -> Bank:
    return Bank(_FIRST_HZ, _FIRST)


@lru_cache(maxsize=256)
def _near(hz: int) -> Bank:
    steps = range(-_BESIDE, _BESIDE + 1)
    return Bank([hz + step * _STEP_HZ for step in steps], WINDOW)
