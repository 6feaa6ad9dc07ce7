"""Calls whose engine is gone: each is told so, as soon as another can take it, and in turn.

Each then asks for media anew and tells both of its peers by re-INVITE. Five hundred at once would
be a burst that peers drop and that makes the rest of the gateway wait.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sip.clock import Clock, Timer

#: Seconds between two calls that are told.
EVERY_S: Final = 0.005

#: Seconds for which calls wait for an engine that can take them. Their peers hear nothing
#: meanwhile; after that they are told all the same, find no engine, and end.
WAIT_S: Final = 10.0

#: Seconds between two looks whether one can.
LOOK_S: Final = 0.05


class LostCalls:
    """The sessions that have no engine, in the order in which they lost it."""

    def __init__(
        self, clock: Clock, can_go_on: Callable[[], bool], tell: Callable[[str], None]
    ) -> None:
        """`can_go_on` says whether an engine takes calls, `tell` tells a session of its loss."""
        self._clock = clock
        self._can_go_on = can_go_on
        self._tell = tell
        #: by session: the engine that it was in, and since when it waits
        self._lost: dict[str, tuple[str, float]] = {}
        self._waiting: dict[str, None] = {}
        self._timer: Timer | None = None

    def add(self, session: str, engine: str) -> None:
        """A session was in `engine`, which is gone or has forgotten it."""
        self._lost[session] = engine, self._clock.now()
        self._waiting[session] = None
        if self._timer is None:
            self._timer = self._clock.call_later(0.0, self._next)

    def found(self, session: str) -> str | None:
        """It has an engine again, or is over: the engine that it had lost, if it had."""
        self._waiting.pop(session, None)
        lost = self._lost.pop(session, None)
        return None if lost is None else lost[0]

    def close(self) -> None:
        """Tell no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _next(self) -> None:
        self._timer = None
        session = next(iter(self._waiting), None)
        if session is None:
            return
        _, since = self._lost[session]
        if not self._can_go_on() and self._clock.now() - since < WAIT_S:
            self._timer = self._clock.call_later(LOOK_S, self._next)
            return
        del self._waiting[session]
        self._timer = self._clock.call_later(EVERY_S, self._next)
        self._tell(session)
