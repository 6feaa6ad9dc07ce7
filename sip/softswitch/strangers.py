"""Who got no answer, told once: silence towards strangers must not be silence to the operator."""

from collections import OrderedDict

import structlog

from sip.transport.endpoint import Endpoint

log = structlog.get_logger(__name__)

#: A source is told of again after so many seconds.
TELL_AGAIN_S = 600.0
#: Sources remembered; scanners have many.
MAX_SOURCES = 1000
#: Lines in any ten minutes: beyond that the counters say enough.
MAX_LINES = 100


class Strangers:
    """Logs the first request of each source that nothing explains."""

    def __init__(self) -> None:
        self._told: OrderedDict[str, float] = OrderedDict()

    def note(self, source: Endpoint, method: str, now: float, reason: str) -> None:
        """One line for `source`, unless there was one lately, or there were many of others."""
        while self._told and next(iter(self._told.values())) <= now - TELL_AGAIN_S:
            self._told.popitem(last=False)
        if source.host in self._told or len(self._told) >= MAX_SOURCES:
            return
        self._told[source.host] = now
        if len(self._told) <= MAX_LINES:
            log.warning("request ignored", source=str(source), method=method, reason=reason)
