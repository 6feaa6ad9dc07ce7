"""Business hours: an entry of `schedules`, and the short texts that it is written in."""

import re
from dataclasses import dataclass
from datetime import date, time
from typing import Annotated, Any, Final, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BeforeValidator, model_validator

from config.problems import did_you_mean
from config.values import Model, text_of

#: In the order of `date.weekday`.
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_CLOCK: Final = re.compile(r"(\d\d):(\d\d)")
_DATE: Final = re.compile(r"(?:(\d{4})-)?(\d\d)-(\d\d)")
#: A leap year: where every day of a month and day is one.
_LEAP: Final = 2000
_DAY_MINUTES: Final = 24 * 60


@dataclass(frozen=True, slots=True)
class Days:
    """`mon-fri`, `sat`, `fri-mon`, or several of these with commas between: days of the week."""

    days: tuple[int, ...]

    @classmethod
    def parse(cls, value: Any) -> Self:
        if isinstance(value, cls):
            return value
        found: list[int] = []
        for part in text_of(value).lower().split(","):
            first, dash, last = part.strip().partition("-")
            begin, end = _day(first, part), _day(last if dash else first, part)
            found += [(begin + step) % 7 for step in range((end - begin) % 7 + 1)]
        return cls(tuple(sorted(set(found))))

    def __str__(self) -> str:
        return ",".join(DAYS[day] for day in self.days)


def _day(word: str, part: str) -> int:
    if word.strip() not in DAYS:
        raise ValueError(f"{part.strip()!r} names no days: mon, mon-fri, or sat,sun")
    return DAYS.index(word.strip())


@dataclass(frozen=True, slots=True)
class Hours:
    """`HH:MM-HH:MM` by the clock on the wall, the end not included: minutes of the day.

    An end at or before the begin is one of the next day; `24:00` is the end of the day.
    """

    begin: int
    end: int

    @classmethod
    def parse(cls, value: Any) -> Self:
        if isinstance(value, cls):
            return value
        text = text_of(value)
        first, dash, last = text.partition("-")
        begin, end = _minutes(first.strip()), _minutes(last.strip())
        if not dash or begin is None or end is None or begin == _DAY_MINUTES:
            raise ValueError(f"{text!r} is not of the form HH:MM-HH:MM")
        if begin == end:
            raise ValueError(f"{text!r} is no time at all; a whole day is 00:00-24:00")
        return cls(begin, end)

    def __contains__(self, moment: time) -> bool:
        """Whether the clock shows a time of it on the day that it begins."""
        minute = moment.hour * 60 + moment.minute
        return self.begin <= minute and (minute < self.end or self.over_midnight)

    @property
    def over_midnight(self) -> bool:
        """Whether it ends on the next day."""
        return self.end < self.begin

    def goes_on_at(self, moment: time) -> bool:
        """Whether the clock shows a time of it on the day after."""
        return self.over_midnight and moment.hour * 60 + moment.minute < self.end


def _minutes(text: str) -> int | None:
    match = _CLOCK.fullmatch(text)
    if match is None:
        return None
    hour, minute = int(match[1]), int(match[2])
    return hour * 60 + minute if minute < 60 and hour * 60 + minute <= _DAY_MINUTES else None


@dataclass(frozen=True, slots=True)
class Holiday:
    """`YYYY-MM-DD`, or `MM-DD` of every year."""

    month: int
    day: int
    year: int | None = None

    @classmethod
    def parse(cls, value: Any) -> Self:
        if isinstance(value, cls):
            return value
        text = text_of(value)
        match = _DATE.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not a day such as 2026-12-25, or 12-25 of every year")
        year = int(match[1]) if match[1] else None
        try:
            date(year or _LEAP, int(match[2]), int(match[3]))
        except ValueError:
            raise ValueError(f"{text!r} is no day of the calendar") from None
        return cls(int(match[2]), int(match[3]), year)

    def falls_on(self, day: date) -> bool:
        """Whether that is the day."""
        same = (self.month, self.day) == (day.month, day.day)
        return same and self.year in (None, day.year)


def _time_zone(value: Any) -> str:
    """A name of the IANA database."""
    text = text_of(value)
    try:
        ZoneInfo(text)
    except (KeyError, OSError, ValueError):  # not there, a folder, no name
        near = did_you_mean(text, available_timezones())
        raise ValueError(f"{text!r} is not a time zone such as Europe/Berlin{near}") from None
    return text


WeekDays = Annotated[Days, BeforeValidator(Days.parse)]
Span = Annotated[Hours, BeforeValidator(Hours.parse)]
FreeDay = Annotated[Holiday, BeforeValidator(Holiday.parse)]
TimeZone = Annotated[str, BeforeValidator(_time_zone)]


class ScheduleSettings(Model):
    """When somebody is there: `hours` by days of the week, in `time_zone`; never on `holidays`.

    What begins before midnight goes on after it, whatever the next day is.
    """

    time_zone: TimeZone
    hours: dict[WeekDays, tuple[Span, ...]]
    holidays: tuple[FreeDay, ...] = ()

    @model_validator(mode="after")
    def _each_day_once(self) -> Self:
        seen: set[int] = set()
        for days in self.hours:
            twice = next((day for day in days.days if day in seen), None)
            if twice is not None:
                raise ValueError(f"hours names {DAYS[twice]} twice")
            seen |= set(days.days)
        return self
