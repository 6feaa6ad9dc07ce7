"""Session timers: RFC 4028. Who refreshes a session, how often, and when it is given up.

Pure rules over messages; `sip.ua.session_timer` runs the clock. Each request that refreshes
(INVITE, re-INVITE, UPDATE) and its 2xx agree anew, so roles are always those of that one request.
"""

from dataclasses import dataclass
from enum import Enum, auto

from sip.core.header_values import parse_params
from sip.core.message import Request, Response
from sip.core.value import frozen
from sip.errors import ParseError

#: RFC 4028 5: what a request without Min-SE means by it, in seconds.
DEFAULT_MIN_SE_S = 90
#: However short an interval the peer answers with: we refresh no more often than this, in seconds.
SHORTEST_REFRESH_S = 10.0
#: The option tag.
TIMER = "timer"

Headers = tuple[tuple[str, str], ...]


class Mode(Enum):
    """How far a leg goes to have a session timer."""

    OFF = "off"
    """neither asks nor answers"""
    ACCEPT = "accept"
    """takes part where the peer asks"""
    REQUEST = "request"
    """asks, and goes on alone where the peer does not know it"""
    ALWAYS = "always"
    """refreshes by itself towards a peer that knows nothing of it"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One leg's wishes; the times are seconds."""

    mode: Mode = Mode.REQUEST
    expires_s: int = 1800
    min_se_s: int = DEFAULT_MIN_SE_S


class Refresher(Enum):
    """Who must refresh."""

    US = auto()
    PEER = auto()


@frozen
class Agreement:
    """What one request and its 2xx agreed on: the interval in seconds, and who refreshes.

    An answer may break the rule that no interval is below 90 s (RFC 4028 5). Such a session is
    refreshed early, as the peer may mean it, and given up no earlier than that rule allows.
    """

    interval_s: int
    refresher: Refresher

    @property
    def refresh_after_s(self) -> float:
        """RFC 4028 7.2, 10: half of the interval, so that one refresh may be lost."""
        return max(self.interval_s / 2, SHORTEST_REFRESH_S)

    @property
    def expires_after_s(self) -> float:
        """RFC 4028 10: a third of the interval, at most 32 s, before it is really over."""
        interval_s = max(self.interval_s, DEFAULT_MIN_SE_S)
        return interval_s - min(32.0, interval_s / 3)


@frozen
class TooSmall:
    """The peer's interval is below our minimum: 422 with Min-SE (RFC 4028 6)."""

    min_se_s: int

    @property
    def headers(self) -> Headers:
        return (("Min-SE", str(self.min_se_s)),)


def request_headers(
    policy: Policy, *, min_se_s: int = 0, current: Agreement | None = None
) -> Headers:
    """What our INVITE or UPDATE says of session timers, Supported apart (RFC 4028 7.1, 7.4).

    `min_se_s` is what a 422 demanded, `current` the agreement that this request renews.
    """
    if policy.mode is Mode.OFF or (policy.mode is Mode.ACCEPT and current is None):
        return ()
    wanted_s = max(current.interval_s, DEFAULT_MIN_SE_S) if current else policy.expires_s
    interval_s = max(wanted_s, min_se_s)
    value = str(interval_s)
    if current is not None:
        value += f";refresher={'uac' if current.refresher is Refresher.US else 'uas'}"
    minimum_s = max(policy.min_se_s, min_se_s)
    found: Headers = (("Session-Expires", value),)
    return (*found, ("Min-SE", str(minimum_s))) if minimum_s > DEFAULT_MIN_SE_S else found


def agree_as_uas(policy: Policy, request: Request) -> Agreement | TooSmall | None:
    """What we answer to a refreshing request (RFC 4028 9); None: no session timer."""
    if policy.mode is Mode.OFF:
        return None
    peer_knows = TIMER in request.headers.tokens("supported")
    asked = session_expires(request)
    if asked is None:
        return _unasked(policy, request, peer_knows=peer_knows)
    interval_s, refresher = asked
    if interval_s < policy.min_se_s:
        if peer_knows:
            return TooSmall(policy.min_se_s)
        interval_s = policy.min_se_s
    if not peer_knows or refresher == "uas":
        return Agreement(interval_s, Refresher.US)
    return Agreement(interval_s, Refresher.PEER)


def _unasked(policy: Policy, request: Request, *, peer_knows: bool) -> Agreement | None:
    """RFC 4028 9: a UAS may want a session timer where the request had none."""
    if policy.mode is Mode.ACCEPT or (policy.mode is Mode.REQUEST and not peer_knows):
        return None
    return Agreement(max(policy.expires_s, min_se(request)), Refresher.US)


def response_headers(agreement: Agreement | None, request: Request) -> Headers:
    """What our 2xx to `request` says (RFC 4028 9).

    Require, where the peer must refresh, and where it knows how to give up if we do not.
    """
    if agreement is None:
        return ()
    theirs = agreement.refresher is Refresher.PEER
    expires = f"{agreement.interval_s};refresher={'uac' if theirs else 'uas'}"
    found: Headers = (("Session-Expires", expires),)
    knows = theirs or TIMER in request.headers.tokens("supported")
    return (("Require", TIMER), *found) if knows else found


def agree_as_uac(policy: Policy, response: Response) -> Agreement | None:
    """What the 2xx to our refreshing request agreed on (RFC 4028 7.2)."""
    if policy.mode is Mode.OFF:
        return None
    answered = session_expires(response)
    if answered is None:
        # RFC 4028 7.2: the peer has none; then only we may refresh
        if policy.mode is Mode.ALWAYS:
            return Agreement(policy.expires_s, Refresher.US)
        return None
    interval_s, refresher = answered
    return Agreement(interval_s, Refresher.PEER if refresher == "uas" else Refresher.US)


def session_expires(message: Request | Response) -> tuple[int, str | None] | None:
    """Seconds and refresher of Session-Expires; None where it is missing or cannot be read."""
    value = message.headers.get("session-expires")
    if value is None:
        return None
    seconds, _, params = value.partition(";")
    if not seconds.strip().isdecimal() or len(seconds.strip()) > 9:
        return None
    try:
        refresher = dict(parse_params(";" + params)).get("refresher") if params else None
    except ParseError:
        refresher = None
    return max(int(seconds), 1), refresher.lower() if refresher else None


def min_se(message: Request | Response) -> int:
    """Min-SE in seconds; 90 where it is missing or cannot be read (RFC 4028 5)."""
    value = (message.headers.get("min-se") or "").partition(";")[0].strip()
    return int(value) if value.isdecimal() and len(value) <= 9 else DEFAULT_MIN_SE_S
