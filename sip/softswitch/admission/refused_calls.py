"""Calls that were refused at the door, before any application heard of them: the latest, and how
many there were by reason. They have no record, and who looks for a missing call looks here."""

from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from sip.clock import Clock, Timer
from sip.core.message import Request
from sip.errors import Fault, ParseError
from sip.transport.endpoint import Endpoint

#: Entries kept of trunks, and as many again of strangers, who push out none of a trunk.
MAX_ENTRIES: Final = 200
#: A peer that was challenged has this long to come back with credentials, in seconds.
CREDENTIALS_S: Final = 32.0
MAX_CHALLENGED: Final = 1000
#: The longest number or Call-ID that is kept, in characters.
_MAX_TEXT: Final = 64

NO_CREDENTIALS: Final = "no-credentials"

#: What the operator can do about a refusal, by trunk, reason and the caller's number; "" where that
#: is not known.
Advice: TypeAlias = Callable[[str | None, str, str], str]
#: Host, trunk, reason.
_Key: TypeAlias = tuple[str, str | None, str]


@dataclass(slots=True)
class RefusedCalls:
    """Calls that one source was refused for one reason.

    `reason` is a slug or the key of a limit, `detail` a sentence, and `fix` one that mends it, ""
    where nobody knows; `number` is the last one that was called, and `caller` whoever called it;
    `status` is None where there was no answer. Times are seconds since 1970.
    """

    source: str
    trunk: str | None
    number: str
    reason: str
    detail: str
    fault: Fault
    status: int | None
    count: int
    first: float
    last: float
    sip_call_id: str = ""
    caller: str = ""
    fix: str = ""


@dataclass(frozen=True, slots=True)
class _Challenged:
    due: float
    source: Endpoint
    request: Request
    trunk: str | None


class Refused:
    """What was refused; bounded whatever arrives."""

    def __init__(
        self,
        clock: Clock,
        on_silence: Callable[[Endpoint, RefusedCalls], None] = lambda source, entry: None,
    ) -> None:
        """`on_silence` hears of a call that was asked for credentials, and never brought any."""
        self._clock = clock
        self._on_silence = on_silence
        self._timer: Timer | None = None
        #: set by whoever knows the peers
        self.advise: Advice = _no_advice
        self._of_trunks: OrderedDict[_Key, RefusedCalls] = OrderedDict()
        self._of_strangers: OrderedDict[_Key, RefusedCalls] = OrderedDict()
        #: first challenges, by Call-ID, the oldest first
        self._challenged: OrderedDict[str, _Challenged] = OrderedDict()
        self._counts: Counter[str] = Counter()

    @property
    def counts(self) -> Counter[str]:
        """Calls since the start, by reason."""
        self._settle()
        return self._counts

    def list(self) -> Sequence[RefusedCalls]:
        """The latest first."""
        self._settle()
        entries = (*self._of_trunks.values(), *self._of_strangers.values())
        return sorted(entries, key=lambda entry: entry.last, reverse=True)

    def note(
        self,
        request: Request,
        source: Endpoint,
        trunk: str | None,
        reason: str,
        detail: str,
        fault: Fault,
        status: int | None,
    ) -> RefusedCalls | None:
        """An INVITE is refused. One that is sent again, or that comes back with a further
        challenge's answer, is the same call. Returns what there is of such calls, None of another
        request."""
        if request.method != "INVITE":
            return None
        entries = self._of_strangers if trunk is None else self._of_trunks
        key, now = (source.host, trunk, reason), self._clock.epoch()
        sip_call_id = (request.headers.get("call-id") or "")[:_MAX_TEXT]
        entry = entries.get(key)
        if entry is None:
            entry = entries[key] = RefusedCalls(
                source.hostport, trunk, "", reason, detail, fault, status, 0, now, now
            )
            if len(entries) > MAX_ENTRIES:
                entries.popitem(last=False)
        entries.move_to_end(key)
        if entry.sip_call_id != sip_call_id:
            entry.count += 1
            self._counts[reason] += 1
        entry.source, entry.trunk, entry.number = source.hostport, trunk, _number(request)
        entry.detail, entry.last, entry.sip_call_id = detail, now, sip_call_id
        entry.caller = _caller(request)
        entry.fix = self.advise(trunk, reason, entry.caller)
        return entry

    def close(self) -> None:
        """Wait for nobody any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def challenged(self, request: Request, source: Endpoint, *, trunk: str | None) -> None:
        """An INVITE was asked for credentials; unless it comes with them, that was a refusal."""
        if request.method == "INVITE":
            self._settle()
            due = self._clock.now() + CREDENTIALS_S
            challenged = _Challenged(due, source, request, trunk)
            self._challenged.setdefault(request.call_id, challenged)
            if self._timer is None:
                self._timer = self._clock.call_later(CREDENTIALS_S, self._due)

    def came_back(self, request: Request, source: Endpoint) -> None:
        """A challenged INVITE brought credentials, whatever they are. It should have the Call-ID
        that it had (RFC 3261 8.1.3.5); else it is the oldest one of its source that has the same
        caller and the same number."""
        if self._challenged.pop(request.call_id, None) is not None:
            return
        same = source.host, _caller(request), _number(request)
        for sip_call_id, challenged in self._challenged.items():
            first = challenged.request
            if (challenged.source.host, _caller(first), _number(first)) == same:
                del self._challenged[sip_call_id]
                return

    def _due(self) -> None:
        self._timer = None
        self._settle()
        first = next(iter(self._challenged.values()), None)
        if first is not None:
            wait_s = max(first.due - self._clock.now(), 0.0)
            self._timer = self._clock.call_later(wait_s, self._due)

    def _settle(self) -> None:
        """Who was challenged and has not come back, has been refused."""
        now = self._clock.now()
        while self._challenged:
            first = next(iter(self._challenged.values()))
            if first.due > now and len(self._challenged) < MAX_CHALLENGED:
                return
            self._challenged.popitem(last=False)
            entry = self.note(
                first.request,
                first.source,
                trunk=first.trunk,
                reason=NO_CREDENTIALS,
                detail=_no_credentials(first.trunk),
                fault=Fault.OPERATOR,
                status=407,
            )
            if entry is not None:
                self._on_silence(first.source, entry)


def _no_credentials(trunk: str | None) -> str:
    whose = "a login" if trunk is None else f"the login of trunk {trunk}"
    return f"asked for credentials, it sent none: give the peer user name and password of {whose}"


def _no_advice(_: str | None, __: str, ___: str) -> str:
    """Default for `advise`: nothing is known of the peers."""
    return ""


def _number(request: Request) -> str:
    """The number that was called, fit to be shown."""
    try:
        return _shown(request.request_uri.user)
    except ParseError:
        return ""


def _caller(request: Request) -> str:
    """The number in From, fit to be shown."""
    try:
        return _shown(request.from_.uri.user)
    except ParseError:
        return ""


def _shown(user: str | None) -> str:
    return "".join(letter for letter in user or "" if letter.isprintable())[:_MAX_TEXT]
