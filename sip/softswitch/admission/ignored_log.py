"""Who got no answer or a second challenge, told once: silence towards strangers must not be silence
to the operator."""

from collections import OrderedDict
from collections.abc import Callable

import structlog

from sip.clock import Clock, Timer
from sip.transport.endpoint import Endpoint

log = structlog.get_logger(__name__)

#: A source is told of after so many seconds, unless it was banned by then: that has its own line.
TELL_AFTER_S = 5.0
#: A source is told of again after so many seconds.
TELL_AGAIN_S = 600.0
#: Sources remembered; scanners have many.
MAX_SOURCES = 1000
#: Lines in any ten minutes: beyond that the counters say enough.
MAX_LINES = 100


class Strangers:
    """Logs the first of each kind of event of each source, and no more than so many in all."""

    def __init__(self, clock: Clock, banned: Callable[[str, float], bool]) -> None:
        self._clock = clock
        self._banned = banned
        self._told: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._waiting: list[tuple[str, Endpoint, str, str]] = []
        self._timer: Timer | None = None

    def note(self, event: str, source: Endpoint, method: str, reason: str) -> None:
        """One line of this event for `source`, unless one was lately, or many of others."""
        now = self._clock.now()
        while self._told and next(iter(self._told.values())) <= now - TELL_AGAIN_S:
            self._told.popitem(last=False)
        key = (event, source.host)
        if key in self._told or len(self._told) >= MAX_SOURCES:
            return
        self._told[key] = now
        if len(self._told) > MAX_LINES:
            return
        self._waiting.append((event, source, method, reason))
        if self._timer is None:
            self._timer = self._clock.call_later(TELL_AFTER_S, self._tell)

    def close(self) -> None:
        """Tell what waits to be told."""
        if self._timer is not None:
            self._timer.cancel()
            self._tell()

    def _tell(self) -> None:
        self._timer = None
        waiting, self._waiting = self._waiting, []
        for event, source, method, reason in waiting:
            if not self._banned(source.host, self._clock.now()):
                log.warning(event, source=str(source), method=method, reason=reason)
