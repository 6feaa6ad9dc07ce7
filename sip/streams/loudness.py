"""How loud a piece of mu-law is, and whether the caller breaks in."""

import audioop
from typing import Final

from sip.core.value import frozen
from sip.media.tones import rms_of

#: Silence within speech that does not end it, in milliseconds of audio.
BREATH_MS: Final = 60
#: Silence after which the caller's next words break in anew.
PAUSE_MS: Final = 200


@frozen(kw_only=True)
class BargeIn:
    """When the caller's speech is an interruption: that loud (dBm0), for so long without a pause.

    Without `wanted` it never is.
    """

    wanted: bool = True
    debounce_ms: int = 200
    level_dbm0: float = -35.0


def is_loud(audio: bytes, rms: float) -> bool:
    """Whether mu-law audio has that root mean square (of PCM16), or more."""
    return audioop.rms(audioop.ulaw2lin(audio, 2), 2) >= rms


class Interruption:
    """Listens to the caller, in time of the audio."""

    __slots__ = ("_debounce_ms", "_loud_ms", "_quiet_ms", "_rms", "_told", "_wanted")

    def __init__(self, terms: BargeIn) -> None:
        self._wanted = terms.wanted
        self._debounce_ms = terms.debounce_ms
        self._rms = rms_of(terms.level_dbm0)
        self._loud_ms = self._quiet_ms = 0
        self._told = False

    def begins(self, audio: bytes) -> bool:
        """Whether with this piece the caller has spoken long enough; true once a speech."""
        if not self._wanted:
            return False
        length_ms = len(audio) // 8
        if not is_loud(audio, self._rms):
            self._quiet_ms += length_ms
            if self._quiet_ms > (PAUSE_MS if self._told else BREATH_MS):
                self._loud_ms, self._told = 0, False
            return False
        self._quiet_ms = 0
        self._loud_ms += length_ms
        if self._told or self._loud_ms < self._debounce_ms:
            return False
        self._told = True
        return True
