"""Calls that come: who may not call, how many calls each caller and each number may have, and how
long one may last. Asked before an agent is."""

from collections import Counter, deque
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Final, Literal, Protocol
from zoneinfo import ZoneInfo

from config.money_settings import ANONYMOUS, CallCapSettings
from config.settings import NumberSettings, Settings
from gateway.calls.endings import Fault, Refusal
from gateway.calls.no_way import NoWay
from gateway.storage.blocked_callers import BlockedCallers
from gateway.storage.call_records import CallRecord
from gateway.storage.day_counts import DayCount, DayCountStore
from gateway.value import frozen

#: RFC 3261 21.6.2: whoever calls is not to try elsewhere.
BLOCKED: Final = Refusal(603, "Decline", "caller-blocked", Fault.CALLER)
#: RFC 5079.
ANONYMITY: Final = Refusal(433, "Anonymity Disallowed", "caller-anonymous", Fault.CALLER)
CALLER_BUSY: Final = Refusal(486, "Busy Here", "caller-too-many", Fault.CALLER)
CALLER_FULL: Final = Refusal(480, "Temporarily Unavailable", "caller-full", Fault.CALLER)
NUMBER_BUSY: Final = Refusal(486, "Busy Here", "number-too-many", Fault.OPERATOR)
NUMBER_FULL: Final = Refusal(480, "Temporarily Unavailable", "number-full", Fault.OPERATOR)
#: The longest that a call may last is over.
OVER_TIME: Final = Refusal(480, "Temporarily Unavailable", "max-duration", Fault.OPERATOR)

HOUR_S: Final = 3600.0
QUARTER_S: Final = 900.0
#: Callers whose calls of the last hour are remembered, before those without any are looked for.
MANY: Final = 10_000
#: As callers are named who withhold their number, here and by others.
_WITHHELD: Final = frozenset(
    {ANONYMOUS, "restricted", "private", "withheld", "blocked", "unavailable", "unknown", ""}
)

Who = Literal["caller", "called"]
_BUSY: Final = {"caller": CALLER_BUSY, "called": NUMBER_BUSY}
_FULL: Final = {"caller": CALLER_FULL, "called": NUMBER_FULL}
_KEYS: Final = {"caller": "caller", "called": "number"}


@frozen
class Longest:
    """How long a call may last, in seconds, and the file that is played then."""

    seconds: float
    said: str | None


@frozen(kw_only=True)
class Rules:
    """What holds for the calls of one number."""

    block: tuple[str, ...]
    caller: CallCapSettings
    called: CallCapSettings
    longest: Longest | None


class Came(Protocol):
    """A call, as it is counted here."""

    record: CallRecord
    longest: Longest | None
    #: the caller and the number of ours, while it counts
    came: tuple[str, str] | None


class Incoming:
    """The rules of one configuration after another, and one count of all calls that came."""

    def __init__(
        self,
        settings: Settings,
        now: Callable[[], float],
        store: DayCountStore | None = None,
        blocked: BlockedCallers | None = None,
    ) -> None:
        """`now` is seconds since 1970; without a `store` a restart begins the day anew. `blocked`
        are the callers whom an operator has blocked while the gateway ran."""
        self._now = now
        self._blocked = blocked
        self._store = store
        kept = () if store is None else store.kept
        self._up: Counter[tuple[Who, str]] = Counter()
        self._hour: dict[tuple[Who, str], deque[float]] = {}
        rows = [row for row in kept if row.scope in ("caller", "called")]
        self._day = max((row.day for row in rows), default=date.min)
        self._today: Counter[tuple[str, str]] = Counter()
        for row in rows:
            if row.day == self._day:
                self._today[row.scope, row.key] = row.calls
        self.configure(settings)

    def configure(self, settings: Settings) -> None:
        """Judge by these settings; what was counted stands."""
        self._settings = settings
        self._zone = ZoneInfo(settings.outbound.guard.time_zone)
        #: the quarter of an hour that it is, since 1970: days begin with one, in every zone
        self._quarter = -1.0

    def rules(self, entry: NumberSettings | None) -> Rules:
        """Those of a number, over those of all."""
        common = self._settings.inbound
        own = None if entry is None else entry.inbound
        longest, said = common.max_duration_s, common.announcement
        if own is not None and own.max_duration_s is not None:
            longest = own.max_duration_s
        if own is not None and own.announcement is not None:
            said = own.announcement
        return Rules(
            block=common.block if own is None or own.block is None else own.block,
            caller=common.caller if own is None or own.caller is None else own.caller,
            called=common.number if own is None or own.number is None else own.number,
            longest=None if longest is None else Longest(longest, said),
        )

    def judge(self, caller: str, number: str, rules: Rules) -> NoWay | None:
        """Why that caller does not reach that number, now; None if it does."""
        return (
            self._barred(caller, number, rules.block)
            or self._capped("caller", caller, rules.caller)
            or self._capped("called", number, rules.called)
        )

    def begin(self, call: Came, rules: Rules) -> None:
        """A call comes, and may."""
        call.longest = rules.longest
        caller, number, now = call.record.from_number, call.record.to_number, self._now()
        call.came = (_known(caller), number)
        self._turn(now)
        caps: tuple[tuple[Who, str, CallCapSettings], ...] = (
            ("caller", _known(caller), rules.caller),
            ("called", number, rules.called),
        )
        for who, key, cap in caps:
            self._up[who, key] += 1
            if cap.calls_per_hour is not None:
                self._hour.setdefault((who, key), deque()).append(now)
            if cap.calls_per_day is not None:
                self._today[who, key] += 1
                if self._store is not None:
                    self._store.save(DayCount(self._day, who, key, self._today[who, key]))
        if len(self._hour) > MANY:
            self._hour = {key: seen for key, seen in self._hour.items() if self._of_late(key)}

    def end(self, call: Came) -> None:
        """A call is over; one that had not begun changes nothing."""
        if call.came is None:
            return
        (caller, number), call.came = call.came, None
        keys: tuple[tuple[Who, str], ...] = ("caller", caller), ("called", number)
        for key in keys:
            self._up[key] -= 1
            if self._up[key] <= 0:
                del self._up[key]

    # -- parts --------------------------------------------------------------------------------

    def _barred(self, caller: str, number: str, block: tuple[str, ...]) -> NoWay | None:
        for pattern in block:
            if fits(pattern, caller):
                refusal = ANONYMITY if pattern == ANONYMOUS else BLOCKED
                return NoWay(refusal, f"{caller or 'no number'} is {pattern} of inbound.block")
        for one in () if self._blocked is None else self._blocked.held():
            if one.number in ("", number) and fits(one.caller, caller):
                refusal = ANONYMITY if one.caller == ANONYMOUS else BLOCKED
                note = f": {one.note}" if one.note else ""
                words = f"{caller or 'no number'} is {one.caller}, which {one.by or 'somebody'}"
                return NoWay(refusal, f"{words} has blocked{note} (block {one.block_id})")
        return None

    def _capped(self, who: Who, key: str, cap: CallCapSettings) -> NoWay | None:
        name, now = f"inbound.{_KEYS[who]}", self._now()
        about = (who, _known(key) if who == "caller" else key)
        if cap.calls is not None and self._up[about] >= cap.calls:
            words = f"{cap.calls} calls of {about[1]} are up already ({name}.calls)"
            return NoWay(_BUSY[who], words)
        if cap.calls_per_hour is not None and self._of_late(about) >= cap.calls_per_hour:
            words = f"{about[1]} had {cap.calls_per_hour} calls within an hour"
            return NoWay(_FULL[who], f"{words} ({name}.calls_per_hour)")
        self._turn(now)
        if cap.calls_per_day is not None and self._today[about] >= cap.calls_per_day:
            words = f"{about[1]} had {cap.calls_per_day} calls today ({name}.calls_per_day)"
            return NoWay(_FULL[who], words)
        return None

    def _of_late(self, key: tuple[Who, str]) -> int:
        """How many came within an hour."""
        seen = self._hour.get(key)
        if seen is None:
            return 0
        since = self._now() - HOUR_S
        while seen and seen[0] <= since:
            seen.popleft()
        return len(seen)

    def _turn(self, now: float) -> None:
        """Midnight. A clock that is set back begins no day anew."""
        quarter = now // QUARTER_S
        if quarter == self._quarter:
            return
        self._quarter = quarter
        day = datetime.fromtimestamp(now, UTC).astimezone(self._zone).date()
        if day > self._day:
            self._day = day
            self._today.clear()


def fits(pattern: str, caller: str) -> bool:
    """Whether a caller is meant by an entry of `inbound.block`."""
    if pattern == ANONYMOUS:
        return _known(caller) == ANONYMOUS
    if pattern.endswith("*"):
        return caller.startswith(pattern[:-1])
    return caller == pattern


def _known(caller: str) -> str:
    """The caller as it is counted: all who withhold their number are one."""
    return ANONYMOUS if caller.casefold() in _WITHHELD else caller
