"""What a wish must be to become a queued call: everything that needs no database to see."""

import os
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import phonenumbers
from phonenumbers import ValidationResult

from config.settings import Settings
from gateway.calls.no_way import NoWay
from gateway.calls.numbers import e164
from gateway.outbound.errors import WishCode, WishError
from gateway.outbound.ports import Placer
from gateway.outbound.windows import Windows, zones_of
from gateway.outbound.wish import Wish
from gateway.storage.queued_call import QueuedCall, Result, RetryPolicy, RetryRule
from gateway.storage.wanted import Wanted

#: Why a number may not be called, where it is not simply forbidden.
_CODES: Final[dict[str, WishCode]] = {
    "guard-day-full": "cap-reached",
    "guard-too-many": "cap-reached",
    "guard-no-number": "bad-number",
    "no-route": "no-route",
    "no-agent": "no-agent",
    "no-such-trunk": "unknown-trunk",
    "no-switch": "unsupported",
    "no-api-key": "unsupported",
    "no-twilio": "unsupported",
    "no-message": "unsupported",
    "agent-elsewhere": "unsupported",
    "amd-unsupported": "unsupported",
    "spend-stop": "spend-stop",
}
#: Of these, what is over by and by: no reason to refuse a call that is not due yet.
PASSING: Final = frozenset({"cap-reached", "spend-stop"})
#: And what is over as soon as another call is.
TOO_MANY: Final = "guard-too-many"

_WRONG: Final = {
    ValidationResult.INVALID_COUNTRY_CODE: "no country has its country code",
    ValidationResult.TOO_SHORT: "it has too few digits for its country",
    ValidationResult.TOO_LONG: "it has too many digits for its country",
    ValidationResult.INVALID_LENGTH: "no number of its country has that many digits",
    ValidationResult.IS_POSSIBLE_LOCAL_ONLY: "it lacks its area code",
}


@lru_cache(maxsize=1024)
def _wrong(number: str) -> str | None:
    """What is wrong with a number; None where it may be one. Those that are shown come often."""
    try:
        verdict = phonenumbers.is_possible_number_with_reason(phonenumbers.parse(number))
    except phonenumbers.NumberParseException:
        verdict = ValidationResult.INVALID_COUNTRY_CODE
    return _WRONG.get(verdict)


def code_of(no_way: NoWay) -> WishCode:
    """The word of the API for it."""
    return _CODES.get(no_way.refusal.cause, "forbidden-destination")


class Intake:
    """The rules of one configuration."""

    def __init__(self, settings: Settings, placer: Placer) -> None:
        self._settings = settings
        self._rules = settings.outbound.queue
        self._placer = placer
        self._last = (0, 0)
        self.windows = Windows(settings.schedules)

    def number(self, text: str) -> str:
        """A number in E.164. Raises WishError, which says what is wrong with it."""
        country = self._settings.outbound.default_country
        found = e164(text.strip(), country)
        if found is None:
            form = "write it in E.164, such as +14155550100"
            home = f", or as it is dialled in {country}" if country else ""
            raise WishError("bad-number", f"{text!r} is no telephone number: {form}{home}")
        if (wrong := _wrong(found)) is not None:
            raise WishError("bad-number", f"{found} cannot be called: {wrong}")
        return found

    def queued(self, wish: Wish, now_ms: int) -> QueuedCall:
        """The call as it is queued. Raises WishError."""
        wanted = self._completed(wish.wanted)
        not_before_ms = max(now_ms, wish.not_before_ms or 0)
        expires_ms = wish.expires_ms
        if expires_ms is None:
            expires_ms = not_before_ms + round(self._rules.expires_s * 1000)
        if expires_ms <= not_before_ms:
            words = f"it would expire at {_shown(expires_ms)}, before it may begin"
            raise WishError("bad-time", f"{words} ({_shown(not_before_ms)})")
        window = self._window(wish.window)
        zones = self._zones(wish, wanted) if window is not None else ()
        due_ms = self.windows.opening(window, zones, not_before_ms, expires_ms)
        if due_ms is None:
            where = f" in {', '.join(zones[:3])}{' …' if zones[3:] else ''}" if zones else ""
            words = f"schedule {window} does not open{where} before {_shown(expires_ms)}"
            raise WishError("outside-window", f"{words}, when the call expires")
        no_way = self._placer.judge(wanted)
        if no_way is not None and no_way.refusal.cause != TOO_MANY:
            code = code_of(no_way)
            if code not in PASSING or due_ms <= now_ms:
                raise WishError(code, no_way.words)
        return QueuedCall(
            queued_id=wish.queued_id or self._new_id(now_ms),
            wanted=wanted,
            created_ms=now_ms,
            not_before_ms=not_before_ms,
            due_ms=due_ms,
            expires_ms=expires_ms,
            priority=wish.priority,
            window=window,
            time_zones=zones,
            campaign=wish.campaign,
            retries=self._policy() if wish.retries is None else wish.retries,
        )

    def _completed(self, wanted: Wanted) -> Wanted:
        """With what the configuration says where the wish says nothing."""
        to_number = self.number(wanted.to_number)
        if not wanted.from_number:
            raise WishError("no-from", "from_number is missing: the number that is shown")
        try:
            from_number = self.number(wanted.from_number)
        except WishError as error:
            raise WishError("no-from", f"from_number: {error.words}") from None
        if wanted.trunk is not None and self._settings.trunk(wanted.trunk) is None:
            raise WishError("unknown-trunk", f"there is no trunk named {wanted.trunk}")
        return replace(
            wanted,
            to_number=to_number,
            from_number=from_number,
            ring_timeout_s=wanted.ring_timeout_s or self._rules.ring_timeout_s,
            time_limit_s=wanted.time_limit_s or self._rules.time_limit_s,
        )

    def _window(self, wished: str | None) -> str | None:
        """The name of its window; None where it has none."""
        window = self._rules.window if wished is None else wished or None
        if window is not None and window not in self.windows:
            words = f"there is no schedule named {window}: schedules has"
            raise WishError(
                "unknown-window", f"{words} {', '.join(self._settings.schedules) or 'none'}"
            )
        return window

    def _zones(self, wish: Wish, wanted: Wanted) -> tuple[str, ...]:
        if wish.time_zone is None:
            return zones_of(wanted.to_number)
        try:
            return (ZoneInfo(wish.time_zone).key,)
        except (KeyError, OSError, ValueError):  # not there, a folder, no name
            words = f"{wish.time_zone!r} is not a time zone such as Europe/Berlin"
            raise WishError("unknown-window", words) from None

    def _policy(self) -> RetryPolicy:
        rules = {
            Result(result): RetryRule(
                times=rule.times, after_s=rule.after_s, factor=rule.factor, jitter=rule.jitter
            )
            for result, rule in self._rules.retries.items()
        }
        return RetryPolicy(rules=rules, most=self._rules.max_tries)

    def _new_id(self, now_ms: int) -> str:
        """32 hex digits that sort by time, and by the order in which calls were queued."""
        last_ms, count = self._last
        self._last = (now_ms, 0) if now_ms > last_ms else (last_ms, count + 1)
        return f"{self._last[0]:012x}{self._last[1]:08x}{os.urandom(6).hex()}"


def _shown(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds")
