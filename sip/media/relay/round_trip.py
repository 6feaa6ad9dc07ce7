"""How long it takes to a party and back, by what it says of our reports (RFC 3550 6.4.1)."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

#: Reports that are remembered: a party speaks of the last one that it had.
MAX_REPORTS: Final = 8

#: A longer one is a mistake of the party's, in seconds.
MAX_ROUND_TRIP_S: Final = 10.0

#: Units of a delay in one second.
UNITS: Final = 65536


class RoundTrip:
    """Times in seconds; the marks are the middle 32 bits of NTP times."""

    __slots__ = ("_count", "_sent", "_sum", "last_s", "max_s")

    def __init__(self) -> None:
        self._sent: OrderedDict[int, float] = OrderedDict()
        self._sum = 0.0
        self._count = 0
        self.last_s: float | None = None
        self.max_s: float | None = None

    @property
    def avg_s(self) -> float | None:
        """Of all that were measured."""
        return self._sum / self._count if self._count else None

    def sent(self, mark: int, now: float) -> None:
        """A report with this NTP time left for the party."""
        self._sent[mark] = now
        if len(self._sent) > MAX_REPORTS:
            self._sent.popitem(last=False)

    def echoed(self, mark: int, delay: int, now: float) -> None:
        """The party had that report, and kept it for `delay` units before it said so."""
        sent_at = self._sent.get(mark)
        if sent_at is None:
            return
        took_s = max(0.0, now - sent_at - delay / UNITS)
        if took_s > MAX_ROUND_TRIP_S:
            return
        self.last_s = took_s
        self.max_s = took_s if self.max_s is None else max(took_s, self.max_s)
        self._sum += took_s
        self._count += 1
