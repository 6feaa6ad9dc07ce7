"""Loud and quiet frames."""

import audioop
import math
import struct

import pytest

from sip.media.relay.loudness import Loudness


def tone(level: float, samples: int = 160) -> bytes:
    """A tone whose peak is `level` of full scale."""
    peak = level * 32767
    waves = [round(peak * math.sin(n * 2 * math.pi * 500 / 8000)) for n in range(samples)]
    return struct.pack(f"<{samples}h", *waves)


def test_nothing_is_known_of_no_audio() -> None:
    assert (Loudness().clipped, Loudness().quiet) == (None, None)


@pytest.mark.parametrize(
    ("level", "clipped", "quiet"),
    [(0.0, 0, 1), (0.002, 0, 1), (0.01, 0, 0), (0.5, 0, 0), (0.9, 0, 0), (1.0, 1, 0)],
)
def test_frames_by_their_level(level: float, clipped: int, quiet: int) -> None:
    loudness = Loudness()
    loudness.take(tone(level))
    assert (loudness.clipped, loudness.quiet) == (clipped, quiet)


def test_parts_of_all_frames() -> None:
    loudness = Loudness()
    for _ in range(5):
        loudness.take(tone(0.0))
    for _ in range(2):
        loudness.take(tone(1.0))
    loudness.take(tone(0.3))
    assert (loudness.clipped, loudness.quiet) == (0.25, 0.625)


@pytest.mark.parametrize("law", ["ulaw", "alaw"])
def test_full_scale_is_full_scale_in_either_law(law: str) -> None:
    encode, decode = getattr(audioop, f"lin2{law}"), getattr(audioop, f"{law}2lin")
    loudness = Loudness()
    loudness.take(decode(encode(tone(1.0), 2), 2))
    loudness.take(decode(encode(tone(0.7), 2), 2))
    assert loudness.clipped == 0.5
