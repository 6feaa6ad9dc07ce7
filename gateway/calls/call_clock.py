"""The time of one call: its record shows moments of the wall clock whose distances are true."""

from collections.abc import Callable


class CallClock:
    """Seconds since 1970, read from the wall clock once, when the call begins; what passes after
    that is counted by a monotonic clock, so that a clock that is set moves nothing."""

    __slots__ = ("_ahead_s", "_clock")

    def __init__(self, now: Callable[[], float], clock: Callable[[], float]) -> None:
        """`now` is seconds since 1970, `clock` monotonic seconds."""
        self._clock = clock
        self._ahead_s = now() - clock()

    def now(self) -> float:
        """Seconds since 1970, as this call counts them."""
        return self._ahead_s + self._clock()
