"""What the people on these calls say, and the proof of who was heard."""

from pathlib import Path
from typing import NamedTuple

from tests.interop.harness import speech

SAME, OTHER = 0.8, 0.6
GREETING = Path(__file__).parents[3] / "gateway/sandbox/greeting.wav"
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
    return speech.likeness_in_pieces(speech.read(recording), speech.read(words))


def hears(recording: Path, words: Path, not_words: Path) -> None:
    """The recording holds the other's words, and not an echo of one's own."""
    heard, echoed = likeness(recording, words), likeness(recording, not_words)
    assert heard > SAME, f"{words.stem}: {heard:.2f} in {recording}"
    assert echoed < OTHER, f"{not_words.stem}: {echoed:.2f} in {recording}"
