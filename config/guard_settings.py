"""Which numbers may be called at all: `outbound.guard`, under every leg that leaves."""

from typing import Literal

from config.schedule_settings import TimeZone
from config.texts import Country, Name, Prefix
from config.values import Model, Positive

#: Kinds of numbers that cost, or earn somebody, more than others.
Kind = Literal["premium", "shared-cost", "satellite", "revenue-share"]


class CapSettings(Model):
    """No more than `calls_per_day` in a day, and `calls` at the same time."""

    calls_per_day: Positive | None = None
    calls: Positive | None = None


class CapsSettings(Model):
    """Of all calls that leave, of those on each trunk, of those to each number."""

    all: CapSettings = CapSettings()
    trunk: CapSettings = CapSettings()
    number: CapSettings = CapSettings()


class EmergencySettings(Model):
    """The one trunk that emergency numbers may be called on."""

    trunk: Name


class GuardSettings(Model):
    """`countries` are those that may be called; not set, a transfer to a number that an agent names
    stays in the countries of our own numbers, and all else is open. The longest prefix of `allow`
    and `deny` that fits a number decides before countries and `block`, the kinds that are refused.
    A day of `caps` begins at midnight of `time_zone`. `emergency` not set: they are refused."""

    countries: tuple[Country, ...] | None = None
    allow: tuple[Prefix, ...] = ()
    deny: tuple[Prefix, ...] = ()
    block: tuple[Kind, ...] = ("premium", "shared-cost", "satellite", "revenue-share")
    emergency: EmergencySettings | None = None
    caps: CapsSettings = CapsSettings()
    time_zone: TimeZone = "UTC"
