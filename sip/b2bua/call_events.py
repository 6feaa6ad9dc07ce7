"""What legs tell their call: a small vocabulary; headers cross only where asked for.

What the media plane says of a leg (`sip.media.events`) comes to the call among them.
"""

from enum import Enum

from sip.core.value import frozen
from sip.media.events import PartyEvent


class Side(Enum):
    """Which end of a leg made something happen."""

    PEER = "peer"
    US = "us"


class Cause(Enum):
    """Why a leg ended or never came up; the value is the slug in logs and records."""

    def __init__(self, word: str) -> None:
        #: the value, which costs two calls to read
        self.word = word

    BYE = "bye"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    SILENT = "no-response"
    NO_PROGRESS = "no-progress"
    UNREACHABLE = "unreachable"
    UNAUTHORISED = "unauthorised"
    NO_ACK = "no-ack"
    DIALOG_LOST = "dialog-lost"
    SESSION_EXPIRED = "session-expired"
    NO_SDP_ANSWER = "no-sdp-answer"
    NO_COMMON_CODEC = "no-common-codec"
    NO_ENCRYPTION = "no-encryption"
    MEDIA = "media"
    RTP_TIMEOUT = "rtp-timeout"
    MEDIA_NOT_MOVED = "media-not-moved"
    NO_PORTS = "no-ports"
    SHUTDOWN = "shutdown"
    # why a leg was not placed at all
    NO_SUCH_TRUNK = "no-such-trunk"
    OVER_LIMIT = "over-limit"
    BAD_NUMBER = "bad-number"
    NOT_REGISTERED = "not-registered"
    NO_GATEWAY = "no-gateway"
    NO_LISTENER = "no-listener"
    NAME_NOT_RESOLVED = "name-not-resolved"
    GATEWAYS_DOWN = "gateways-down"


Headers = tuple[tuple[str, str], ...]


@frozen(kw_only=True)
class CallEvent:
    """`at` is the clock's monotonic time of arrival."""

    at: float


@frozen(kw_only=True)
class Ring(CallEvent):
    """A provisional response above 100; with SDP it carries early media (RFC 3960)."""

    status: int
    reason: str
    sdp: str | None


@frozen(kw_only=True)
class Connect(CallEvent):
    """An outbound leg was answered; `sdp` is the answer."""

    sdp: str | None


@frozen(kw_only=True)
class Confirm(CallEvent):
    """An inbound leg's answer was acknowledged: both sides know that the call is up."""


@frozen(kw_only=True)
class Offer(CallEvent):
    """The peer's re-INVITE or UPDATE; answer it with `Leg.accept` or `Leg.refuse`.

    Without SDP (RFC 3261 14.2) it asks us for an offer.
    """

    sdp: str | None


@frozen(kw_only=True)
class OfferEnded(CallEvent):
    """The outcome of our re-INVITE: the answer, or the status that refused it."""

    status: int
    sdp: str | None


@frozen(kw_only=True)
class Described(CallEvent):
    """The peer described its session in answer to an offer that a leg made by itself.

    Our 2xx or reliable response made it because the peer's INVITE brought none, or a refresh did.
    """

    sdp: str


@frozen(kw_only=True)
class Pressed(CallEvent):
    """The peer pressed a key, and said so by signalling (INFO); the call makes a `Digit` of it."""

    key: str
    duration_ms: int


@frozen(kw_only=True)
class Disconnect(CallEvent):
    """The leg is over. `headers` are those of the peer's BYE that may interest the application."""

    by: Side
    cause: Cause
    headers: Headers = ()


@frozen(kw_only=True)
class Fail(CallEvent):
    """An outbound leg was never answered. `status` is the peer's, or the one that says as much.

    `detail` is a sentence for the log where no response says why; `contacts` are the URIs that a
    redirection (3xx) points to, best first.
    """

    status: int
    reason: str
    cause: Cause
    headers: Headers = ()
    contacts: tuple[str, ...] = ()
    detail: str | None = None


LegEvent = Ring | Connect | Confirm | Offer | OfferEnded | Described | Pressed | Disconnect | Fail
Event = LegEvent | PartyEvent
