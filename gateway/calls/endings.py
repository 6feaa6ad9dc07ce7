"""How calls end: the verdict for every ending, with the SIP status sent back and whose fault it is.

No other module turns the outcome of a dialled leg or of Retell's API into a final status.
"""

from collections.abc import Mapping
from dataclasses import field, replace
from enum import Enum, StrEnum
from typing import Any, Final

from gateway.retell.failures import RetellFailure
from gateway.value import frozen


class Fault(StrEnum):
    """Who has to mend it."""

    NOBODY = "nobody"
    CALLER = "caller"
    CALLEE = "callee"
    CARRIER = "carrier"
    RETELL = "retell"
    #: an agent of another house
    AGENT = "agent"
    GATEWAY = "gateway"
    OPERATOR = "operator"
    UNKNOWN = "unknown"


class Role(Enum):
    """What a dial attempt is for: it decides whether another one may follow."""

    RETELL = "retell"
    #: an agent that is not Retell's
    AGENT = "agent"
    FALLBACK = "fallback"
    FAX = "fax"
    CARRIER = "carrier"
    TRANSFER = "transfer"


#: Who answers a call as its agent.
AGENTS: Final = frozenset({Role.RETELL, Role.AGENT})


@frozen
class Ending:
    """How a call ended. `by`: caller, callee or gateway; `cause`: a slug; `sip_status`: what the
    caller got (200 when the call was answered)."""

    by: str
    cause: str
    sip_status: int
    fault: Fault


@frozen
class Refusal:
    """A call that is to be declined: the SIP status and phrase, and the verdict for the record."""

    status: int
    reason: str
    cause: str
    fault: Fault
    #: seconds until the caller's side may try again (RFC 3261 20.33)
    retry_after_s: int | None = None
    #: who refused: the gateway, or the callee's side
    by: str = "gateway"
    #: what the callee's side said of it, in its response
    headers: Mapping[str, str] = field(default_factory=dict)

    def ending(self, *, answered: bool = False) -> Ending:
        """`answered`: the other party was, and got no `status` of ours."""
        return Ending(self.by, self.cause, 200 if answered else self.status, self.fault)


NOT_CONFIGURED: Final = Refusal(404, "Not Found", "number-not-configured", Fault.OPERATOR)
#: Nobody is named who would talk to a person that we call.
NO_AGENT: Final = Refusal(404, "Not Found", "no-agent", Fault.OPERATOR)
NO_ROUTE: Final = Refusal(404, "No Route", "no-route", Fault.OPERATOR)
#: Nobody is there at this hour.
CLOSED: Final = Refusal(480, "Temporarily Unavailable", "target-closed", Fault.NOBODY)
OUR_BUG: Final = Refusal(500, "Server Internal Error", "internal-error", Fault.GATEWAY)

#: Whoever wanted us to call somebody wants it no more.
WITHDRAWN: Final = Refusal(487, "Request Terminated", "withdrawn", Fault.NOBODY)
#: This gateway was stopped before the call was answered.
SHUTDOWN: Final = Refusal(503, "Service Unavailable", "shutdown", Fault.OPERATOR, 60)

ANSWERED_BY_CALLER: Final = Ending("caller", "hangup", 200, Fault.NOBODY)
ANSWERED_BY_CALLEE: Final = Ending("callee", "hangup", 200, Fault.NOBODY)
ANSWERED_BY_GATEWAY: Final = Ending("gateway", "hangup", 200, Fault.NOBODY)
#: The caller's own side took the caller to somebody else, as we had asked it by REFER.
TRANSFERRED: Final = Ending("gateway", "transferred", 200, Fault.NOBODY)
#: Calls that no party ended, by the softswitch's cause; with the status of an answered one.
ODD_ENDINGS: Final = {
    # the caller's side heard our answer, and its ACK did not find us: sip.advertise
    "no-ack": Ending("gateway", "no-ack", 200, Fault.OPERATOR),
    "dialog-lost": Ending("gateway", "dialog-lost", 200, Fault.UNKNOWN),
    "session-expired": Ending("gateway", "session-expired", 200, Fault.UNKNOWN),
    "no-sdp-answer": Ending("gateway", "no-sdp-answer", 200, Fault.CALLER),
    "no-common-codec": Ending("gateway", "no-common-codec", 200, Fault.CALLER),
    "media": Ending("gateway", "media", 200, Fault.GATEWAY),
    # a peer would not hear of the engine that took the place of one that died
    "media-not-moved": Ending("gateway", "media-not-moved", 200, Fault.GATEWAY),
    "shutdown": Ending("gateway", "shutdown", 200, Fault.OPERATOR),
}
#: The softswitch's cause of a leg that talked and sent no RTP any more.
RTP_TIMEOUT: Final = "rtp-timeout"
#: Why there was no media for a call, by the softswitch's cause; and when to come back, in seconds.
NO_MEDIA: Final = {"media": Fault.GATEWAY, "no-ports": Fault.OPERATOR}
MEDIA_RETRY_AFTER_S: Final = 5
#: Calls that talked for less than this many seconds may well have been silent.
UNHEARD_S: Final = 5.0
CANCELLED: Final = Ending("caller", "cancelled", 487, Fault.NOBODY)
#: The connection to jambonz closed and was not opened again: the call may go on without us.
LOST: Final = Ending("gateway", "connection-lost", 0, Fault.UNKNOWN)


#: A carrier that gets 5xx tries its next route, which helps when the trouble is Retell's and
#: passing; 480 ends the call there, which is right when only the operator can mend it.
_REGISTRATION: Final = {
    RetellFailure.UNAUTHORIZED: (480, "Temporarily Unavailable", Fault.OPERATOR),
    RetellFailure.PAYMENT: (480, "Temporarily Unavailable", Fault.OPERATOR),
    RetellFailure.BAD_REQUEST: (480, "Temporarily Unavailable", Fault.GATEWAY),
    RetellFailure.UNKNOWN_AGENT: (480, "Temporarily Unavailable", Fault.OPERATOR),
    RetellFailure.UNKNOWN_NUMBER: (480, "Temporarily Unavailable", Fault.OPERATOR),
    RetellFailure.UNPROCESSABLE: (480, "Temporarily Unavailable", Fault.OPERATOR),
    RetellFailure.THROTTLED: (503, "Service Unavailable", Fault.RETELL),
    RetellFailure.SERVER_ERROR: (503, "Service Unavailable", Fault.RETELL),
    RetellFailure.TIMEOUT: (504, "Server Time-out", Fault.RETELL),
    RetellFailure.UNREACHABLE: (503, "Service Unavailable", Fault.RETELL),
    RetellFailure.NOT_ASKED: (503, "Service Unavailable", Fault.RETELL),
}


def registration_refusal(failure: RetellFailure) -> Refusal:
    """The verdict for a call that could not be registered and has no fallback."""
    status, reason, fault = _REGISTRATION[failure]
    return Refusal(status, reason, f"retell-{failure}", fault, by="callee")


#: Final codes that say something of their own; the rest goes by class.
_CAUSES: Final = {
    401: "not-authorized",
    403: "forbidden",
    404: "unknown-destination",
    407: "not-authorized",
    408: "silent",
    410: "unknown-destination",
    480: "no-answer",
    484: "unknown-destination",
    486: "busy",
    487: "no-answer",
    488: "no-common-codec",
    600: "busy",
    603: "declined",
    604: "unknown-destination",
    606: "no-common-codec",
    607: "declined",
    608: "declined",
}
_CALLEE_CAUSES: Final = frozenset({"busy", "declined", "no-answer", "unknown-destination"})
#: That two sides share no codec is neither's fault: the operator chooses what both may use.
_OPERATOR_CAUSES: Final = frozenset({"not-authorized", "forbidden", "no-common-codec"})
#: Who answers for us, and whose fault it is that it does not.
_AGENTS: Final = {Role.RETELL: Fault.RETELL, Role.AGENT: Fault.AGENT}
#: What no INVITE was sent for, by the cause of our softswitch, or of a jambonz; None: the fault of
#: whom we would call.
_NOT_PLACED: Final[Mapping[str, Fault | None]] = {
    "bad-number": Fault.CALLER,
    "gateways-down": None,
    "jambonz-no-server": Fault.OPERATOR,
    "jambonz-refused": Fault.OPERATOR,
    "jambonz-unauthorized": Fault.OPERATOR,
    "jambonz-uncertain": Fault.UNKNOWN,
    "jambonz-unreachable": Fault.OPERATOR,
    "name-not-resolved": Fault.OPERATOR,
    "no-gateway": Fault.OPERATOR,
    "no-listener": Fault.OPERATOR,
    "no-such-trunk": Fault.OPERATOR,
    "not-registered": Fault.OPERATOR,
    "over-limit": Fault.OPERATOR,
}

#: What jambonz's words mean when they come without a final code.
_WORDS: Final = {"busy": 486, "no-answer": 480, "ringing": 480, "early-media": 480, "failed": 500}

_REASONS: Final = {
    403: "Forbidden",
    480: "Temporarily Unavailable",
    486: "Busy Here",
    500: "Server Internal Error",
}


def final_code(status: str, code: int) -> int:
    """The failed attempt's own code, where it has a final one (300-699), else the word's."""
    return code if 300 <= code <= 699 else _WORDS.get(status, 480)


def dial_refusal(
    role: Role, status: str, code: int, reason: str, *, why: str = "", registered: bool = False
) -> Refusal:
    """The verdict for a failed attempt that no other attempt follows.

    `why` is our softswitch's cause, if it is ours; `registered`: a call was dialled that Retell had
    registered, not a number.

    The code goes back unchanged, except those that mean something else to the caller: a challenge
    (401, 407) needs its header, a redirection its contact, and 487 answers a caller's CANCEL.
    """
    code = final_code(status, code)
    cause = _CAUSES.get(code) or ("unavailable" if 500 <= code <= 599 else "rejected")
    if code in (401, 407):
        back = 403
    elif code < 400 or code == 487:
        back = 480
    else:
        back = code
    phrase = _printable(reason if back == code and reason else _REASONS.get(back, ""))
    if why in _NOT_PLACED:
        return Refusal(back, phrase, why, _NOT_PLACED[why] or peer_of(role))
    if role is Role.RETELL and code == 404 and not registered:
        return Refusal(back, phrase, "number-not-imported", Fault.OPERATOR, by="callee")
    unknown_agent = role is Role.AGENT and cause == "unknown-destination"
    if cause in _OPERATOR_CAUSES or unknown_agent:
        fault = Fault.OPERATOR
    elif cause in _CALLEE_CAUSES and role not in _AGENTS:
        fault = Fault.CALLEE
    else:
        fault = peer_of(role)
    return Refusal(back, phrase, cause, fault, by="callee")


def no_media(code: int, reason: str, cause: str) -> Refusal:
    """The caller's offer could not be used (488), or our media engine failed: no target differs.

    `cause` is the softswitch's, one of `NO_MEDIA`.
    """
    if code == 488:
        return Refusal(code, reason, "bad-sdp", Fault.CALLER)
    return Refusal(code, reason, cause, NO_MEDIA[cause], MEDIA_RETRY_AFTER_S)


def unheard(
    ending: Ending, media: Mapping[str, Any], talked_s: float, near: Fault, far: Fault
) -> Ending:
    """The verdict for an answered call that was over, with what its media counters say: audio that
    never came from one side is that side's (`near`: the one that the call began with, `far`: the
    dialled one), from both the operator's."""
    parties = media.get("a"), media.get("b")
    if media.get("moves"):  # it may have been heard before the media engine died
        return ending
    if talked_s < UNHEARD_S or not all(isinstance(party, dict) for party in parties):
        return ending
    a_silent, b_silent = (party.get("packets_received") == 0 for party in parties if party)
    if a_silent and b_silent:
        return replace(ending, cause="no-media", fault=Fault.OPERATOR)
    if a_silent or b_silent:
        return replace(ending, cause="one-way-media", fault=near if a_silent else far)
    return ending


def rtp_timeout(fault: Fault) -> Ending:
    """The verdict for a call that we ended because a side, whose fault it is, was gone."""
    return Ending("gateway", RTP_TIMEOUT, 200, fault)


def peer_of(role: Role) -> Fault:
    """Whose the far side is."""
    return _AGENTS.get(role, Fault.CARRIER)


def _printable(phrase: str) -> str:
    """A phrase from the network, fit for a status line."""
    return "".join(letter for letter in phrase if letter.isprintable())[:80]
