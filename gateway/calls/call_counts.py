"""How many calls left today, and how many are up: in all, on each trunk, to each number."""

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import date, datetime
from zoneinfo import ZoneInfo

from gateway.storage.day_counts import DayCount, Scope


class CallCounts:
    """Counts by the day of a time zone. What is counted anew is told to `keep`, a row a scope, and
    what was kept is given back as `kept`, so that a restart begins no day anew."""

    def __init__(
        self,
        time_zone: str = "UTC",
        kept: Iterable[DayCount] = (),
        keep: Callable[[DayCount], None] | None = None,
    ) -> None:
        self._zone = ZoneInfo(time_zone)
        self._keep = keep
        self._up: Counter[tuple[Scope, str]] = Counter()
        rows = list(kept)
        self._day = max((row.day for row in rows), default=date.min)
        self._today = Counter(
            {(row.scope, row.key): row.calls for row in rows if row.day == self._day}
        )

    def begin(self, trunk: str, number: str, now: datetime) -> None:
        """A call leaves; `now` has a time zone."""
        self._turn(now)
        for scope, key in scopes_of(trunk, number):
            self._up[scope, key] += 1
            self._today[scope, key] += 1
            if self._keep is not None:
                self._keep(DayCount(self._day, scope, key, self._today[scope, key]))

    def resume(self, trunk: str, number: str) -> None:
        """A call that a former run of this program had counted is up."""
        for key in scopes_of(trunk, number):
            self._up[key] += 1

    def end(self, trunk: str, number: str) -> None:
        """A call that had left is over."""
        for key in scopes_of(trunk, number):
            self._up[key] -= 1
            if self._up[key] <= 0:
                del self._up[key]

    def up(self, scope: Scope, key: str) -> int:
        """How many are up."""
        return self._up[scope, key]

    def today(self, scope: Scope, key: str, now: datetime) -> int:
        """How many have begun on the day of `now`."""
        self._turn(now)
        return self._today[scope, key]

    def _turn(self, now: datetime) -> None:
        """Midnight. A clock that is set back begins no day anew."""
        day = now.astimezone(self._zone).date()
        if day > self._day:
            self._day = day
            self._today.clear()


def scopes_of(trunk: str, number: str) -> tuple[tuple[Scope, str], ...]:
    """Under what a call is counted."""
    return ("all", ""), ("trunk", trunk), ("number", number)
