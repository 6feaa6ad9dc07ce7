"""Fills what a party would hear nothing of: RTP keeps flowing towards whoever may receive it.

Speakers fall silent for good reasons: voice activity detection, an agent that thinks, a phone that
is not picked up yet. Many peers take that for a dead call, and hang up after some seconds. So a
party that was sent nothing for 200 ms gets silence, or hold music, until its other side is
heard again.

No party has a timer. One timer of 20 ms looks at a fifth of all parties each time, and sends a
packet to each that hears a filling now.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from sip.media.relay.outlet import Outlet
from sip.media.relay.timers import Timer, Timers

#: Seconds of nothing after which a party is sent something.
GAP_S: Final = 0.2

#: Seconds between two turns of the timer: a packet's length.
TURN_S: Final = 0.02

#: Each turn looks at one of so many shares of the parties: a gap is seen within 100 ms.
_SHARES: Final = 5

#: A loop that was held up goes on from now: what was not heard is over.
_MAX_LATE_S: Final = 0.04


class Frame(NamedTuple):
    """A packet's payload type and payload, and the ticks of its clock for which it lasts."""

    payload_type: int
    payload: bytes
    ticks: int


#: The next 20 ms of what fills a gap.
Filling = Callable[[], Frame]


class Gap:
    """The gaps of one party.

    `filling` makes what fills one that begins; None where the party's codec has no way to say it.
    """

    __slots__ = ("_filling", "_frames", "_outlet", "_said_at", "since")

    def __init__(self, outlet: Outlet, filling: Callable[[], Filling | None]) -> None:
        self._outlet = outlet
        self._filling = filling
        #: From when on it may hear something; None while it may not.
        self.since: float | None = None
        self._frames: Filling | None = None
        self._said_at: float | None = None

    def opens(self, now: float) -> bool:
        """Whether a gap has begun, and is to be filled from now on."""
        if self.since is None or now - self.since < GAP_S or self._outlet.withheld:
            return False
        spoken_at = self._outlet.spoken_at
        if spoken_at is not None and now - spoken_at < GAP_S:
            return False
        self._frames = self._filling()
        self._said_at = None
        return self._frames is not None

    def fill(self, now: float) -> bool:
        """Sends the next frame; false once the gap is over."""
        if self._frames is None or self._is_over():
            self._frames = None
            return False
        self._outlet.speak(*self._frames(), now)
        self._said_at = now
        return True

    def close(self) -> None:
        """The party is gone. Whoever makes fillings is let go of."""
        self._filling = _nothing
        self._frames = None

    def _is_over(self) -> bool:
        """Whether another than we spoke since the last frame, or is about to."""
        outlet = self._outlet
        if self.since is None or outlet.withheld:
            return True
        return self._said_at is not None and (
            outlet.spoken_at != self._said_at or not outlet.own_voice
        )

    def refill(self) -> None:
        """What it hears is to be another thing, or in another codec, from now on."""
        if self._frames is not None:
            self._frames = self._filling()


def _nothing() -> None:
    """What a party hears that is gone."""


class Gaps:
    """Those of all parties."""

    def __init__(self, timers: Timers) -> None:
        self._timers = timers
        self._timer: Timer | None = None
        self._shares: tuple[dict[Gap, None], ...] = tuple({} for _ in range(_SHARES))
        self._watched: dict[Gap, int] = {}
        self._filling: dict[Gap, None] = {}
        self._turn = self._next_share = 0
        self._due = 0.0

    @property
    def filling(self) -> int:
        """How many parties hear a filling now."""
        return len(self._filling)

    def watch(self, gap: Gap, now: float) -> None:
        """A party may hear something from now on; without effect if that is known."""
        if gap.since is not None:
            return
        gap.since = now
        share = self._next_share = (self._next_share + 1) % _SHARES
        self._shares[share][gap] = None
        self._watched[gap] = share
        if self._timer is None:
            self._due = now
            self._again(now)

    def forget(self, gap: Gap) -> None:
        """It may not any more, or is gone; without effect if that is known."""
        if gap.since is None:
            return
        gap.since = None
        del self._shares[self._watched.pop(gap)][gap]
        self._filling.pop(gap, None)
        if not self._watched and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _again(self, now: float) -> None:
        self._due = max(self._due + TURN_S, now - _MAX_LATE_S)
        self._timer = self._timers.at(self._due, self._take_turn)

    def _take_turn(self, now: float) -> None:
        self._turn = (self._turn + 1) % _SHARES
        over = [gap for gap in self._filling if not gap.fill(now)]
        for gap in over:
            del self._filling[gap]
        for gap in self._shares[self._turn]:
            if gap not in self._filling and gap.opens(now) and gap.fill(now):
                self._filling[gap] = None
        self._again(now)
