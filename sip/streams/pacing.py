"""How far ahead of real time a stream's peer is sent audio, which plays it in order.

Little ahead means little that an interruption must undo, and little delay.
"""

from collections import deque
from typing import Final

#: Seconds of audio that the peer may have and not have played.
LEAD_S: Final = 0.16
#: Seconds that wait here at most; the oldest go first.
WAITING_S: Final = 2.0
#: Sums of times are off by less: what is due now shall not be waited for again and again.
_ROUNDING_S: Final = 1e-6
#: Octets of a second.
RATE: Final = 8000


class Pacing:
    """The audio for one stream; time is passed in, in monotonic seconds."""

    __slots__ = ("_octets", "_waiting", "dropped", "played_at")

    def __init__(self) -> None:
        self._waiting: deque[tuple[bytes, bool]] = deque()
        self._octets = 0
        #: when the last that was sent is played
        self.played_at = 0.0
        #: pieces that were left out: silence, or the oldest of too many
        self.dropped = 0

    def add(self, audio: bytes, *, loud: bool) -> None:
        """One more piece. Silence is left out while others wait, so that the delay shrinks."""
        if self._waiting and not loud:
            self.dropped += 1
            return
        self._waiting.append((audio, loud))
        self._octets += len(audio)
        while self._octets > WAITING_S * RATE:
            self._octets -= len(self._waiting.popleft()[0])
            self.dropped += 1

    def next(self, now: float) -> tuple[bytes, bool] | None:
        """The next piece that may be sent now, and whether it is loud; it counts as sent."""
        if not self._waiting:
            return None
        length_s = len(self._waiting[0][0]) / RATE
        begins = max(self.played_at, now)
        if begins - now + length_s > LEAD_S + _ROUNDING_S and begins > now:
            return None
        piece = self._waiting.popleft()
        self._octets -= len(piece[0])
        self.played_at = begins + length_s
        return piece

    def wait_s(self, now: float) -> float | None:
        """Until the next may be sent; None where none waits."""
        if not self._waiting:
            return None
        return max(0.0, self.played_at - now + len(self._waiting[0][0]) / RATE - LEAD_S)

    def clear(self, now: float) -> None:
        """Nothing waits, here or there."""
        self._waiting.clear()
        self._octets = 0
        self.played_at = now

    def __len__(self) -> int:
        return len(self._waiting)
