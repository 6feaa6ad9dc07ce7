"""Why Twilio places no call, by its own codes: a table (twilio.com/docs/api/errors)."""

from collections.abc import Mapping
from typing import Final

from gateway.calls.endings import Fault, Refusal
from gateway.twilio.rest import TwilioError
from gateway.value import frozen

#: The called number is none; as the number of a call of ours that is not one.
BAD_NUMBER: Final = "bad-number"

_SUSPENDED: Final = (
    "twilio-suspended",
    Fault.OPERATOR,
    "the account is not active: its console says why",
)
_TRIAL: Final = (
    "twilio-trial",
    Fault.OPERATOR,
    "an account on trial calls verified numbers alone: verify it at Twilio (Phone Numbers, Verified"
    " caller IDs), or upgrade the account",
)
_CAUSES: Final[Mapping[int, tuple[str, Fault, str]]] = {
    20003: (
        "twilio-unauthorized",
        Fault.OPERATOR,
        "check twilio.account_sid and twilio.auth_token, and twilio.api_url, its region",
    ),
    10001: _SUSPENDED,
    20005: _SUSPENDED,
    10002: _TRIAL,
    20404: ("twilio-unauthorized", Fault.OPERATOR, "check twilio.account_sid"),
    21205: ("twilio-url", Fault.OPERATOR, "check http.public_url: Twilio must reach it"),
    21609: ("twilio-url", Fault.OPERATOR, "check http.public_url: Twilio must reach it"),
    21210: (
        "twilio-from-not-owned",
        Fault.OPERATOR,
        "call from a number of the account, or from a caller ID that is verified there; a number of"
        " a subaccount belongs into twilio.subaccounts[].numbers",
    ),
    21212: ("twilio-from-not-owned", Fault.OPERATOR, "the number to call from is none"),
    21211: (BAD_NUMBER, Fault.CALLEE, "the number that is called does not exist"),
    21217: (BAD_NUMBER, Fault.CALLEE, "the number that is called does not exist"),
    21214: ("twilio-no-way", Fault.CARRIER, "Twilio has no way to that number"),
    21215: (
        "twilio-geo-permission",
        Fault.OPERATOR,
        "allow the country at Twilio: Voice, Settings, Geo permissions",
    ),
    21216: ("twilio-blocked", Fault.OPERATOR, "Twilio does not call that number; ask its support"),
    21219: _TRIAL,
}
#: Codes and statuses that are only a matter of time: too many requests, too many calls at once,
#: not taken by a server that is about to end.
_PASSING: Final[Mapping[int, str]] = {
    10004: "twilio-full",
    20429: "twilio-throttled",
    429: "twilio-throttled",
    503: "twilio-unavailable",
}
_OTHERS: Final = "twilio-refused"
_UNREACHABLE: Final = "twilio-unreachable"


@frozen(kw_only=True)
class NotPlaced:
    """Nobody was called. `passing`: the same helps later; `words` are for the operator."""

    refusal: Refusal
    words: str
    passing: bool = False
    retry_after_s: float | None = None


def not_placed(error: TwilioError) -> NotPlaced:
    """What an answer means that is certain."""
    if not error.sent:
        return NotPlaced(
            refusal=_refusal(503, _UNREACHABLE, Fault.OPERATOR),
            words=f"Twilio {error.detail}: check twilio.api_url and the way out of this machine",
            passing=True,
        )
    passing = _PASSING.get(error.code) or _PASSING.get(error.status)
    if passing is not None:
        return NotPlaced(
            refusal=_refusal(503, passing, Fault.OPERATOR),
            words=f"Twilio says {error.detail}",
            passing=True,
            retry_after_s=error.retry_after_s,
        )
    cause, fault, mend = _CAUSES.get(error.code, (_OTHERS, Fault.OPERATOR, ""))
    if not mend and error.status == 401:
        cause, fault, mend = _CAUSES[20003]
    code = f" ({error.code})" if error.code else ""
    words = f"Twilio says {error.detail}{code}"
    return NotPlaced(
        refusal=_refusal(404 if cause == BAD_NUMBER else 403, cause, fault),
        words=f"{words}: {mend}" if mend else words,
    )


def _refusal(status: int, cause: str, fault: Fault) -> Refusal:
    return Refusal(status, "Not Placed", cause, fault)
