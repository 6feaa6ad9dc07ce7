"""Plays a clip to a party: a frame each 20 ms, on the relay's timers."""

from __future__ import annotations

from collections.abc import Callable

from sip.media.relay.outlet import Outlet
from sip.media.relay.timers import Timer, Timers
from sip.media.relay.voice import Voice
from sip.media.relay.wav import FRAME_MS, Clip

_FRAME_S = FRAME_MS / 1000

#: A loop that was held up sends what it missed at once, up to this; the rest is played later.
_MAX_LATE_S = 0.1


class Player:
    """A clip, played so many times. `voice` is asked for each frame: a re-INVITE may change it.

    `on_end(finished, now)` is called once: true after the last frame, false if it was stopped.
    """

    __slots__ = ("_clip", "_due", "_frames", "_index", "_on_end", "_outlet", "_timer", "_timers",
                 "_voice")  # fmt: skip

    def __init__(
        self,
        clip: Clip,
        outlet: Outlet,
        voice: Callable[[], Voice | None],
        timers: Timers,
        on_end: Callable[[bool, float], None],
        *,
        times: int = 1,
    ) -> None:
        self._clip = clip
        self._frames = times * clip.frames
        self._outlet = outlet
        self._voice = voice
        self._timers = timers
        self._on_end: Callable[[bool, float], None] | None = on_end
        self._timer: Timer | None = None
        self._index = 0
        self._due = 0.0

    def start(self, now: float) -> None:
        """Sends the first frame."""
        self._outlet.withhold(True, now)
        self._due = now
        self._tick(now)

    def stop(self, now: float) -> None:
        """Ends early; without effect once it is over."""
        self._end(now, finished=False)

    def _tick(self, now: float) -> None:
        if self._index >= self._frames:  # the last frame has been heard by now
            self._end(now, finished=True)
            return
        voice = self._voice()
        if voice is not None:  # else time goes on, as it does for a party on hold
            self._outlet.speak(*voice.says(self._clip, self._index % self._clip.frames), now)
        self._index += 1
        self._due = max(self._due + _FRAME_S, now - _MAX_LATE_S)
        self._timer = self._timers.at(self._due, self._tick)

    def _end(self, now: float, *, finished: bool) -> None:
        on_end, self._on_end = self._on_end, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if on_end is not None:
            self._outlet.withhold(False, now)
            on_end(finished, now)
