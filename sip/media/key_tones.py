"""DTMF as tones (ITU-T Q.23): made, and found in what is heard (Q.24).

Audio is PCM16, one channel, 8 kHz (`sip.media.tones`).
"""

from __future__ import annotations

import audioop
from typing import Final, NamedTuple

from sip.media.tones import RATE_HZ, Bank, rms_of, tone

ROWS_HZ: Final = (697, 770, 852, 941)
COLUMNS_HZ: Final = (1209, 1336, 1477, 1633)
_LAYOUT: Final = ("123A", "456B", "789C", "*0#D")

#: The two frequencies of each key.
FREQUENCIES_HZ: Final = {
    key: (ROWS_HZ[row], COLUMNS_HZ[column])
    for row, keys in enumerate(_LAYOUT)
    for column, key in enumerate(keys)
}

#: A window tells 78 Hz apart, as rows are 73 Hz apart and more, and loses 1.6 dB of a column that
#: is off by 1.5 % and 2 Hz, which has to be taken. Half of it is new each time.
_WINDOW: Final = 102
_HOP: Final = 51

#: What a window of a key is. The quietest tone that is taken has -30 dBm0; a row may be 10 dB
#: louder than its column, which is what lines do, or 5 dB quieter (Q.24's 8 and 4, and what the
#: window loses); the two hold most of the window's power, and stand out among their neighbours.
_FLOOR: Final = rms_of(-30.0) ** 2
_MAX_ROW: Final = 10 ** (10 / 10)
_MAX_COLUMN: Final = 10 ** (5 / 10)
_SHARE: Final = 0.62
_STANDS_OUT: Final = 10 ** (6 / 10)
#: Speech has overtones, a key has none: a column's second harmonic is this much lower.
_OVERTONE: Final = 10 ** (-13 / 10)

#: Windows in a row after which a key is down, which a tone of 40 ms has and one of 23 ms has not,
#: and those without it after which it is up: a break of 20 ms belongs to the tone.
_DOWN: Final = 5
_UP: Final = 6
#: Windows after which what sounds like a key should be kept from other ears.
_SUSPECT: Final = 2


class Change(NamedTuple):
    """A key went down; or up, and how many seconds it was held."""

    key: str
    held_s: float | None = None


def key_tone(key: str, duration_ms: float, *, level_dbm0: float = -8.0) -> bytes:
    """The tone of a key, one of 0-9, ``*``, ``#``, A-D, each frequency at that level."""
    return tone(FREQUENCIES_HZ[key], duration_ms, level_dbm0=level_dbm0)


class KeyToneReader:
    """Finds keys in a stream of audio, each once: 40 ms of tone, and 40 ms of none between two."""

    __slots__ = ("_down", "_hits", "_left", "_misses", "_suspect")

    def __init__(self) -> None:
        self._left = b""
        #: The key that is down; the one that was heard last, and in how many windows of its time.
        self._down = ""
        self._suspect = ""
        self._hits = 0
        self._misses = 0

    @property
    def held(self) -> Change | None:
        """The key that is down, and how long it was so far."""
        return Change(self._down, self._held_s) if self._down else None

    @property
    def sounding(self) -> bool:
        """Whether the newest audio is a key's tone, or the beginning of what may be one."""
        return bool(self._down) or (self._hits >= _SUSPECT and not self._misses)

    def take(self, audio: bytes) -> list[Change]:
        """The next audio, of any length: what changed in it."""
        data = self._left + audio
        changes: list[Change] = []
        at = 0
        while at + 2 * _WINDOW <= len(data):
            following = at + 2 * _HOP
            rests = not self._suspect and following + 2 * _WINDOW <= len(data)
            # no key is without its second window: where there is none, one look is for two
            if rests and not _key_in(data[following : following + 2 * _WINDOW]):
                at = following + 2 * _HOP
                continue
            self._hear(_key_in(data[at : at + 2 * _WINDOW]), changes)
            at = following
        self._left = data[at:]
        return changes

    def end(self) -> list[Change]:
        """No more audio comes: a key that is down is up."""
        changes: list[Change] = []
        self._release(changes)
        self._left = b""
        return changes

    def _hear(self, key: str, changes: list[Change]) -> None:
        if key and key == self._suspect:
            # A break that is over by now was part of the tone, once the key was down.
            self._hits += 1 + (self._misses if self._down else 0)
            self._misses = 0
            if not self._down and self._hits == _DOWN:
                self._down = key
                changes.append(Change(key))
        elif key and not self._down:
            self._suspect, self._hits, self._misses = key, 1, 0
        elif self._suspect:
            self._misses += 1
            if not self._down or self._misses == _UP:
                self._release(changes)

    def _release(self, changes: list[Change]) -> None:
        if self._down:
            changes.append(Change(self._down, self._held_s))
        self._down = self._suspect = ""
        self._hits = self._misses = 0

    @property
    def _held_s(self) -> float:
        """To half a window: the first and the last are filled in part."""
        return (self._hits * _HOP + _HOP // 2) / RATE_HZ


_ROWS: Final = Bank(ROWS_HZ, _WINDOW)
_COLUMNS: Final = Bank(COLUMNS_HZ, _WINDOW)
#: The row's part of a window's power, where it is as quiet as it may be beside its column.
_LEAST_ROW: Final = _SHARE / (1 + _MAX_COLUMN)
_OVERTONES: Final = [Bank([2 * hz], _WINDOW) for hz in COLUMNS_HZ]


def _key_in(window: bytes) -> str:
    """The key whose tone the window is; "" if it is something else."""
    power = audioop.rms(window, 2) ** 2
    if power < _FLOOR:
        return ""
    # most of what is said fails by its rows alone, at half the cost
    rows = _ROWS.powers(window)
    low = max(rows)
    if low < _LEAST_ROW * power:
        return ""
    columns = _COLUMNS.powers(window)
    high = max(columns)
    row, column = rows.index(low), columns.index(high)
    if low + high < _SHARE * power or low > _MAX_ROW * high or high > _MAX_COLUMN * low:
        return ""
    if not (_alone(rows, row) and _alone(columns, column)):
        return ""
    if _OVERTONES[column].powers(window)[0] > _OVERTONE * high:
        return ""
    return _LAYOUT[row][column]


def _alone(group: list[float], index: int) -> bool:
    least = group[index] / _STANDS_OUT
    return all(power <= least for at, power in enumerate(group) if at != index)
