"""A peer that has sent no RTP for long is gone, whatever its signalling believes.

The media plane tells of silences (`sip.media.silence`): of a party that may send, is not on hold
and sends nothing, not even comfort noise. Who talks with another and stays silent is given up.
Any offer, in either direction, begins the time anew: it may have been a hold, or its end.
"""

from collections.abc import Callable
from typing import Final

from sip.b2bua.call_events import Headers
from sip.b2bua.legs.leg import Leg
from sip.clock import Clock, Timer
from sip.core.sdp_edits import sends
from sip.errors import ParseError
from sip.media.events import Heard, OneWay, Silent

#: What its BYE says (RFC 3326; ITU-T Q.850: recovery on timer expiry).
REASON: Final[Headers] = (("Reason", 'Q.850;cause=102;text="RTP Timeout"'),)


class RtpTimeout:
    """Two legs that talk. `on_timeout(leg, silent_s)` is called once for the first that is gone."""

    __slots__ = ("_clock", "_on_timeout", "_since", "_timeout_s", "_timers")

    def __init__(
        self, clock: Clock, timeout_s: float, on_timeout: Callable[[Leg, float], None]
    ) -> None:
        self._clock = clock
        self._timeout_s = timeout_s
        self._on_timeout = on_timeout
        self._since: dict[Leg, float] = {}
        self._timers: dict[Leg, Timer] = {}

    def on(self, leg: Leg, event: Silent | OneWay | Heard) -> None:
        """The media plane speaks of a leg."""
        if isinstance(event, Heard):
            self._since.pop(leg, None)
            self._cancel(leg)
        elif leg not in self._timers:
            self._since[leg] = event.at - event.since_s
            self._wait(leg, self._since[leg])

    def silent(self, leg: Leg) -> None:
        """A leg was silent before it talked: that counts from now."""
        self._since[leg] = self._clock.now()
        self._wait(leg, self._since[leg])

    def renegotiated(self) -> None:
        """A leg was offered something, or offered."""
        for leg in tuple(self._timers):
            self._cancel(leg)
            self._wait(leg, self._clock.now())

    def forget(self, leg: Leg) -> None:
        """Another leg takes its place."""
        self._since.pop(leg, None)
        self._cancel(leg)

    def stop(self) -> None:
        """They talk no more."""
        for leg in tuple(self._timers):
            self._cancel(leg)

    def _wait(self, leg: Leg, since: float) -> None:
        left_s = max(0.0, since + self._timeout_s - self._clock.now())
        self._timers[leg] = self._clock.call_later(left_s, self._over, leg)

    def _cancel(self, leg: Leg) -> None:
        timer = self._timers.pop(leg, None)
        if timer is not None:
            timer.cancel()

    def _over(self, leg: Leg) -> None:
        del self._timers[leg]
        if not _may_send(leg):  # the media plane tells again once it may
            return
        self.stop()
        self._on_timeout(leg, self._clock.now() - self._since[leg])


def _may_send(leg: Leg) -> bool:
    sdp = leg.remote_sdp
    try:
        return sdp is not None and sends(sdp)
    except ParseError:
        return False
