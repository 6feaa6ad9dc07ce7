"""The measure by which these stories know who was heard."""

import numpy as np
import pytest

from tests.interop.harness import speech
from tests.interop.pbx.voices import GREETING, NO_FRAGMENT, OTHER, SAME, Voice, likeness


def test_the_measure_tells_these_three_apart(extension: Voice, visitor: Voice) -> None:
    everybody = [extension.once, visitor.once, GREETING]
    for one in everybody:
        for other in everybody:
            alike = likeness(one, other)
            if one != other:
                fragments = speech.pieces(speech.read(one), speech.read(other))
                assert max(fragments) < NO_FRAGMENT, f"{one} {other} {fragments}"
            assert alike > 0.99 if one == other else alike < OTHER, f"{one} {other} {alike:.2f}"


@pytest.mark.parametrize("lost_ms", [0, 40, 120])
def test_a_jump_costs_the_piece_that_it_falls_into(lost_ms: int) -> None:
    words = speech.read(GREETING)
    middle, lost = len(words) // 2, lost_ms * speech.RATE_HZ // 1000
    jumped = np.concatenate([words[:middle], np.zeros(lost), words[middle:]])
    assert np.mean(speech.pieces(jumped, words)) > SAME


def test_silence_is_nobody() -> None:
    words = speech.read(GREETING)
    assert max(speech.pieces(words * 0, words)) == 0
    assert max(speech.pieces(words[:0], words)) == 0
