"""The room in which a greeting was recorded: its noise stops with the recording.

Who is on the line is heard with the room they are in, for as long as they are there. A recording
brings its own, and a mailbox plays nothing between it and the beep.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

#: The faintest noise that is taken for a room's, in dBm0.
_FAINTEST: Final = -62.0
#: Frames of 20 ms after the last word in which it fades; of noise that make a room; and of quiet
#: after it, of which one may be louder.
_FADES: Final = 3
_ROOM: Final = 5
_QUIET: Final = 5
#: By how much the middle half of a room's levels differ at most, and by how much it is quieter
#: after it, in dB.
_EVEN: Final = 6.0
_QUIETER: Final = 8.0


def has_stopped(levels: Sequence[float]) -> bool:
    """Whether a room's noise was heard after the last word, and stopped. Levels are dBm0."""
    since = levels[_FADES:]
    for at in range(_ROOM, len(since) - _QUIET + 1):
        room = sorted(since[:at])
        usual = room[at // 2]
        if usual < _FAINTEST or room[at * 3 // 4] - room[at // 4] > _EVEN:
            continue
        if sorted(since[at:])[-2] <= usual - _QUIETER:
            return True
    return False
