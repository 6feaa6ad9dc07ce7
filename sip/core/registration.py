"""The client's side of a registration (RFC 3261 10.2) as a table, and the rules that it follows.

Pure: the owner sends, waits and draws random numbers. What a registrar's response means is decided
by `judge`, how long a binding holds by `granted_s`, and what happens next by `TABLE`.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from sip.core.header_values import NameAddr, readable_addresses
from sip.core.message import Response
from sip.core.register_request import expires_s
from sip.core.uri import Uri, same_uri

#: The first wait after a failure, and the longest: each is twice the one before (RFC 5626 4.5).
FIRST_BACK_OFF_S: Final = 10.0
LONGEST_BACK_OFF_S: Final = 600.0
#: Seconds until a registrar that refused by intent is asked again: soon enough for a password
#: that was put right there, seldom enough not to be banned for guessing.
SLOW_RETRY_S: Final = 600.0
#: Longest Retry-After that is honoured, in seconds.
LONGEST_RETRY_AFTER_S: Final = 3600
#: The URI parameter of our Contact that tells it from all others of its address of record.
INSTANCE: Final = "rinstance"
LONGEST_REFRESH_S: Final = 43_200.0
#: Seconds within which a connection that ends after its registration was meant to: without a
#: pause the two sides would go on connecting and dropping as fast as they can.
STABLE_S: Final = 30.0


class Stage(Enum):
    """Where a registration stands; the value is what operators see."""

    IDLE = "idle"
    REGISTERING = "registering"
    """asked, with no binding"""
    REGISTERED = "registered"
    REFRESHING = "refreshing"
    """asked again while the binding holds"""
    WAITING = "waiting"
    """no server answered or could serve us: asked again after a pause"""
    REJECTED = "rejected"
    """refused by intent: asked again after a long pause"""
    REMOVING = "removing"
    CLOSED = "closed"


class News(Enum):
    """What can happen to a registration."""

    GO = auto()
    """at the start, when a timer is due, or when the operator says so"""
    GRANTED = auto()
    ADJUSTED = auto()
    """the request is worth sending again at once: with a digest, a longer expiry, elsewhere"""
    NEXT_TARGET = auto()
    """this server failed and there is another (RFC 3263 4.3)"""
    EXHAUSTED = auto()
    """this server failed and there is no other"""
    REFUSED = auto()
    FLOW_LOST = auto()
    """the connection that carried the registration ended (RFC 5626 4.5)"""
    FLOW_UNSTABLE = auto()
    """the same within `STABLE_S`"""
    CLOSE = auto()


class Duty(Enum):
    """What the owner has to do, in this order."""

    BEGIN = auto()
    """start afresh: look the registrar up again, forget challenges and redirections"""
    SEND = auto()
    """REGISTER as things stand"""
    HOLD = auto()
    """wait for the refresh"""
    BACK_OFF = auto()
    SLOW_RETRY = auto()
    REMOVE = auto()
    """from now on ask for the binding's end"""
    FINISH = auto()


Transition = tuple[Stage, tuple[Duty, ...]]

_ASK: Final = (Duty.BEGIN, Duty.SEND)
_LEAVE: Final = (Duty.REMOVE, Duty.SEND)

#: All transitions. An unlisted pair is ignored.
TABLE: Final[dict[tuple[Stage, News], Transition]] = {
    (Stage.IDLE, News.GO): (Stage.REGISTERING, _ASK),
    (Stage.IDLE, News.CLOSE): (Stage.CLOSED, (Duty.FINISH,)),
    #
    (Stage.REGISTERING, News.GRANTED): (Stage.REGISTERED, (Duty.HOLD,)),
    (Stage.REGISTERING, News.ADJUSTED): (Stage.REGISTERING, (Duty.SEND,)),
    (Stage.REGISTERING, News.NEXT_TARGET): (Stage.REGISTERING, (Duty.SEND,)),
    (Stage.REGISTERING, News.EXHAUSTED): (Stage.WAITING, (Duty.BACK_OFF,)),
    (Stage.REGISTERING, News.REFUSED): (Stage.REJECTED, (Duty.SLOW_RETRY,)),
    # what was asked may have been granted, and the response be on its way
    (Stage.REGISTERING, News.CLOSE): (Stage.REMOVING, _LEAVE),
    #
    (Stage.REGISTERED, News.GO): (Stage.REFRESHING, _ASK),
    (Stage.REGISTERED, News.FLOW_LOST): (Stage.REGISTERING, _ASK),
    (Stage.REGISTERED, News.FLOW_UNSTABLE): (Stage.WAITING, (Duty.BACK_OFF,)),
    (Stage.REGISTERED, News.CLOSE): (Stage.REMOVING, _LEAVE),
    # a flow lost here is the transaction's failure: that is how the owner hears of it
    (Stage.REFRESHING, News.GRANTED): (Stage.REGISTERED, (Duty.HOLD,)),
    (Stage.REFRESHING, News.ADJUSTED): (Stage.REFRESHING, (Duty.SEND,)),
    (Stage.REFRESHING, News.NEXT_TARGET): (Stage.REFRESHING, (Duty.SEND,)),
    (Stage.REFRESHING, News.EXHAUSTED): (Stage.WAITING, (Duty.BACK_OFF,)),
    (Stage.REFRESHING, News.REFUSED): (Stage.REJECTED, (Duty.SLOW_RETRY,)),
    (Stage.REFRESHING, News.CLOSE): (Stage.REMOVING, _LEAVE),
    #
    (Stage.WAITING, News.GO): (Stage.REGISTERING, _ASK),
    (Stage.WAITING, News.CLOSE): (Stage.CLOSED, (Duty.FINISH,)),
    (Stage.REJECTED, News.GO): (Stage.REGISTERING, _ASK),
    (Stage.REJECTED, News.CLOSE): (Stage.CLOSED, (Duty.FINISH,)),
    #
    (Stage.REMOVING, News.ADJUSTED): (Stage.REMOVING, (Duty.SEND,)),
    (Stage.REMOVING, News.GRANTED): (Stage.CLOSED, (Duty.FINISH,)),
    (Stage.REMOVING, News.REFUSED): (Stage.CLOSED, (Duty.FINISH,)),
    (Stage.REMOVING, News.NEXT_TARGET): (Stage.CLOSED, (Duty.FINISH,)),
    (Stage.REMOVING, News.EXHAUSTED): (Stage.CLOSED, (Duty.FINISH,)),
}


@dataclass(slots=True)
class RegistrationMachine:
    """One registration's state."""

    state: Stage = Stage.IDLE

    def step(self, news: News) -> tuple[Duty, ...]:
        """Take one piece of news; returns what to do, in order."""
        self.state, duties = TABLE.get((self.state, news), (self.state, ()))
        return duties


class RegisterReply(Enum):
    """What a final response to REGISTER means."""

    GRANTED = auto()
    CHALLENGED = auto()
    TOO_BRIEF = auto()
    """423: it names the shortest expiry that it grants (RFC 3261 21.4.17)"""
    REDIRECTED = auto()
    UNAVAILABLE = auto()
    """not now, or not this server"""
    REFUSED = auto()
    """not as we ask: useless to repeat until the peer or the operator changes something"""


_UNAVAILABLE: Final = frozenset({408, 480, 500, 502, 503, 504, 580})


def judge(status: int) -> RegisterReply:
    """The meaning of a final status."""
    match status:
        case 401 | 407:
            return RegisterReply.CHALLENGED
        case 423:
            return RegisterReply.TOO_BRIEF
        case _ if status < 300:
            return RegisterReply.GRANTED
        case _ if status < 400:
            return RegisterReply.REDIRECTED
        case _ if status in _UNAVAILABLE:
            return RegisterReply.UNAVAILABLE
    return RegisterReply.REFUSED


def granted_s(response: Response, ours: Uri, asked_s: int) -> int:
    """How long our binding holds, in seconds; 0 when it does not (RFC 3261 10.2.4).

    The 2xx lists every binding of the address of record. Ours is found by its URI; by its instance
    where the registrar wrote another address into it; by its user and host where that left the
    parameters out; or because it is the only one. Of several the one that lasts longest is the
    newest. Its `expires` counts before the Expires header. Never longer than `asked_s`.
    """
    for binding in _ours_first(readable_addresses(response.headers.get_all("contact")), ours):
        return min(_read_s(binding.param("expires"), _header_s(response, asked_s)), asked_s)
    return min(_header_s(response, asked_s), asked_s)


def _ours_first(found: list[NameAddr], ours: Uri) -> list[NameAddr]:
    instance = ours.param(INSTANCE)

    def distance(binding: NameAddr) -> tuple[int, int]:
        uri, theirs = binding.uri, binding.uri.param(INSTANCE)
        lasts_s = _read_s(binding.param("expires"), 0)
        if same_uri(uri, ours):
            return 0, -lasts_s
        if theirs:
            return (1 if theirs == instance else 5), -lasts_s
        if uri.user != ours.user:
            return 4, -lasts_s
        return (2 if uri.host.lower() == ours.host.lower() else 3), -lasts_s

    return sorted(found, key=distance)


def _header_s(response: Response, default_s: int) -> int:
    return _read_s(response.headers.get("expires"), default_s)


def _read_s(text: str | None, default_s: int) -> int:
    return default_s if text is None else expires_s(text)


def longer_expiry_s(response: Response, asked_s: int) -> int | None:
    """What a 423 wants instead of `asked_s`, or None when it does not say."""
    wanted = _read_s(response.headers.get("min-expires"), 0)
    return wanted if wanted > asked_s else None


def retry_after_s(response: Response) -> float | None:
    """Seconds of a Retry-After (RFC 3261 20.33), bounded; None when there is none."""
    head = (response.headers.get("retry-after") or "").partition(";")[0].partition("(")[0]
    digits = head.strip()
    if not (digits.isascii() and digits.isdecimal()) or len(digits) > 10:
        return None
    return min(int(digits), LONGEST_RETRY_AFTER_S)


def refresh_after_s(granted: int) -> float:
    """When to refresh: half-way, so that a refresh that fails can be tried elsewhere in time, and
    once in twelve hours at least, whatever a registrar grants."""
    return min(max(granted / 2, 1.0), LONGEST_REFRESH_S)


def back_off_s(failures: int) -> tuple[float, float]:
    """The shortest and longest wait after a number of failures in a row (RFC 5626 4.5).

    Somewhere in between, at random, lest all clients come back to a failed registrar at once.
    """
    longest = min(FIRST_BACK_OFF_S * 2 ** min(failures - 1, 16), LONGEST_BACK_OFF_S)
    return longest / 2, longest


def redirected_to(response: Response) -> Uri | None:
    """Where a 3xx sends us: its Contact of the highest q, or None when it names no SIP server."""

    def preference(contact: NameAddr) -> float:
        try:
            return float(contact.param("q") or 1.0)
        except ValueError:
            return 0.0

    found = [
        contact
        for contact in readable_addresses(response.headers.get_all("contact"))
        if contact.uri.scheme in ("sip", "sips")
    ]
    return max(found, key=preference).uri if found else None
