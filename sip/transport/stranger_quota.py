"""How many connections strangers may hold: of one address, and together."""

import resource
from collections import Counter

from sip.transport.stream_limits import StreamLimits


class StrangerQuota:
    """Counts the connections that strangers hold, by address."""

    def __init__(self, limits: StreamLimits) -> None:
        may_open, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        half = max(1, may_open // 2) if may_open > 0 else limits.together
        self._most = min(limits.together, half)
        self._per_source = limits.per_source
        self._by_host: Counter[str] = Counter()
        self._together = 0

    def enter(self, host: str) -> bool:
        """Count one more from `host`; False, and not counted, where that would be too many."""
        if self._together >= self._most:
            return False
        if self._by_host[host] >= self._per_source:
            return False
        self._by_host[host] += 1
        self._together += 1
        return True

    def leave(self, host: str) -> None:
        """A connection that was counted is gone, or its peer is a stranger no more."""
        self._together -= 1
        self._by_host[host] -= 1
        if self._by_host[host] <= 0:
            del self._by_host[host]
