"""One line about each source that got no answer or a second challenge: strangers hear
nothing, the operator does."""

from collections import OrderedDict
from collections.abc import Callable

import structlog

from sip.clock import Clock, Timer
from sip.transport.endpoint import Endpoint

log = structlog.get_logger(__name__)

#: Seconds until the line of a source, which is left out if it is banned by then: a ban has its own.
LOG_AFTER_S = 5.0
#: Seconds until the next line of the same source.
LOG_AGAIN_S = 600.0
#: Sources remembered; scanners have many.
MAX_SOURCES = 1000
#: Lines in any ten minutes: beyond that the counters say enough.
MAX_LINES = 100


class IgnoredLog:
    """Logs the first event of each kind and source, 100 lines in ten minutes at most."""

    def __init__(self, clock: Clock, banned: Callable[[str, float], bool]) -> None:
        self._clock = clock
        self._banned = banned
        self._logged: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._waiting: list[tuple[str, Endpoint, str, str, str]] = []
        self._timer: Timer | None = None

    def note(self, event: str, source: Endpoint, method: str, reason: str, fix: str = "") -> None:
        """One line of this event for `source`, unless one was lately, or many of others. `fix` is
        the sentence that mends it, if that is known."""
        now = self._clock.now()
        while self._logged and next(iter(self._logged.values())) <= now - LOG_AGAIN_S:
            self._logged.popitem(last=False)
        key = (event, source.host)
        if key in self._logged or len(self._logged) >= MAX_SOURCES:
            return
        self._logged[key] = now
        if len(self._logged) > MAX_LINES:
            return
        self._waiting.append((event, source, method, reason, fix))
        if self._timer is None:
            self._timer = self._clock.call_later(LOG_AFTER_S, self._flush)

    def close(self) -> None:
        """Log at once what waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._flush()

    def _flush(self) -> None:
        self._timer = None
        waiting, self._waiting = self._waiting, []
        for event, source, method, reason, fix in waiting:
            if not self._banned(source.host, self._clock.now()):
                more = {"fix": fix} if fix else {}
                log.warning(event, source=str(source), method=method, reason=reason, **more)
