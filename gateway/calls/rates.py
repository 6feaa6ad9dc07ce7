"""What a call costs, by the rates of the configuration: pure. Amounts are whole millionths of the
currency (*micros*), so that sums are exact."""

from collections.abc import Iterable
from math import ceil
from typing import Final

from config.money_settings import RateSettings
from config.rates_file import Listed
from gateway.value import frozen

MICROS: Final = 1_000_000


@frozen(kw_only=True)
class Rate:
    """What a call costs by it. Amounts are in micros."""

    prefix: str
    per_minute: int
    per_call: int = 0
    first_s: int = 60
    step_s: int = 60

    @property
    def free(self) -> bool:
        """Whether nothing is ever to be paid."""
        return self.per_minute == 0 and self.per_call == 0

    def billed_s(self, talked_s: float) -> int:
        """The seconds that are billed of a call that was answered."""
        beyond = ceil(round(talked_s - self.first_s, 3) / self.step_s)
        return self.first_s + max(0, beyond) * self.step_s

    def cost(self, talked_s: float) -> int:
        """Of a call that was answered and lasted so long, or will last so long."""
        return self.per_call - (-self.billed_s(talked_s) * self.per_minute // 60)

    def lasts_s(self, micros: int) -> int | None:
        """For how many seconds that is enough, whole steps; None: for any time. 0: not for one."""
        if self.cost(0) > micros:
            return 0
        if self.per_minute == 0:
            return None
        billed = (micros - self.per_call) * 60 // self.per_minute
        return self.first_s + (billed - self.first_s) // self.step_s * self.step_s


class Rates:
    """The rates of one configuration, to be looked up by the longest prefix that fits a number: of
    those of its trunk, and only where none of them fits, of those for any trunk."""

    def __init__(
        self, rates: Iterable[RateSettings | Listed], unknown_per_minute: float | None = None
    ) -> None:
        """`unknown_per_minute`, in the currency, is for numbers that no rate fits."""
        self._by_trunk: dict[str | None, dict[str, Rate]] = {}
        for each in rates:
            rate = Rate(
                prefix=each.prefix,
                per_minute=micros(each.per_minute),
                per_call=micros(each.per_call),
                first_s=each.first_s,
                step_s=each.step_s,
            )
            self._by_trunk.setdefault(each.trunk, {}).setdefault(each.prefix, rate)
        self._unknown: Rate | None = None
        if unknown_per_minute is not None:
            self._unknown = Rate(prefix="", per_minute=micros(unknown_per_minute))

    def of(self, number: str, trunk: str) -> Rate | None:
        """The rate of a call to that number by that trunk; None where it is not known."""
        return (
            _longest(self._by_trunk.get(trunk, {}), number)
            or _longest(self._by_trunk.get(None, {}), number)
            or self._unknown
        )

    def any_begins(self, prefix: str, trunk: str) -> bool:
        """Whether some number that begins with `prefix` has a rate by that trunk."""
        if self.of(prefix, trunk) is not None:
            return True
        both = (self._by_trunk.get(trunk, {}), self._by_trunk.get(None, {}))
        return any(one.startswith(prefix) for rates in both for one in rates)


def micros(amount: float) -> int:
    """An amount of the configuration, in micros."""
    return round(amount * MICROS)


def amount(micros_: int) -> float:
    """Micros as an amount of the currency, for people and records."""
    return round(micros_ / MICROS, 6)


def _longest(rates: dict[str, Rate], number: str) -> Rate | None:
    for length in range(len(number), -1, -1):
        rate = rates.get(number[:length])
        if rate is not None:
            return rate
    return None
