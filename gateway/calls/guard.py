"""Whether a number may be called at all: the last word before a leg leaves to a carrier.

Pure: from `outbound.guard`, the number, the trunk, who chose them, and what is counted.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime
from enum import StrEnum
from typing import Final

from config.guard_settings import CapSettings
from config.settings import Settings
from config.trunk_settings import TrunkSettings
from gateway.calls.call_counts import CallCounts, scopes_of
from gateway.calls.endings import Fault, Refusal
from gateway.calls.no_way import NoWay
from gateway.calls.number_kinds import (
    LONGEST_SHORT_CODE,
    country_of,
    is_dear_short_code,
    is_emergency,
    kind_as_dialled,
)
from gateway.calls.numbers import e164
from gateway.calls.targets import asked_for, is_extension
from gateway.storage.day_counts import DayCount, Scope


class Chooser(StrEnum):
    """Who chose the number; the less it is the operator, the less is open."""

    OPERATOR = "operator"
    """it stands in the configuration: a fallback, a phone of the directory"""
    RETELL = "retell"
    """a call that Retell's API placed, or its warm transfer"""
    API = "api"
    """a user of our API, or a campaign"""
    AGENT = "agent"
    """an agent or a REFER named it, and a caller may have talked them into it"""


#: Who may call one of our own numbers: an agent tried by another is a call like any.
_TRUSTED: Final = frozenset({Chooser.RETELL, Chooser.API})


def _refused(cause: str, status: int = 403, reason: str = "Forbidden") -> Refusal:
    return Refusal(status, reason, cause, Fault.OPERATOR)


EMERGENCY: Final = _refused("guard-emergency")
OWN_NUMBER: Final = _refused("guard-loop", 482, "Loop Detected")
NO_NUMBER: Final = _refused("guard-no-number", 404, "Not Found")
DENIED: Final = _refused("guard-denied")
KIND: Final = _refused("guard-kind")
COUNTRY: Final = _refused("guard-country")
DAY_FULL: Final = _refused("guard-day-full")
TOO_MANY: Final = _refused("guard-too-many", 503, "Service Unavailable")


class Guard:
    """The rules of one configuration."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._rules = settings.outbound.guard
        country = settings.outbound.default_country
        homes = {country, *map(country_of, settings.numbers)}
        #: the countries of our own numbers
        self._homes = frozenset(home for home in homes if home is not None)

    def counts(
        self, kept: Iterable[DayCount] = (), keep: Callable[[DayCount], None] | None = None
    ) -> CallCounts:
        """Counts by this configuration's day; `kept` and `keep` as those of `CallCounts`."""
        return CallCounts(self._rules.time_zone, kept, keep)

    def judge(
        self,
        to: str,
        trunk: str,
        chooser: Chooser,
        counts: CallCounts,
        now: datetime,
        beside: Iterable[tuple[str, str]] = (),
    ) -> NoWay | None:
        """Why `to`, a number or a URI of one, may not be called on that trunk; None if it may.
        `beside` are the numbers and trunks that are to ring at the same time.

        An extension of a PBX, and an agent of Retell's, always may; an agent has no PBX dial what
        may be a number behind a prefix of the PBX's own.
        """
        if trunk == self._settings.retell.trunk:
            return None
        peer = self._peer(trunk)
        user, number = self._read(to, peer)
        if is_emergency(user, self._countries(peer)):
            barred = self._emergency(user, peer, chooser)
        elif number is not None:
            barred = self._loop(number, peer, chooser) or self._number(user, number, chooser)
        elif peer.kind == "carrier":
            barred = self._short_code(user, peer, chooser)
        elif chooser is Chooser.AGENT and not is_extension(user):
            barred = NoWay(NO_NUMBER, f"{user!r} is neither an extension nor a number in E.164")
        else:
            return None
        return barred or self._full(trunk, number or user, counts, now, beside)

    def counted(self, to: str, trunk: str) -> str | None:
        """What a call is counted under (`CallCounts`): the number in E.164, or a carrier's short
        code; None where it is not counted, being no call to the telephone network."""
        if trunk == self._settings.retell.trunk:
            return None
        peer = self._peer(trunk)
        user, number = self._read(to, peer)
        return user if number is None and peer.kind == "carrier" else number

    def is_emergency(self, to: str, trunk: str) -> bool:
        """Whether `to` reaches an emergency service there: no sum of money counts then."""
        peer = self._peer(trunk)
        return is_emergency(self._read(to, peer)[0], self._countries(peer))

    def _peer(self, trunk: str) -> TrunkSettings:
        return self._settings.trunk(trunk) or TrunkSettings(name=trunk)

    def _read(self, to: str, peer: TrunkSettings) -> tuple[str, str | None]:
        """What is dialled, and the number in E.164 that it is."""
        user = asked_for(to).user
        return user, e164(user, peer.country or self._settings.outbound.default_country)

    def _countries(self, peer: TrunkSettings) -> frozenset[str]:
        return self._homes if peer.country is None else self._homes | {peer.country}

    def _emergency(self, user: str, peer: TrunkSettings, chooser: Chooser) -> NoWay | None:
        """A PBX may have an extension that looks like an emergency number: the operator knows."""
        if chooser is Chooser.OPERATOR and peer.kind == "pbx":
            return None
        allowed = self._rules.emergency
        if allowed is None:
            words = f"{user} is an emergency number, and outbound.guard.emergency names no trunk"
            return NoWay(EMERGENCY, words)
        if allowed.trunk != peer.name:
            words = f"{user} is an emergency number: outbound.guard.emergency.trunk is another one"
            return NoWay(EMERGENCY, words)
        return None

    def _short_code(self, code: str, peer: TrunkSettings, chooser: Chooser) -> NoWay | None:
        """What a carrier is asked for and is no full number: a short code, or nobody knows what."""
        unknown = len(code) > LONGEST_SHORT_CODE and self._rules.countries is not None
        if chooser is Chooser.AGENT or unknown:
            return NoWay(NO_NUMBER, f"{code!r} is no telephone number: write it in E.164")
        if "premium" in self._rules.block and is_dear_short_code(code, self._countries(peer)):
            return NoWay(KIND, f"{code} is a premium short code, which outbound.guard.block names")
        return self._dear(code, None)

    def _loop(self, number: str, peer: TrunkSettings, chooser: Chooser) -> NoWay | None:
        """Retell may try one agent by another; a PBX may have a dialplan of its own for us."""
        trusted = chooser in _TRUSTED or (chooser is Chooser.OPERATOR and peer.kind == "pbx")
        if trusted or number not in self._settings.numbers:
            return None
        words = f"{number} is a number of this gateway (numbers): the call would come back"
        return NoWay(OWN_NUMBER, words)

    def _number(self, user: str, number: str, chooser: Chooser) -> NoWay | None:
        allow, deny = (_longest(self._rules.allow, number), _longest(self._rules.deny, number))
        if deny is not None and (allow is None or len(deny) > len(allow)):
            return NoWay(DENIED, f'{number} begins with "{deny}" of outbound.guard.deny')
        if allow is not None:
            return None
        return self._dear(user, number) or self._elsewhere(number, chooser)

    def _dear(self, user: str, number: str | None) -> NoWay | None:
        kind = kind_as_dialled(user, number)
        if kind not in self._rules.block:
            return None
        words = f"{number or user} is {kind}, which outbound.guard.block names"
        return NoWay(KIND, f"{words}; outbound.guard.allow can let it through")

    def _elsewhere(self, number: str, chooser: Chooser) -> NoWay | None:
        countries = self._rules.countries
        if countries is not None:
            allowed, which = frozenset(countries), "is not in outbound.guard.countries"
        elif chooser is Chooser.AGENT:
            allowed = self._homes
            which = "is none of numbers' own, and outbound.guard.countries names no others"
        else:
            return None
        country = country_of(number)
        if country in allowed:
            return None
        return NoWay(COUNTRY, f"{number} is of {country or 'no country'}, which {which}")

    def _full(
        self,
        trunk: str,
        number: str,
        counts: CallCounts,
        now: datetime,
        beside: Iterable[tuple[str, str]],
    ) -> NoWay | None:
        caps = self._rules.caps
        others = Counter(
            scope
            for to, by in beside
            if (other := self.counted(to, by)) is not None
            for scope in scopes_of(by, other)
        )
        for (scope, key), cap in zip(
            scopes_of(trunk, number), (caps.all, caps.trunk, caps.number), strict=True
        ):
            no_way = _capped(scope, key, cap, counts, now, others[scope, key])
            if no_way is not None:
                return no_way
        return None


def _capped(
    scope: Scope, key: str, cap: CapSettings, counts: CallCounts, now: datetime, others: int
) -> NoWay | None:
    """Whether a cap is reached; `others` are about to be counted, too."""
    name = f"outbound.guard.caps.{scope}"
    of = f" of {key}" if key else ""
    if cap.calls_per_day is not None and (
        counts.today(scope, key, now) + others >= cap.calls_per_day
    ):
        words = f"today's {cap.calls_per_day} calls{of} are used up ({name}.calls_per_day)"
        return NoWay(DAY_FULL, words)
    if cap.calls is not None and counts.up(scope, key) + others >= cap.calls:
        return NoWay(TOO_MANY, f"{cap.calls} calls{of} are up already ({name}.calls)")
    return None


def _longest(prefixes: tuple[str, ...], number: str) -> str | None:
    """The longest of the prefixes that the number begins with."""
    return max((one for one in prefixes if number.startswith(one)), key=len, default=None)
