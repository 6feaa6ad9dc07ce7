"""Business hours: the clock of the place, nights, holidays, and the days on which clocks change."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.schedule_settings import DAYS, Hours, ScheduleSettings
from gateway.calls.schedule import open_at

BERLIN = ZoneInfo("Europe/Berlin")


def schedule(
    hours: dict[str, Any], holidays: tuple[str, ...] = (), zone: str = "Europe/Berlin"
) -> ScheduleSettings:
    keys = {"time_zone": zone, "hours": hours, "holidays": holidays}
    return ScheduleSettings.model_validate(keys)


def is_open(plan: ScheduleSettings, wall: str) -> bool:
    """At that time of the schedule's own clock."""
    there = datetime.fromisoformat(wall).replace(tzinfo=ZoneInfo(plan.time_zone))
    return open_at(plan, there.astimezone(UTC))


OFFICE = schedule(
    {"mon-fri": ["09:00-12:00", "13:00-17:30"], "sat": ["22:00-06:00"]},
    ("2026-12-25", "12-24"),
)


@pytest.mark.parametrize(
    ("wall", "there"),
    [
        ("2026-11-30 08:59:59", False),  # a Monday
        ("2026-11-30 09:00", True),
        ("2026-11-30 11:59:59", True),
        ("2026-11-30 12:00", False),
        ("2026-11-30 13:00", True),
        ("2026-11-30 17:30", False),
        ("2026-12-04 10:00", True),
        ("2026-12-05 10:00", False),  # Saturday: the night alone
        ("2026-12-05 22:00", True),
        ("2026-12-06 05:59:59", True),
        ("2026-12-06 06:00", False),
        ("2026-12-06 22:00", False),
        ("2026-12-24 10:00", False),  # every year
        ("2027-12-24 10:00", False),
        ("2026-12-25 10:00", False),  # that year
        ("2028-12-25 10:00", True),
    ],
)
def test_office_hours(wall: str, there: bool) -> None:
    assert is_open(OFFICE, wall) is there


def test_the_clock_is_that_of_the_place() -> None:
    tokyo = schedule({"tue": ["09:00-10:00"]}, zone="Asia/Tokyo")
    assert open_at(tokyo, datetime(2026, 12, 1, 0, 30, tzinfo=UTC))
    assert not open_at(tokyo, datetime(2026, 12, 1, 9, 30, tzinfo=UTC))
    assert open_at(tokyo, datetime(2026, 12, 1, 1, 30, tzinfo=BERLIN))


def test_a_night_goes_on_into_a_holiday_and_none_begins_on_one() -> None:
    nights = schedule({"mon-sun": ["22:00-06:00"]}, ("12-25",))
    assert is_open(nights, "2026-12-25 05:00")
    assert not is_open(nights, "2026-12-25 23:00")
    assert not is_open(nights, "2026-12-26 05:00")
    assert is_open(nights, "2026-12-26 22:00")


def test_whole_days_have_no_gap_at_midnight() -> None:
    always = schedule({"mon-sun": ["00:00-24:00"]})
    assert is_open(always, "2026-11-30 23:59:59")
    assert is_open(always, "2026-12-01 00:00")


def test_a_day_without_hours_is_closed() -> None:
    assert not is_open(schedule({"mon": []}), "2026-11-30 10:00")
    assert not is_open(schedule({}), "2026-11-30 10:00")


def test_an_hour_that_is_left_out_is_never_open() -> None:
    """29 March 2026: 02:00 is 03:00 at once."""
    sunday = schedule({"sun": ["02:00-03:00"]})
    midnight = datetime(2026, 3, 29, tzinfo=BERLIN).astimezone(UTC)
    minutes = (midnight + timedelta(minutes=minute) for minute in range(23 * 60))
    assert not any(open_at(sunday, minute) for minute in minutes)


def test_an_hour_that_comes_twice_is_open_both_times() -> None:
    """25 October 2026: after 02:59 it is 02:00 once more."""
    sunday = schedule({"sun": ["02:00-03:00"]})
    midnight = datetime(2026, 10, 25, tzinfo=BERLIN).astimezone(UTC)
    minutes = (midnight + timedelta(minutes=minute) for minute in range(25 * 60))
    assert sum(open_at(sunday, minute) for minute in minutes) == 120


MINUTE = st.integers(0, 24 * 60 - 1)


def clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


@given(
    begin=MINUTE,
    end=MINUTE,
    day=st.integers(0, 6),
    now=st.integers(0, 4_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"]),
)
def test_hours_of_one_day_are_what_a_calendar_says(
    begin: int, end: int, day: int, now: datetime, zone: str
) -> None:
    """Against the plain reading: the wall shows a time from the begin to the end."""
    if begin == end:
        return
    plan = schedule({DAYS[day]: [f"{clock(begin)}-{clock(end)}"]}, zone=zone)
    wall = now.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    expected = False
    for first in (wall.date(), wall.date() - timedelta(days=1)):
        if first.weekday() == day:
            start = datetime.combine(first, time()) + timedelta(minutes=begin)
            stop = datetime.combine(first, time()) + timedelta(minutes=end)
            stop += timedelta(days=1) if end < begin else timedelta()
            expected |= start <= wall < stop
    assert open_at(plan, now) is expected


@given(st.dates(date(2000, 1, 1), date(2099, 12, 31)), MINUTE)
def test_nothing_begins_on_a_holiday(day: date, minute: int) -> None:
    plan = schedule({"mon-sun": ["00:00-24:00"]}, (day.isoformat(),), zone="UTC")
    assert not is_open(plan, f"{day.isoformat()} {clock(minute)}")


@given(MINUTE, MINUTE)
def test_hours_are_read_as_they_are_written(begin: int, end: int) -> None:
    text = f"{clock(begin)}-{clock(end)}"
    if begin == end:
        with pytest.raises(ValueError, match="no time at all"):
            Hours.parse(text)
    else:
        assert Hours.parse(text) == Hours(begin, end)
