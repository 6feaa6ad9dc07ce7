"""What legs tell their call: a small vocabulary; headers cross only where asked for.

What the media plane says of a leg (`sip.media.events`) comes to the call among them.
"""

from enum import Enum
from typing import Protocol

from sip.core.refer import Refer
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
    NOT_JOINED = "not-joined"
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


class Referral(Protocol):
    """The peer's wish that we call somebody, by REFER; the peer hears how that goes.

    Whoever takes it says `accept` or `refuse`, and after `accept` in the end `end`. What comes too
    late, as the peer or its wish is gone, is without effect.
    """

    @property
    def asked(self) -> Refer:
        """What is wished."""
        ...

    def accept(self) -> None:
        """It will be done: 202, and a NOTIFY of 100."""
        ...

    def refuse(self, status: int, reason: str | None = None) -> None:
        """It will not be done; the leg goes on."""
        ...

    def progress(self, status: int, reason: str | None = None) -> None:
        """Whom we call answered so, provisionally."""
        ...

    def end(self, status: int, reason: str | None = None) -> None:
        """What came of it: a final status."""
        ...


@frozen(kw_only=True)
class Referred(CallEvent):
    """The peer sent REFER. What nobody accepts within seconds is refused by the leg, with 603."""

    referral: Referral


class Stage(Enum):
    """How far a REFER of ours is; the value is the slug in logs. Each of the last three ends it,
    but DONE may follow UNKNOWN: what was waited for in vain comes late."""

    ACCEPTED = "accepted"
    """the peer will do it"""
    PROGRESS = "progress"
    """whom it calls has answered provisionally"""
    DONE = "done"
    """whom it calls has given the final status, which may be a failure"""
    REFUSED = "refused"
    """the peer will not do it"""
    UNKNOWN = "unknown"
    """it accepted or hung up, and nothing tells what came of it"""

    @property
    def final(self) -> bool:
        return self in (Stage.DONE, Stage.REFUSED, Stage.UNKNOWN)


@frozen(kw_only=True)
class ReferNews(CallEvent):
    """What became of our REFER so far.

    `status` and `reason` are what the peer said: of the REFER itself, or of the call that it makes.
    Where that is UNKNOWN, `status` is the one that the REFER was accepted with; 0 where the peer
    hung up without an answer to it.
    """

    stage: Stage
    status: int
    reason: str

    @property
    def succeeded(self) -> bool:
        """Whether the peer says that the other side has answered it."""
        return self.stage is Stage.DONE and self.status < 300


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


LegEvent = (
    Ring | Connect | Confirm | Offer | OfferEnded | Described | Pressed
    | Referred | ReferNews | Disconnect | Fail
)  # fmt: skip
Event = LegEvent | PartyEvent
