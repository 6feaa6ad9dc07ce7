"""What an operator is told about money: pure."""

from collections import deque
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Final, Literal, TypeAlias
from zoneinfo import ZoneInfo

from config.money_settings import AlarmSettings
from gateway.value import frozen

AlarmKind: TypeAlias = Literal["spend-threshold", "new-country", "short-calls"]

#: What the callback of each kind is called.
EVENTS: Final[Mapping[AlarmKind, str]] = {
    "spend-threshold": "spend.threshold",
    "new-country": "spend.new-country",
    "short-calls": "spend.short-calls",
}


@frozen(kw_only=True)
class Alarm:
    """One thing told: `about` is a trunk, a country, or empty; `words` are for people, and `data`
    is what a program reads."""

    kind: AlarmKind
    about: str
    words: str
    data: Mapping[str, Any]


class SpendAlarms:
    """Tells each thing once: a part of a stop once a day, a country once for ever."""

    def __init__(self, settings: AlarmSettings, currency: str) -> None:
        self._told: set[tuple[date, str, str, int]] = set()
        self._short: deque[float] = deque()
        self.configure(settings, currency)

    def configure(self, settings: AlarmSettings, currency: str) -> None:
        """Go on by other settings; what was told is not told again."""
        self._settings = settings
        self._currency = currency

    def reached(
        self, day: date, scope: str, key: str, spent: float, limit: float, *, quietly: bool = False
    ) -> list[Alarm]:
        """So much of a stop's `limit` is spent; `quietly`: a former run has told of it."""
        found = []
        for percent in sorted(self._settings.percent):
            name = (day, scope, key, percent)
            if name in self._told or spent < limit * percent / 100 or not spent:
                continue
            self._told.add(name)
            of = f" on trunk {key}" if key else ""
            words = (
                f"{spent:.2f} of {limit:.2f} {self._currency} are spent{of} on {day}, which is"
                f" {percent} % or more"
            )
            data = {
                "day": day.isoformat(),
                "trunk": key or None,
                "percent": percent,
                "spent": spent,
                "limit": limit,
                "currency": self._currency,
            }
            found.append(Alarm(kind="spend-threshold", about=key, words=words, data=data))
        return [] if quietly else found[-1:]

    def new_country(self, country: str, number: str, trunk: str) -> list[Alarm]:
        """The first call there leaves."""
        if not self._settings.new_country:
            return []
        words = f"the first call to {country or 'no country'} leaves on trunk {trunk}: {number}"
        data = {"country": country or None, "number": number, "trunk": trunk}
        return [Alarm(kind="new-country", about=country, words=words, data=data)]

    def ended(self, at: float, talked_s: float, zone: ZoneInfo) -> list[Alarm]:
        """A call that was answered is over, `at` seconds since 1970."""
        burst = self._settings.burst
        moment = datetime.fromtimestamp(at, zone).time()
        there = moment in burst.hours or burst.hours.goes_on_at(moment)
        if talked_s >= burst.shorter_than_s or not there:
            return []
        self._short.append(at)
        while self._short[0] < at - burst.within_s:
            self._short.popleft()
        if len(self._short) < burst.calls:
            return []
        calls = len(self._short)
        self._short.clear()
        words = (
            f"{calls} calls of less than {burst.shorter_than_s:g} s were made within"
            f" {burst.within_s:g} s: that is how stolen lines are used"
        )
        data = {"calls": calls, "within_s": burst.within_s, "shorter_than_s": burst.shorter_than_s}
        return [Alarm(kind="short-calls", about="", words=words, data=data)]
