"""How fast calls may begin: no second ever has more of them than are allowed."""

from typing import Final

#: By how much the calls are further apart than they would have to be: what the event loop and the
#: network delay shall not bring one more into a second.
_MARGIN: Final = 1.05
#: What is not further away than this, in seconds, is now: no timer is that exact.
SOON_S: Final = 0.0005


class Pace:
    """Calls evenly apart, so that any half-open second has at most `per_second` of them; None for
    any number. Times are seconds of one monotonic clock."""

    def __init__(self, per_second: float | None = None) -> None:
        self._apart_s = 0.0
        self._last = float("-inf")
        self._not_before = float("-inf")
        self.configure(per_second)

    def configure(self, per_second: float | None) -> None:
        """Keep another pace from now on."""
        self._apart_s = 0.0 if per_second is None else _MARGIN / per_second

    def hold_until(self, at: float) -> None:
        """None begins before `at`."""
        self._not_before = max(self._not_before, at)

    def next_at(self) -> float:
        """From when on the next one may begin."""
        return max(self._last + self._apart_s, self._not_before)

    def take(self, now: float) -> None:
        """One begins."""
        self._last = now
