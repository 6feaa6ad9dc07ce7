"""Connections of those whom nobody knows yet: counted, and complained of once."""

import resource
from collections import Counter, OrderedDict

from sip.transport.stream_limits import StreamLimits

#: Seconds until the same complaint about the same source is worth a line again.
REPEAT_S = 3600.0
MAX_REMEMBERED = 4096


class Census:
    """How many connections strangers hold, by address."""

    def __init__(self, limits: StreamLimits) -> None:
        may_open, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        half = max(1, may_open // 2) if may_open > 0 else limits.together
        self._most = min(limits.together, half)
        self._per_source = limits.per_source
        self._by_host: Counter[str] = Counter()
        self._together = 0

    def enter(self, host: str) -> bool:
        """One more from `host`; False where that would be too many, and then it does not count."""
        if self._together >= self._most:
            return False
        if self._by_host[host] >= self._per_source:
            return False
        self._by_host[host] += 1
        self._together += 1
        return True

    def leave(self, host: str) -> None:
        """One that was counted is gone, or no stranger any more."""
        self._together -= 1
        self._by_host[host] -= 1
        if self._by_host[host] <= 0:
            del self._by_host[host]


class Complaints:
    """Says whether a complaint is new: one line in so long is enough, however often it happens."""

    def __init__(self, repeat_s: float = REPEAT_S) -> None:
        self._repeat_s = repeat_s
        self._told: OrderedDict[tuple[str, str], float] = OrderedDict()

    def is_new(self, about: str, kind: str, now: float) -> bool:
        """Whether this was not said of `about` of late; it is from now on."""
        told = self._told.get((about, kind))
        if told is not None and now - told < self._repeat_s:
            return False
        self._told[about, kind] = now
        self._told.move_to_end((about, kind))
        if len(self._told) > MAX_REMEMBERED:
            self._told.popitem(last=False)
        return True

    def withdraw(self, about: str) -> None:
        """It works: the next failure is news again."""
        for key in [key for key in self._told if key[0] == about]:
            del self._told[key]
