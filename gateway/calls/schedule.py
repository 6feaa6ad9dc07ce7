"""Whether somebody is there: a schedule's hours and holidays, by the clock of its own place."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from config.schedule_settings import Hours, ScheduleSettings


def open_at(schedule: ScheduleSettings, now: datetime) -> bool:
    """Whether the schedule is open; `now` has a time zone.

    The clock on the wall decides: an hour that a change to summer time leaves out is never open,
    one that comes twice is open both times.
    """
    there = now.astimezone(ZoneInfo(schedule.time_zone))
    today, clock = there.date(), there.time()
    if any(clock in hours for hours in _hours_of(schedule, today)):
        return True
    yesterday = today - timedelta(days=1)
    return any(hours.goes_on_at(clock) for hours in _hours_of(schedule, yesterday))


def _hours_of(schedule: ScheduleSettings, day: date) -> tuple[Hours, ...]:
    """The hours that begin on that day."""
    if any(holiday.falls_on(day) for holiday in schedule.holidays):
        return ()
    weekday = day.weekday()
    return next((hours for days, hours in schedule.hours.items() if weekday in days.days), ())
