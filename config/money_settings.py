"""What calls cost and may cost (`outbound.rates`, `outbound.spend`), and which callers may call us
how often and for how long (`inbound`)."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from config.rates_file import read_rates
from config.schedule_settings import Hours, Span
from config.texts import Name, Prefix, ReadableFile, SoundName
from config.values import Model, Positive, Seconds, text_of

#: How callers are named who withhold their number.
ANONYMOUS = "anonymous"

_CURRENCY = re.compile(r"[A-Z]{3}")
_CALLER = re.compile(r"\+[1-9]\d{0,14}\*?|[0-9A-Za-z._-]{1,32}")


def _currency(value: Any) -> str:
    text = text_of(value)
    if not _CURRENCY.fullmatch(text):
        raise ValueError(f"{text!r} is not a currency of three capital letters such as USD")
    return text


def _caller(value: Any) -> str:
    """A number, the beginning of one and a `*`, an extension, or `anonymous`."""
    text = text_of(value)
    if not _CALLER.fullmatch(text):
        raise ValueError(
            f"{text!r} is neither a caller's number such as +14155550100, nor the beginning of one"
            f" and a *, nor {ANONYMOUS}"
        )
    return text


def _has_rates(file: Any) -> Any:
    read_rates(file)
    return file


#: In the currency of `outbound.spend`.
Money = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]
Percent = Annotated[int, Field(gt=0, le=1000)]
Currency = Annotated[str, BeforeValidator(_currency)]
CallerPattern = Annotated[str, BeforeValidator(_caller)]
RatesFile = Annotated[ReadableFile, AfterValidator(_has_rates)]


class RateSettings(Model):
    """What a call to a number that begins with `prefix` costs, by `trunk` or by any: `per_call`
    when it is answered, and `per_minute` for what is billed: `first_s` seconds at least, and then
    every `step_s` that has begun."""

    prefix: Prefix = ""
    trunk: Name | None = None
    per_minute: Money
    per_call: Money = 0
    first_s: Positive = 60
    step_s: Positive = 60


class BurstSettings(Model):
    """So many `calls` `within_s` that were answered and over in less than `shorter_than_s`, in the
    `hours` of the guard's time zone: that is how stolen lines are used."""

    calls: Positive = 30
    within_s: Seconds = 600
    shorter_than_s: Seconds = 20
    hours: Span = Hours.parse("20:00-06:00")


class AlarmSettings(Model):
    """What is told: parts of a stop that are reached, the first call to a country that is none of
    our own, bursts of short calls."""

    percent: tuple[Percent, ...] = (80, 100)
    new_country: bool = True
    burst: BurstSettings = BurstSettings()


class SpendSettings(Model):
    """How much may be spent in a `day`, on a `trunk` in a day, and for one call. What has no rate
    is refused where anything stops it, or costs `unknown` a minute. `end_calls`: whether running
    calls end, too, when a day's stop is reached; one that costs `per_call` always does."""

    currency: Currency = "USD"
    day: Money | None = None
    trunk: dict[Name, Money] = Field(default={})
    per_call: Money | None = None
    unknown: Literal["refuse"] | Money = "refuse"
    end_calls: bool = False
    alarms: AlarmSettings = AlarmSettings()

    @property
    def stops(self) -> bool:
        """Whether anything does."""
        return self.day is not None or self.per_call is not None or bool(self.trunk)


class CallCapSettings(Model):
    """How many `calls` may be up, and come in an hour or a day."""

    calls: Positive | None = None
    calls_per_hour: Positive | None = None
    calls_per_day: Positive | None = None


class InboundSettings(Model):
    """Who is refused (`block`), how many calls each caller and each number may have, and how long
    one may last: then it hears `announcement` and ends."""

    block: tuple[CallerPattern, ...] = ()
    caller: CallCapSettings = CallCapSettings()
    number: CallCapSettings = CallCapSettings()
    max_duration_s: Seconds | None = None
    announcement: SoundName | None = None


class NumberInboundSettings(Model):
    """Of one number, in place of what `inbound` says."""

    block: tuple[CallerPattern, ...] | None = None
    caller: CallCapSettings | None = None
    number: CallCapSettings | None = None
    max_duration_s: Seconds | None = None
    announcement: SoundName | None = None
