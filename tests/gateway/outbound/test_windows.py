"""When a number may be called: by the clocks of all places where it may be."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.schedule_settings import ScheduleSettings
from gateway.outbound.windows import Windows, zones_of

FAR = 4_000_000_000_000


def windows(hours: dict[str, list[str]], *holidays: str) -> Windows:
    office = {"time_zone": "UTC", "hours": hours, "holidays": holidays}
    return Windows({"office": ScheduleSettings.model_validate(office)})


def ms(text: str, zone: str = "UTC") -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


def opening(found: Windows, zones: list[str], at: str) -> str | None:
    opens = found.opening("office", zones, ms(at), FAR)
    if opens is None:
        return None
    return datetime.fromtimestamp(opens / 1000, UTC).strftime("%Y-%m-%d %H:%M")


def test_a_number_is_where_its_prefix_is() -> None:
    assert zones_of("+12125550123") == ("America/New_York",)
    assert zones_of("+442079460123") == ("Europe/London",)
    assert len(zones_of("+18005550123")) > 10, "a freephone number may be anywhere"
    assert zones_of("+881612345678") == ()


@pytest.mark.parametrize(
    ("zones", "at", "expected"),
    [
        (["America/New_York"], "2026-03-02 12:00", "2026-03-02 14:00"),
        (["America/New_York"], "2026-03-02 15:30", "2026-03-02 15:30"),
        # summer time has begun on Sunday
        (["America/New_York"], "2026-03-06 23:00", "2026-03-09 13:00"),
        (["Europe/London", "America/Los_Angeles"], "2026-03-02 09:30", "2026-03-02 17:00"),
        # the end of one day there is the begin of the next one here
        (["Asia/Tokyo", "America/Los_Angeles"], "2026-03-02 09:30", "2026-03-03 00:00"),
        ([], "2026-03-02 18:00", "2026-03-03 09:00"),
    ],
)
def test_it_opens_when_it_is_open_everywhere(
    zones: list[str], at: str, expected: str | None
) -> None:
    office = windows({"mon-fri": ["09:00-17:30"]})
    assert opening(office, zones, at) == expected


def test_holidays_and_the_end_of_patience() -> None:
    office = windows({"mon-fri": ["09:00-17:30"]}, "2026-12-25", "12-28")
    assert opening(office, ["Europe/Berlin"], "2026-12-24 17:00") == "2026-12-29 08:00"
    assert office.opening("office", [], ms("2026-12-24 18:00"), ms("2026-12-29 09:00")) is None
    assert office.opening("office", [], ms("2026-12-24 18:00"), ms("2026-12-29 09:01")) is not None
    assert opening(windows({}), [], "2026-01-01 00:00") is None


def test_hours_that_a_change_of_the_clock_leaves_out_or_brings_twice() -> None:
    """2026-03-29 02:00 to 03:00 is left out in Berlin, 2026-10-25 02:00 to 03:00 comes twice."""
    night = windows({"sun": ["02:30-04:00"]})
    assert opening(night, ["Europe/Berlin"], "2026-03-29 00:00") == "2026-03-29 01:00"
    autumn = windows({"sun": ["02:30-02:45"]})
    assert opening(autumn, ["Europe/Berlin"], "2026-10-25 00:00") == "2026-10-25 00:30"
    assert opening(autumn, ["Europe/Berlin"], "2026-10-25 00:50") == "2026-10-25 01:30"


def test_a_window_that_is_no_more_is_never_open() -> None:
    office = windows({"mon-fri": ["09:00-17:30"]})
    assert not office.is_open("gone", [], ms("2026-03-02 12:00"))
    assert office.opening("gone", [], ms("2026-03-02 12:00"), FAR) is None
    assert office.is_open(None, [], 0)


@given(
    days=st.integers(0, 365),
    minutes=st.integers(0, 1439),
    zones=st.lists(
        st.sampled_from(
            ["America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"]
        ),
        max_size=3,
        unique=True,
    ),
    spans=st.lists(st.tuples(st.integers(0, 95), st.integers(1, 95)), min_size=1, max_size=2),
)
def test_the_opening_is_the_first_open_minute(
    days: int, minutes: int, zones: list[str], spans: list[tuple[int, int]]
) -> None:
    hours = []
    for begin, length in spans:
        end = (begin + length) % 96
        hours.append(f"{begin // 4:02}:{begin % 4 * 15:02}-{end // 4:02}:{end % 4 * 15:02}")
    office = windows({"mon-wed": hours, "sat,sun": hours[:1]})
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=days, minutes=minutes)
    at_ms = round(at.timestamp() * 1000)
    opens_ms = office.opening("office", zones, at_ms, FAR)
    step_ms = round(timedelta(minutes=15).total_seconds() * 1000)
    first = at_ms + -at_ms % step_ms
    moments = [at_ms, *range(first, at_ms + 5 * 86_400_000, step_ms)]
    found = next((one for one in moments if office.is_open("office", zones, one)), None)
    if found is not None:
        assert opens_ms == found
    elif opens_ms is not None:
        assert opens_ms >= moments[-1]
