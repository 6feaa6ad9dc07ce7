"""What the caller says before anybody can hear it, and the way it is caught up with."""

from collections import deque
from typing import Final

#: Milliseconds that are kept; the oldest go first.
KEPT_MS: Final = 2000
#: What was kept goes out so many times as fast as it was said, until none is left.
CATCH_UP: Final = 2


class Early:
    """Audio in order, each piece with the time at which it was said, in ms."""

    __slots__ = ("_kept", "_ms", "dropped")

    def __init__(self) -> None:
        self._kept: deque[tuple[int, bytes]] = deque()
        self._ms = 0
        #: pieces that were too old
        self.dropped = 0

    def keep(self, at_ms: int, audio: bytes) -> None:
        self._kept.append((at_ms, audio))
        self._ms += len(audio) // 8
        while self._ms > KEPT_MS:
            self._ms -= len(self._kept.popleft()[1]) // 8
            self.dropped += 1

    def pop(self) -> tuple[int, bytes]:
        at_ms, audio = self._kept.popleft()
        self._ms -= len(audio) // 8
        return at_ms, audio

    def __len__(self) -> int:
        return len(self._kept)
