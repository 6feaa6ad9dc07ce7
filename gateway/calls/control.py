"""What may be asked of a call that is up from outside it, and what comes of it: values and errors.

Who does it is behind `gateway.http.ports.LiveCallControl`.
"""

from collections.abc import Awaitable, Callable
from typing import Literal, TypeAlias

from gateway.calls.endings import Fault
from gateway.value import frozen

#: The caller's leg, and the other one.
Leg: TypeAlias = Literal["a", "b"]
#: `transferred`: the caller talks to the target. `failed`: the caller is where it was before.
#: `unknown`: the carrier has the caller, and told nothing more.
Outcome: TypeAlias = Literal["transferred", "failed", "unknown"]


@frozen
class TransferVerdict:
    """What became of a transfer; there is exactly one of each.

    `stage` is where it was when it ended (`refer`, `bridge`, …), `target` who was tried last,
    `code` the SIP status of that (None where there was none), `reason` its words, and `attempt`
    its number, from 1.
    """

    outcome: Outcome
    stage: str
    target: str
    code: int | None
    reason: str
    attempt: int


@frozen
class Transfer:
    """A transfer that has begun. `outcome` waits for its verdict, which comes in any case: with the
    call's end at the latest; it may be asked more than once, and left without harm."""

    transfer_id: str
    outcome: Callable[[], Awaitable[TransferVerdict]]


class ControlError(Exception):
    """What was asked is not done, and the call goes on as before. The text is a sentence."""

    fault: Fault = Fault.CALLER


class NotLiveError(ControlError):
    """The call is over, or not of this gateway."""


class WrongStateError(ControlError):
    """Not now: nobody has answered yet, it is on hold already, a transfer runs, …"""


class UnsupportedError(ControlError):
    """The softswitch that carries the call cannot do it: a jambonz elsewhere lacks it."""

    fault = Fault.OPERATOR


class NoSoundError(ControlError):
    """There is no such file in `media.sounds`."""


class TransferRefusedError(ControlError):
    """Nobody was called. `code` is what a REFER would have got.

    404: `to` is not in the directory, `may` names what is; 403: the destination guard forbids it;
    482: our own number, a loop; 480: closed at this hour; 491: another transfer of the call runs.
    """

    def __init__(self, code: int, text: str, may: tuple[str, ...] = ()) -> None:
        super().__init__(text)
        self.code = code
        self.may = may
