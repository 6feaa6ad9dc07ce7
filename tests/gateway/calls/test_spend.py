"""What calls cost on a day and may cost: pure, the time goes in."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from config.settings import Settings
from gateway.calls.rates import micros
from gateway.calls.spend import LEAD_S, Meter, Spend
from gateway.calls.spend_alarms import Alarm
from gateway.storage.spend import Spent
from tests.gateway.conftest import settings_data

US, GERMAN = "+13125550177", "+4930901820"
NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
RATES = [
    {"prefix": "+1", "per_minute": 0.06, "first_s": 30, "step_s": 6},
    {"prefix": "+1", "trunk": "second", "per_minute": 0.6},
    {"prefix": "+49", "per_minute": 0.12},
]


def configured(*, rates: Any = RATES, guard: Any = None, **spend: Any) -> Settings:
    outbound = {"default_country": "US", "rates": rates, "spend": spend, "guard": guard or {}}
    return Settings.model_validate(settings_data(outbound=outbound))


class Books:
    """A Spend, its clock, and what it told."""

    def __init__(self, configuration: Settings, kept: tuple[Spent, ...] = (), **more: Any) -> None:
        self.now = NOON
        self.stored: dict[tuple[date, str, str], Spent] = {}
        self.alarms: list[Alarm] = []
        self.stopped: list[str] = []
        self.spend = Spend(configuration, kept, self.keep, tell=self.alarms.append, **more)

    def keep(self, row: Spent) -> None:
        self.stored[row.day, row.scope, row.key] = row

    def clock(self) -> float:
        return self.now.timestamp()

    def leg(self, number: str = US, trunk: str = "carrier", **more: Any) -> Meter:
        return self.spend.begin(number, trunk, self.now, self.clock, self.stopped.append, **more)

    def answer(self, meter: Meter) -> Meter:
        self.spend.answered(meter, self.clock())
        return meter

    def end(self, meter: Meter) -> None:
        self.spend.end(meter, self.clock())

    def later(self, seconds: float) -> None:
        """Time passes; it is looked at every second, as it is in a running gateway."""
        for _ in range(int(seconds)):
            self.now += timedelta(seconds=1)
            self.spend.look(self.now)
        self.now += timedelta(seconds=seconds % 1)

    def cause(self, number: str = US, trunk: str = "carrier") -> str | None:
        no_way = self.spend.judge(number, trunk, self.now)
        return None if no_way is None else no_way.refusal.cause

    def spent(self, scope: str = "all", key: str = "") -> float:
        rows = self.spend.sums(self.spend.today(self.now))
        found = [row.micros for row in rows if (row.scope, row.key) == (scope, key)]
        return found[0] / 1e6 if found else 0.0


def test_a_leg_reserves_its_shortest_answer_and_then_each_step() -> None:
    books = Books(configured())
    leg = books.leg()
    assert (leg.cost, books.spent()) == (0.03, 0.03)
    books.answer(leg)
    books.later(30 - LEAD_S)
    assert leg.cost == 0.03
    books.later(1)  # the next step is booked before it is billed
    assert leg.cost == 0.036
    books.later(60)
    books.end(leg)
    assert (leg.cost, books.spent(), books.spent("trunk", "carrier")) == (0.09, 0.09, 0.09)
    assert books.spent("country", "US") == books.spent("prefix", "+1") == 0.09


def test_a_leg_that_nobody_answered_costs_nothing() -> None:
    books = Books(configured())
    leg = books.leg()
    books.later(20)
    books.end(leg)
    assert (leg.cost, books.spent()) == (0.0, 0.0)
    [row] = [row for row in books.stored.values() if row.scope == "all"]
    assert (row.micros, row.calls, row.seconds) == (0, 1, 0.0)


def test_without_a_rate_it_is_counted_and_costs_nobody_knows_what() -> None:
    books = Books(configured())
    leg = books.leg("+442079460000")
    assert (leg.cost, books.cause("+442079460000")) == (None, None)
    books.end(leg)
    assert books.stored[NOON.date(), "country", "GB"].calls == 1


def test_the_stop_of_a_day_has_no_room_for_one_more() -> None:
    books = Books(configured(day=0.1))
    legs = [books.answer(books.leg()) for _ in range(3)]
    assert books.cause() == "spend-stop"
    no_way = books.spend.judge(US, "carrier", NOON)
    assert no_way is not None
    assert no_way.refusal.status == 403
    assert "outbound.spend.day" in no_way.words
    for leg in legs:
        books.end(leg)  # each of 30 seconds at least
    assert books.cause() == "spend-stop"


def test_the_stop_of_a_trunk_leaves_the_others() -> None:
    books = Books(configured(trunk={"carrier": 0.05}))
    books.leg()
    assert books.cause() == "spend-stop"
    assert books.cause(trunk="pbx") is None
    assert books.cause("+442079460000", "pbx") is None  # which has no stop, nor needs a rate


def test_a_number_without_a_rate_does_not_leave_under_a_stop() -> None:
    assert Books(configured(day=5)).cause("+442079460000") == "spend-no-rate"
    assert Books(configured(per_call=5)).cause("+442079460000") == "spend-no-rate"
    assert Books(configured(day=5, unknown=0.5)).cause("+442079460000") is None


def test_what_is_free_leaves_whatever_is_spent() -> None:
    rates = [*RATES, {"prefix": "+44", "per_minute": 0}]
    assert Books(configured(rates=rates, day=0)).cause("+442079460000") is None
    assert Books(configured(rates=rates, day=0)).cause() == "spend-stop"


def test_one_call_may_cost_so_much() -> None:
    books = Books(configured(per_call=0.06))
    assert books.spend.time_limit_s(US, "carrier") == 60
    # the first minute of the other one costs ten times as much
    assert books.cause(trunk="second") == "spend-too-dear"
    leg = books.answer(books.leg())
    books.later(57)
    assert books.stopped == []
    books.later(2)
    assert books.stopped == ["it would cost 0.07 USD (outbound.spend.per_call)"]
    books.later(5)  # it is told once, and what it goes on for is booked
    assert len(books.stopped) == 1
    books.end(leg)
    assert leg.cost == 0.066


@pytest.mark.parametrize(("end_calls", "stopped"), [(False, 0), (True, 1)])
def test_calls_that_are_up_end_where_that_is_wanted(end_calls: bool, stopped: int) -> None:
    books = Books(configured(day=0.05, end_calls=end_calls))
    leg = books.answer(books.leg())
    books.later(120)
    assert len(books.stopped) == stopped
    books.end(leg)
    assert books.spent() == 0.12 if not end_calls else books.spent() <= 0.12


def test_two_carriers_of_different_rates() -> None:
    """Failover: what the first had reserved is free again, and the second reserves its own."""
    books = Books(configured())
    first = books.leg()
    books.end(first)
    second = books.answer(books.leg(trunk="second"))
    assert (first.cost, second.cost, books.spent()) == (0.0, 0.6, 0.6)
    books.later(61)
    books.end(second)
    assert (books.spent("trunk", "carrier"), books.spent("trunk", "second")) == (0.0, 1.2)


def test_other_rates_leave_what_was_booked() -> None:
    books = Books(configured(day=1))
    leg = books.answer(books.leg())
    books.spend.configure(configured(rates=[{"per_minute": 9}], day=1))
    books.end(leg)
    assert books.spent() == 0.03
    assert books.cause() == "spend-stop"


def test_what_is_not_limited_goes_on() -> None:
    books = Books(configured(day=0.01, per_call=0.01, end_calls=True))
    leg = books.answer(books.leg(limited=False))
    books.later(300)
    books.end(leg)
    assert (books.stopped, leg.cost, books.spent()) == ([], None, 0.0)


# days


def test_midnight_is_that_of_the_zone_and_a_leg_is_of_the_day_it_was_dialled() -> None:
    books = Books(configured(day=0.06, guard={"time_zone": "America/New_York"}))
    books.now = datetime(2026, 12, 1, 4, 59, 50, tzinfo=UTC)  # ten to midnight
    leg = books.answer(books.leg())
    books.later(100)
    assert books.spend.today(books.now) == date(2026, 12, 1)
    assert (books.spent(), books.cause()) == (0.0, None)
    books.end(leg)
    assert books.stored[date(2026, 11, 30), "all", ""].micros == micros(0.102)
    assert books.spent() == 0.0


def test_a_clock_that_is_set_back_begins_no_day_anew() -> None:
    books = Books(configured(day=0.05))
    books.end(books.answer(books.leg()))
    books.now -= timedelta(days=1)
    assert books.cause() == "spend-stop"
    books.leg()
    assert {day for day, _, _ in books.stored} == {NOON.date()}


def test_a_restart_begins_no_day_anew() -> None:
    before = Books(configured(day=0.1))
    before.end(before.answer(before.leg()))
    before.answer(before.leg())  # killed while it is up: what it had reserved counts as spent
    after = Books(configured(day=0.1), tuple(before.stored.values()))
    assert after.spent() == 0.06
    after.leg()
    assert after.cause() == "spend-stop"


def test_a_call_that_goes_on_after_a_restart_is_not_booked_twice() -> None:
    before = Books(configured())
    old = before.answer(before.leg())
    after = Books(configured(), tuple(before.stored.values()))
    leg = after.answer(after.leg(booked=old.cost))
    assert (after.spent(), after.stored) == (0.03, {})
    after.later(60)
    after.end(leg)
    assert after.spent() == 0.06
    assert after.stored[NOON.date(), "all", ""].calls == 1


# alarms


def test_parts_of_a_stop_are_told_once_a_day() -> None:
    books = Books(configured(day=0.1))
    told = []
    for _ in range(5):  # of three hundredths each
        books.leg()
        told.append([alarm.data["percent"] for alarm in books.alarms])
        books.alarms.clear()
    assert told == [[], [], [80], [100], []]
    again = Books(configured(day=0.1), tuple(books.stored.values()))
    again.spend.look(NOON)
    assert again.alarms == []


def test_the_first_call_to_a_country() -> None:
    books = Books(configured(), countries={"DE"})
    for number in (US, GERMAN, "+442079460000", "+442079460001"):
        books.leg(number)
    assert [(alarm.kind, alarm.about) for alarm in books.alarms] == [("new-country", "GB")]
    off = Books(configured(alarms={"new_country": False}))
    off.leg(GERMAN)
    assert off.alarms == []


def test_a_burst_of_short_calls_at_night() -> None:
    burst = {"calls": 3, "within_s": 60, "shorter_than_s": 10, "hours": "22:00-06:00"}
    books = Books(configured(alarms={"burst": burst}))

    def short_calls(count: int, talked_s: float = 2) -> int:
        books.alarms.clear()
        for _ in range(count):
            leg = books.answer(books.leg())
            books.later(talked_s)
            books.end(leg)
        return len(books.alarms)

    assert short_calls(5) == 0  # at noon
    books.now = datetime(2026, 11, 30, 23, tzinfo=UTC)
    assert short_calls(2, 30) == 0
    assert short_calls(2) == 0
    assert short_calls(1) == 1
    assert short_calls(2) == 0  # told, and counted from there
    books.now = datetime(2026, 12, 1, 5, tzinfo=UTC)
    assert short_calls(2) == 0  # the others were long ago
    assert short_calls(1) == 1


# whatever happens, in whatever order


class Stops(RuleBasedStateMachine):
    """Calls begin, talk, fail over and end at any time under a stop of the day and of one call."""

    DAY, PER_CALL = 1.0, 0.5

    def __init__(self) -> None:
        super().__init__()
        self.books = Books(
            configured(day=self.DAY, per_call=self.PER_CALL, end_calls=True, guard={})
        )
        self.up: list[Meter] = []

    @rule(number=st.sampled_from([US, GERMAN]))
    def dial(self, number: str) -> None:
        if self.books.cause(number) is None:
            self.up.append(self.books.leg(number))

    @precondition(lambda self: self.up)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        leg = data.draw(st.sampled_from(self.up))
        if leg.answered is None:
            self.books.answer(leg)

    @precondition(lambda self: self.up)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        leg = data.draw(st.sampled_from(self.up))
        self.up.remove(leg)
        self.books.end(leg)

    @rule(seconds=st.integers(1, 40))
    def talk(self, seconds: int) -> None:
        """A call that is stopped ends within a second."""
        for _ in range(seconds):
            self.books.later(1)
            for leg in [each for each in self.up if each.stopped]:
                self.up.remove(leg)
                self.books.end(leg)

    @invariant()
    def no_more_than_the_stop_is_booked(self) -> None:
        assert self.books.spent() <= self.DAY + 1e-9
        assert all((leg.cost or 0) <= self.PER_CALL for leg in self.up)

    @invariant()
    def the_sums_are_those_of_the_legs(self) -> None:
        by_trunk = self.books.spent("trunk", "carrier")
        by_prefix = self.books.spent("prefix", "+1") + self.books.spent("prefix", "+49")
        assert self.books.spent() == pytest.approx(by_trunk) == pytest.approx(by_prefix)
        reserved = self.books.spend.reserved(NOON.date()).get(("all", ""), 0)
        assert reserved == sum(leg.booked for leg in self.up)


Stops.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestStops = Stops.TestCase


@given(talks=st.lists(st.integers(1, 300), min_size=1, max_size=8), limit=st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_running_calls_that_go_on_are_all_that_exceeds_a_stop(talks: list[int], limit: int) -> None:
    """Without `end_calls`: whoever left before the stop goes on, and no other leaves after it."""
    books = Books(configured(day=limit / 20))
    up = [books.answer(books.leg()) for _ in talks if books.cause() is None]
    assert books.spent() <= limit / 20
    for leg, talk in zip(up, talks, strict=False):
        books.now = NOON + timedelta(seconds=talk)
        books.end(leg)
    assert books.spent() == pytest.approx(sum(leg.cost or 0 for leg in up))
    assert books.spent() <= limit / 20 or books.cause() == "spend-stop"
