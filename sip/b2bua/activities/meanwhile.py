"""What a leg hears while another rings that it is to talk to."""

import asyncio
from typing import Any

import structlog

from sip.b2bua.activities.playing import Playing
from sip.b2bua.hub import Hub
from sip.media.plane import FOREVER, MediaError, Playable, RingbackTone

log = structlog.get_logger(__name__)


class Meanwhile:
    """Plays to the host of a leg that rings, until that leg is heard, answers or is given up.

    A host that was told nothing of our media hears what its own side makes of 180 Ringing.
    """

    def __init__(
        self, call: Hub, host: str, sound: Playable | None, ringback: RingbackTone | None
    ) -> None:
        """`sound` is heard at once, `ringback` in its stead only once the other leg rings."""
        self._call = call
        self._host = host
        self._sound = sound
        self._ringback = ringback
        self._playing: Playing | None = None

    def dialled(self) -> None:
        """An INVITE is out."""
        if self._sound is not None:
            self._play(self._sound)

    def rings(self) -> None:
        """The other leg rings, and is not heard."""
        if self._sound is None and self._ringback is not None:
            self._play(self._ringback)

    def over(self) -> None:
        """The other leg is heard, or will not be."""
        playing, self._playing = self._playing, None
        if playing is not None:
            self._call.stop(playing)

    def _play(self, sound: Playable) -> None:
        leg = self._call.legs.get(self._host)
        if self._playing is not None or leg is None or leg.local_sdp is None:
            return
        self._playing = Playing(self._host, sound, times=FOREVER)
        self._call.begin(self._playing).add_done_callback(self._played)

    def _played(self, outcome: asyncio.Future[Any]) -> None:
        """A call goes on without its sound."""
        if outcome.cancelled() or not isinstance(outcome.exception(), MediaError):
            return
        error = str(outcome.exception())
        log.warning("ringing.not-heard", call_sid=self._call.call_sid, leg=self._host, error=error)
