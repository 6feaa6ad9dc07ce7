"""What became of a transfer, in words for the agent that asked for it: it reads them, and tells
the caller."""

from typing import Final

from gateway.calls.control import (
    ControlError,
    NotLiveError,
    TransferRefusedError,
    TransferVerdict,
    UnsupportedError,
)
from gateway.value import frozen

_HERE: Final = "The caller is still with you."
#: Names that are listed to an agent who asked for one that is none.
_MOST_NAMES: Final = 50

#: Whom the target's SIP status is about; what is not here could not be reached.
_FAILED: Final = {
    486: ("busy", "{to} is busy."),
    600: ("busy", "{to} is busy."),
    408: ("no-answer", "{to} did not answer."),
    480: ("no-answer", "{to} did not answer."),
    487: ("no-answer", "{to} did not answer."),
    603: ("declined", "{to} declined the call."),
    403: ("declined", "The call to {to} was not accepted."),
}
_REFUSED: Final = {
    403: ("forbidden", "Transfers to {to} are not allowed."),
    480: ("closed", "{to} is closed at this hour."),
    482: ("forbidden", "{to} is this very line, and cannot be transferred to."),
    491: ("under-way", "The caller is being transferred already."),
}


@frozen
class Words:
    """`outcome` is a slug for programs and conditions, `message` what the agent reads."""

    outcome: str
    message: str


def of_verdict(to: str, verdict: TransferVerdict) -> Words:
    """A transfer to `to` that is over."""
    if verdict.outcome == "transferred":
        return Words("transferred", f"The caller is now connected to {to}.")
    if verdict.outcome == "unknown":
        text = (
            f"The caller was handed over to be connected to {to}; whether it worked is not known."
        )
        return Words("unknown", text)
    outcome, text = _FAILED.get(verdict.code or 0, ("unreachable", "{to} could not be reached."))
    return Words(outcome, f"{text.format(to=to)} {_HERE}")


def of_refusal(to: str, error: ControlError) -> Words:
    """A transfer to `to` that was not begun."""
    match error:
        case TransferRefusedError(code=404):
            return unknown_name(to, error.may)
        case TransferRefusedError(code=code) if code in _REFUSED:
            outcome, text = _REFUSED[code]
            return Words(outcome, f"{text.format(to=to)} {_HERE}")
        case NotLiveError():
            return Words("call-over", "The call is over; there is nobody to transfer.")
        case UnsupportedError():
            return Words("unsupported", f"Callers of this line cannot be transferred. {_HERE}")
        case _:
            return Words("refused", f"The caller cannot be transferred now: {error}. {_HERE}")


def unknown_name(to: str, may: tuple[str, ...]) -> Words:
    """`to` is nobody; `may` are those who can be asked for."""
    who = f'There is nobody called "{to}" to transfer to'
    if not may:
        return Words("unknown-name", f"{who}. {_HERE}")
    names = ", ".join(may[:_MOST_NAMES])
    return Words("unknown-name", f"{who}; you may transfer to: {names}. {_HERE}")


def still_trying(to: str) -> Words:
    """It goes on, and whoever asked cannot wait any longer."""
    return Words(
        "trying", f"{to} is still being called; the caller stays with you until they answer."
    )


NO_TARGET: Final = Words("no-target", f"Say whom to transfer to, as the argument to. {_HERE}")
UNKNOWN_CALL: Final = Words(
    "unknown-call", "This call is not known to the telephone system, and cannot be transferred."
)
