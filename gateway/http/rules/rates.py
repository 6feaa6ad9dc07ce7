"""How often somebody may ask: so many a second, and some at once after a pause."""

from collections.abc import Callable
from typing import Final

#: Who is remembered; those that are quiet cost nothing and are forgotten first.
MAX_KEYS: Final = 10_000


class Rates:
    """Counts by key (the generic cell rate algorithm)."""

    def __init__(self, burst_s: float, now: Callable[[], float]) -> None:
        """After a pause, what `burst_s` seconds allow may come at once. `now` is monotonic, in
        seconds."""
        self._burst_s = burst_s
        self._now = now
        #: when a key's allowance will be whole again
        self._whole_at: dict[str, float] = {}

    def charge(self, key: str, interval_s: float) -> float:
        """Count one of `key`, which may have one in each `interval_s`. How many seconds it is too
        early, zero or less where it is not."""
        now = self._now()
        whole_at = max(self._whole_at.get(key, now), now) + interval_s
        self._whole_at[key] = whole_at
        if len(self._whole_at) > MAX_KEYS:
            self._whole_at = {one: at for one, at in self._whole_at.items() if at > now}
            if len(self._whole_at) > MAX_KEYS:
                self._whole_at.clear()
        return whole_at - now - self._burst_s

    def refund(self, key: str, interval_s: float) -> None:
        """That one is not to be counted."""
        if key in self._whole_at:
            self._whole_at[key] -= interval_s
