"""What calls have cost today and may cost: estimated by the rates, reserved while they are up.

Pure: the time goes in. A leg that is dialled reserves what its shortest answer costs, then a step
before each one that is billed; at its end it is settled, and one that was never answered costs
nothing. It belongs to the day on which it was dialled, as it does on a carrier's bill.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

from config.settings import Settings
from gateway.calls.endings import Fault, Refusal
from gateway.calls.no_way import NoWay
from gateway.calls.number_kinds import country_of
from gateway.calls.rates import Rate, Rates, amount, micros
from gateway.calls.spend_alarms import Alarm, SpendAlarms
from gateway.storage.spend import SpendScope, Spent

#: How long before the next step of a call it is booked, or the call ended: in seconds, more than
#: the time between two looks and a BYE's way.
LEAD_S: Final = 2.5
#: Another carrier would cost as much; and Retell's own word for it is that it was not permitted.
SPEND_STOP: Final = Refusal(403, "Forbidden", "spend-stop", Fault.OPERATOR)
#: One call may never cost as much: waiting is of no use.
TOO_DEAR: Final = Refusal(403, "Forbidden", "spend-too-dear", Fault.OPERATOR)
NO_RATE: Final = Refusal(403, "Forbidden", "spend-no-rate", Fault.OPERATOR)

Key = tuple[SpendScope, str]


@dataclass(slots=True, eq=False)
class Meter:
    """One leg that left. `booked` is what it has cost, in micros, or has reserved; times are
    seconds since 1970."""

    number: str
    trunk: str
    rate: Rate | None
    day: date
    keys: tuple[Key, ...]
    #: the time by the call's own clock
    clock: Callable[[], float]
    #: ends the call that the leg belongs to, with these words
    stop: Callable[[str], None]
    booked: int = 0
    answered: float | None = None
    stopped: bool = False
    over: bool = False

    @property
    def cost(self) -> float | None:
        """In the currency; None where there is no rate."""
        return None if self.rate is None else amount(self.booked)


@dataclass(slots=True)
class _Sum:
    micros: int = 0
    calls: int = 0
    seconds: float = 0.0


class Spend:
    """The sums of the days that legs which are up belong to, and of today. What changes is told to
    `keep`, and what was kept is given back as `kept`, so that a restart begins no day anew."""

    def __init__(
        self,
        settings: Settings,
        kept: Iterable[Spent] = (),
        keep: Callable[[Spent], None] = lambda spent: None,
        *,
        countries: Collection[str] = (),
        tell: Callable[[Alarm], None] = lambda alarm: None,
    ) -> None:
        """`countries` were called before."""
        self._keep = keep
        self._tell = tell
        self._countries = set(countries)
        self._alarms = SpendAlarms(settings.outbound.spend.alarms, settings.outbound.spend.currency)
        self._days: dict[date, dict[Key, _Sum]] = {}
        self._changed: set[tuple[date, Key]] = set()
        self._meters: set[Meter] = set()
        for row in kept:
            held = self._days.setdefault(row.day, {})
            held[row.scope, row.key] = _Sum(row.micros, row.calls, row.seconds)
        self._day = max(self._days, default=date.min)
        self.configure(settings)
        for day, scope, key, limit in self._limited():
            spent = amount(self._spent(day, (scope, key)))
            self._alarms.reached(day, scope, key, spent, amount(limit), quietly=True)

    def configure(self, settings: Settings) -> None:
        """Go on by other rates and stops; what was booked stands, at the rates of then."""
        outbound = settings.outbound
        spend = outbound.spend
        self._zone = ZoneInfo(outbound.guard.time_zone)
        self._currency = spend.currency
        self._end_calls = spend.end_calls
        self._per_call = None if spend.per_call is None else micros(spend.per_call)
        self._limits: dict[Key, int] = {
            ("trunk", name): micros(x) for name, x in spend.trunk.items()
        }
        if spend.day is not None:
            self._limits["all", ""] = micros(spend.day)
        unknown = None if isinstance(spend.unknown, str) else spend.unknown
        self._rates = Rates(outbound.every_rate(), unknown)
        self._homes = {outbound.default_country, *map(country_of, settings.numbers)}
        self._alarms.configure(spend.alarms, spend.currency)

    # -- before a leg leaves ------------------------------------------------------------------

    def judge(self, number: str, trunk: str, now: datetime) -> NoWay | None:
        """Why a leg may not leave for want of money; None if it may."""
        limits = [(key, self._limits[key]) for key in _stops(trunk) if key in self._limits]
        if self._per_call is None and not limits:
            return None
        rate = self._rates.of(number, trunk)
        if rate is None:
            words = f"no outbound.rates says what a call to {number} by trunk {trunk} costs"
            return NoWay(NO_RATE, f"{words} (outbound.spend.unknown can)")
        if rate.free:
            return None
        least = rate.cost(0)
        if self._per_call is not None and least > self._per_call:
            words = f"a call to {number} costs {self._text(least)} at least"
            return NoWay(TOO_DEAR, f"{words}, more than outbound.spend.per_call")
        self._turn(now)
        for key, limit in limits:
            spent = self._spent(self._day, key)
            if spent + least > limit:
                words = (
                    f"today's {self._text(limit)} have no room for a call to {number}:"
                    f" {self._text(spent)} are spent, and it costs {self._text(least)} at least"
                )
                return NoWay(SPEND_STOP, f"{words} ({_name(key)})")
        return None

    def time_limit_s(self, number: str, trunk: str) -> float | None:
        """How long one call may last by `per_call`; None: for ever, or no rate is known."""
        rate = self._rates.of(number, trunk)
        return None if rate is None or self._per_call is None else rate.lasts_s(self._per_call)

    def estimate(self, number: str, trunk: str, talked_s: float) -> float | None:
        """What a call of that length costs; None where there is no rate."""
        rate = self._rates.of(number, trunk)
        return None if rate is None else amount(rate.cost(talked_s))

    # -- legs ---------------------------------------------------------------------------------

    def begin(
        self,
        number: str,
        trunk: str,
        began: datetime,
        clock: Callable[[], float],
        stop: Callable[[str], None],
        *,
        booked: float | None = None,
        limited: bool = True,
    ) -> Meter:
        """A leg leaves. `booked` is what a former run of this program had booked for it; one that
        is not `limited` costs nobody knows what, and no stop ends it."""
        country = country_of(number) or ""
        rate = self._rates.of(number, trunk) if limited else None
        day = began.astimezone(self._zone).date()
        if booked is None:
            self._turn(began)
            day = self._day  # a clock that is set back begins no day anew
        keys: list[Key] = [("all", ""), ("trunk", trunk), ("country", country)]
        if rate is not None:
            keys.append(("prefix", rate.prefix))
        meter = Meter(number, trunk, rate, day, tuple(keys), clock, stop)
        self._meters.add(meter)
        if booked is not None:
            meter.booked = micros(booked)
        else:
            for key in meter.keys:
                self._sum(day, key).calls += 1
            if rate is not None:
                self._book(meter, rate.cost(0))
            self._changed |= {(day, key) for key in meter.keys}
        if country not in self._countries:
            self._countries.add(country)
            if country not in self._homes:
                self._tell_all(self._alarms.new_country(country, number, trunk))
        self._store()
        return meter

    def answered(self, meter: Meter, at: float) -> None:
        """It is billed from now on."""
        meter.answered = at

    def end(self, meter: Meter, at: float) -> None:
        """It is over: settled."""
        if meter.over:
            return
        meter.over, meter.stop = True, _let_go
        self._meters.discard(meter)
        talked_s = 0.0 if meter.answered is None else max(0.0, at - meter.answered)
        for key in meter.keys:
            self._sum(meter.day, key).seconds += talked_s
        self._changed |= {(meter.day, key) for key in meter.keys}
        if meter.rate is not None:
            self._book(meter, 0 if meter.answered is None else meter.rate.cost(talked_s))
        if meter.answered is not None:
            self._tell_all(self._alarms.ended(at, talked_s, self._zone))
        self._store()

    def look(self, now: datetime) -> None:
        """Book the steps that begin soon, and end the calls that may not have them. To be called
        about every second while `busy`."""
        self._turn(now)
        for meter in list(self._meters):
            if meter.answered is not None and meter.rate is not None and not meter.over:
                self._grow(meter, meter.rate, meter.clock() - meter.answered)
        self._store()

    @property
    def busy(self) -> bool:
        """Whether a leg is up."""
        return bool(self._meters)

    def _grow(self, meter: Meter, rate: Rate, talked_s: float) -> None:
        """A call that was told to end and goes on is booked for what it lasted."""
        wanted = rate.cost(talked_s + (0 if meter.stopped else LEAD_S))
        more = wanted - meter.booked
        if more <= 0:
            return
        why = None if meter.stopped else self._no_more(meter, wanted, more)
        if why is None:
            self._book(meter, wanted)
        else:
            meter.stopped = True
            meter.stop(why)

    def _no_more(self, meter: Meter, wanted: int, more: int) -> str | None:
        """Why a call may not go on; None if it may."""
        if self._per_call is not None and wanted > self._per_call:
            return f"it would cost {self._text(wanted)} (outbound.spend.per_call)"
        if not self._end_calls:
            return None
        for key in _stops(meter.trunk):
            limit = self._limits.get(key)
            if limit is not None and self._spent(meter.day, key) + more > limit:
                return f"the day's {self._text(limit)} are spent ({_name(key)})"
        return None

    # -- sums ---------------------------------------------------------------------------------

    def reserved(self, day: date) -> dict[Key, int]:
        """Of the sums of that day, what legs that are up have booked, in micros."""
        found: dict[Key, int] = {}
        for meter in self._meters:
            for key in meter.keys if meter.day == day else ():
                found[key] = found.get(key, 0) + meter.booked
        return found

    def sums(self, day: date) -> list[Spent]:
        """What was booked on a day that is at hand: today, or one of a leg that is up."""
        held = self._days.get(day, {})
        return [
            Spent(day, scope, key, each.micros, each.calls, each.seconds)
            for (scope, key), each in held.items()
        ]

    def today(self, now: datetime) -> date:
        """The day in the time zone of the guard."""
        self._turn(now)
        return self._day

    @property
    def limits(self) -> dict[Key, int]:
        """The stops of a day, in micros."""
        return dict(self._limits)

    def _book(self, meter: Meter, wanted: int) -> None:
        more, meter.booked = wanted - meter.booked, wanted
        for key in meter.keys:
            self._sum(meter.day, key).micros += more
        self._changed |= {(meter.day, key) for key in meter.keys}

    def _store(self) -> None:
        """Tell of what changed, each sum once."""
        for day, (scope, key) in self._changed:
            each = self._sum(day, (scope, key))
            self._keep(Spent(day, scope, key, each.micros, each.calls, each.seconds))
            limit = self._limits.get((scope, key))
            if limit is not None:
                spent = amount(each.micros)
                self._tell_all(self._alarms.reached(day, scope, key, spent, amount(limit)))
        self._changed.clear()

    def _turn(self, now: datetime) -> None:
        """Midnight: days that no leg belongs to are let go of."""
        day = now.astimezone(self._zone).date()
        if day > self._day:
            self._day = day
            needed = {day, *(meter.day for meter in self._meters)}
            self._days = {held: sums for held, sums in self._days.items() if held in needed}

    def _sum(self, day: date, key: Key) -> _Sum:
        return self._days.setdefault(day, {}).setdefault(key, _Sum())

    def _spent(self, day: date, key: Key) -> int:
        each = self._days.get(day, {}).get(key)
        return 0 if each is None else each.micros

    def _limited(self) -> Iterable[tuple[date, SpendScope, str, int]]:
        for (scope, key), limit in self._limits.items():
            yield self._day, scope, key, limit

    def _tell_all(self, alarms: Iterable[Alarm]) -> None:
        for alarm in alarms:
            self._tell(alarm)

    def _text(self, micros_: int) -> str:
        return f"{amount(micros_):.2f} {self._currency}"


def _stops(trunk: str) -> tuple[Key, Key]:
    return ("all", ""), ("trunk", trunk)


def _name(key: Key) -> str:
    return "outbound.spend.day" if key[0] == "all" else f"outbound.spend.trunk.{key[1]}"


def _let_go(_: str) -> None:
    """Default for `stop` of a leg that is over: its call is free."""
