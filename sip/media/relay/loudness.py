"""How loud a party's audio is, where it is looked into: frames at full scale, and quiet ones."""

from __future__ import annotations

import audioop
from typing import Final

#: A sample beyond this was cut off: the largest of G.711's two laws, less a step.
FULL_SCALE: Final = 32_000

#: The level, as a root of mean squares, below which a frame holds no speech: -50 dB of full scale.
QUIET_RMS: Final = 104

_WIDTH: Final = 2


class Loudness:
    """Counts frames, as 16-bit samples, of any length."""

    __slots__ = ("_clipped", "_frames", "_quiet")

    def __init__(self) -> None:
        self._frames = self._clipped = self._quiet = 0

    def take(self, pcm: bytes) -> None:
        """One frame of the party's audio."""
        self._frames += 1
        if audioop.rms(pcm, _WIDTH) < QUIET_RMS:
            self._quiet += 1
        elif audioop.max(pcm, _WIDTH) >= FULL_SCALE:
            self._clipped += 1

    @property
    def clipped(self) -> float | None:
        """The part (0-1) of all frames that reach full scale; None if there was none."""
        return self._clipped / self._frames if self._frames else None

    @property
    def quiet(self) -> float | None:
        """The part of all frames that hold no speech."""
        return self._quiet / self._frames if self._frames else None
