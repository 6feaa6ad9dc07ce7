"""When somebody may be called: a schedule, read by the clocks of where the number may be."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import phonenumbers
from phonenumbers.timezone import time_zones_for_number

from config.schedule_settings import ScheduleSettings
from gateway.calls.schedule import open_at

#: How far ahead an opening is looked for, in days: over any run of holidays.
HORIZON_DAYS: Final = 400
#: Answers that are remembered: a campaign asks the same for each of its numbers.
_REMEMBERED: Final = 4096
_MINUTE_MS: Final = 60_000
_UNKNOWN: Final = "Etc/Unknown"


def zones_of(number: str) -> tuple[str, ...]:
    """The time zones that an E.164 number may be in; none where nobody knows."""
    try:
        zones = time_zones_for_number(phonenumbers.parse(number))
    except phonenumbers.NumberParseException:
        return ()
    return tuple(sorted(zone for zone in zones if zone != _UNKNOWN))


class Windows:
    """The schedules of one configuration. Times are milliseconds since 1970; a schedule's own time
    zone counts where no other is known."""

    def __init__(self, schedules: Mapping[str, ScheduleSettings]) -> None:
        self._schedules = schedules
        self._there: dict[tuple[str, str | None], ScheduleSettings] = {}
        self._openings: dict[tuple[str, tuple[str, ...], int], int | None] = {}

    def __contains__(self, window: str) -> bool:
        return window in self._schedules

    def is_open(self, window: str | None, zones: Sequence[str], at_ms: int) -> bool:
        """Whether it is, in all these zones. A window that is not configured any more never is."""
        if window is None:
            return True
        if window not in self._schedules:
            return False
        moment = _moment(at_ms)
        return all(open_at(there, moment) for there in self._in(window, zones))

    def opening(
        self, window: str | None, zones: Sequence[str], from_ms: int, until_ms: int
    ) -> int | None:
        """The first moment of `from_ms` to `until_ms`, the latter not included, when it is open;
        None where it never is."""
        if from_ms >= until_ms:
            return None
        if self.is_open(window, zones, from_ms):
            return from_ms
        if window is None or window not in self._schedules:
            return None
        key = window, tuple(zones), from_ms // _MINUTE_MS
        if key not in self._openings:
            if len(self._openings) >= _REMEMBERED:
                self._openings.clear()
            self._openings[key] = self._next(window, zones, from_ms)
        found = self._openings[key]
        return found if found is not None and found < until_ms else None

    def _next(self, window: str, zones: Sequence[str], from_ms: int) -> int | None:
        """It opens in all zones when it opens in one of them, if the others are open then."""
        theirs = self._in(window, zones)
        first = _moment(from_ms).date() - timedelta(days=1)
        for ahead in range(HORIZON_DAYS):
            day = first + timedelta(days=ahead)
            moments = sorted({at for there in theirs for at in _begins(there, day)})
            for at_ms in moments:
                if at_ms > from_ms and self.is_open(window, zones, at_ms):
                    return at_ms
        return None

    def _in(self, window: str, zones: Sequence[str]) -> list[ScheduleSettings]:
        """The schedule as it stands on the wall in each of the zones."""
        found = []
        for zone in zones or (None,):
            there = self._there.get((window, zone))
            if there is None:
                schedule = self._schedules[window]
                there = (
                    schedule if zone is None else schedule.model_copy(update={"time_zone": zone})
                )
                self._there[window, zone] = there
            found.append(there)
        return found


def _begins(schedule: ScheduleSettings, day: date) -> Iterator[int]:
    """When hours may begin that the clock there shows on that day, whatever day of the week it is:
    who asks sees whether they do."""
    zone = ZoneInfo(schedule.time_zone)
    for begin in {span.begin for spans in schedule.hours.values() for span in spans}:
        on_wall = datetime.combine(day, time(begin // 60, begin % 60), zone)
        moments = [on_wall.replace(fold=fold).astimezone(UTC) for fold in (0, 1)]
        early, late = min(moments), max(moments)
        yield _ms(early)
        if late != early:  # the hour comes twice, or is left out: then it begins in between
            steps = (late - early) // timedelta(minutes=1)
            yield from (_ms(early + timedelta(minutes=step)) for step in range(1, steps + 1))


def _moment(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
