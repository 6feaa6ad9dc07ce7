"""What the people on these calls say, and the proof of who was heard."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from tests.interop.harness import speech

SAME, OTHER = 0.8, 0.6
#: The same for the best 0.8 s alone.
FRAGMENT, NO_FRAGMENT = 0.95, 0.85
GREETING = Path(__file__).parents[3] / "testkit/sandbox/greeting.wav"
"""What the sandbox's agent says, after its melody."""


class Voice(NamedTuple):
    once: Path
    """the words, to look for"""
    again: Path
    """the same over and over, to play"""


def voice(directory: Path, name: str, text: str, kind: str = "en") -> Voice:
    once = speech.speak(text, directory / f"{name}.wav", voice=kind)
    again = speech.speak(text, directory / f"{name}-on.wav", voice=kind, repeat=40)
    return Voice(once, again)


def likeness(recording: Path, words: Path) -> float:
    """How much of the words the recording holds: 1 is all of them."""
    return float(np.mean(speech.pieces(speech.read(recording), speech.read(words))))


def hears(recording: Path, words: Path, not_words: Path) -> None:
    """The recording holds the other's words, and not an echo of one's own."""
    heard, echoed = likeness(recording, words), likeness(recording, not_words)
    assert heard > SAME, f"{words.stem}: {heard:.2f} in {recording}"
    assert echoed < OTHER, f"{not_words.stem}: {echoed:.2f} in {recording}"


def hears_some(recording: Path, words: Path, not_words: Path) -> None:
    """The recording holds a fragment of the other's words, 0.8 s of it without a flaw."""
    heard, echoed = (
        max(speech.pieces(speech.read(recording), speech.read(spoken)))
        for spoken in (words, not_words)
    )
    assert heard > FRAGMENT, f"{words.stem}: {heard:.2f} in {recording}"
    assert echoed < NO_FRAGMENT, f"{not_words.stem}: {echoed:.2f} in {recording}"
