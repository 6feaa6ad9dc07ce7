"""By how much a sender's clock is fast or slow, from its timestamps and their arrivals."""

from __future__ import annotations

from typing import Final

#: Shortest time over which a drift is told, in seconds: below it, jitter is all there is.
MIN_SPAN_S: Final = 10.0

#: A step of more than this between timestamps and arrivals, in seconds, is no drift: the sender
#: began anew, or skipped.
MAX_STEP_S: Final = 0.2


class ClockDrift:
    """The slope of the line through samples (least squares), kept as running means."""

    __slots__ = ("_arrival", "_count", "_covariance", "_first", "_last", "_lead", "_ppm", "_span",
                 "_spread", "_start")  # fmt: skip

    def __init__(self) -> None:
        #: Of the last run of samples that was long enough.
        self._ppm: float | None = None
        self._clear()

    def _clear(self) -> None:
        self._count = 0
        #: The first sample: its lead over its arrival, and the arrival; all else is relative.
        self._first = self._start = 0.0
        #: The last one.
        self._span = self._last = 0.0
        #: Means, and the sums of squares and products around them.
        self._arrival = self._lead = 0.0
        self._spread = self._covariance = 0.0

    def restart(self) -> None:
        """The timestamps that follow do not go on from those of before."""
        self._ppm = self.ppm
        self._clear()

    def sample(self, media_s: float, arrival_s: float) -> None:
        """A packet whose timestamp is `media_s` seconds, by the sender's clock, and its arrival."""
        lead = media_s - arrival_s - self._first
        if self._count and abs(lead - self._last) > MAX_STEP_S:
            self.restart()
            lead = media_s - arrival_s
        if not self._count:
            self._first, self._start, lead = lead, arrival_s, 0.0
        self._last = lead
        self._span = arrival_s - self._start
        self._count += 1
        distance = self._span - self._arrival
        self._arrival += distance / self._count
        self._lead += (lead - self._lead) / self._count
        self._spread += distance * (self._span - self._arrival)
        self._covariance += distance * (lead - self._lead)

    @property
    def ppm(self) -> float | None:
        """Parts per million by which the sender's clock is fast; None if it is not known yet."""
        if self._span < MIN_SPAN_S or self._spread <= 0.0:
            return self._ppm
        return 1e6 * self._covariance / self._spread
