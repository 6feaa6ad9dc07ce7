"""What happens to a call, as its machine is told it. Every `at` is in seconds since 1970."""

from typing import TypeAlias

from gateway.calls.endings import Refusal
from gateway.calls.transfer_order import TransferOrder
from gateway.jambonz.messages import AmdHeard, DialResult, LegStatus, ReferResult
from gateway.retell.failures import RetellFailure
from gateway.value import frozen


@frozen(kw_only=True)
class Registered:
    """Retell took the call: dial `uri` within five minutes."""

    at: float
    retell_call_id: str
    uri: str


@frozen(kw_only=True)
class RoomFound:
    """Retell has room for a caller who waited for it, and whose call need not be registered."""

    at: float


@frozen(kw_only=True)
class RegistrationFailed:
    """Retell did not take the call."""

    at: float
    failure: RetellFailure
    #: what Retell itself said
    detail: str = ""


@frozen(kw_only=True)
class LegChanged:
    """A dialled leg (child) reported."""

    at: float
    status: LegStatus


@frozen(kw_only=True)
class DialEnded:
    """The action hook of the dial in progress."""

    at: float
    result: DialResult


@frozen(kw_only=True)
class CallChanged:
    """The caller's leg (parent) reported."""

    at: float
    status: LegStatus


@frozen(kw_only=True)
class FaxHeard:
    """The caller is a fax machine."""

    at: float


@frozen(kw_only=True)
class TransferAsked:
    """The caller is to be handed to somebody, who may be called.

    `first_stays`: who is handed on is the leg that the call began with; else it is the other one,
    whom an agent called.
    """

    at: float
    order: TransferOrder
    first_stays: bool = True


@frozen(kw_only=True)
class TransferRefused:
    """The caller is not to be handed to whom was asked for; `order` has nothing to try."""

    at: float
    order: TransferOrder
    code: int
    reason: str


@frozen(kw_only=True)
class TransferUntold:
    """The softswitch did not get, or cannot use, what the transfer was to do."""

    at: float


@frozen(kw_only=True)
class ReferEnded:
    """The action hook of the transfer's REFER."""

    at: float
    result: ReferResult


@frozen(kw_only=True)
class ReferSucceeded:
    """The event hook of the transfer's REFER: the caller's own side has got through, which its
    action hook says next, unless it has given up before."""

    at: float


@frozen(kw_only=True)
class TransferDialEnded:
    """The action hook of the transfer's dial."""

    at: float
    result: DialResult


@frozen(kw_only=True)
class TransferSaid:
    """What the transfer said to the caller is over."""

    at: float


@frozen(kw_only=True)
class CalleeAsked:
    """A callee of the transfer has answered: what it hears before it is joined?"""

    at: float
    number: int


@frozen(kw_only=True)
class CalleePressed:
    """A callee of the transfer has heard it, and pressed `digits`."""

    at: float
    number: int
    digits: str


@frozen(kw_only=True)
class PersonPlaced:
    """The person's leg is on its way, and has that id."""

    at: float
    call_sid: str


@frozen(kw_only=True)
class PersonNotPlaced:
    """No INVITE went to the person; `code` is what it would have got."""

    at: float
    code: int
    cause: str
    detail: str


@frozen(kw_only=True)
class PersonAnswered:
    """The person's leg is up, whoever it is."""

    at: float


@frozen(kw_only=True)
class PersonHeard:
    """Something is heard of who answered."""

    at: float
    heard: AmdHeard


@frozen(kw_only=True)
class MessageSaid:
    """What was said to an answering machine is over; `whole`: to its end."""

    at: float
    whole: bool


@frozen(kw_only=True)
class Withdrawn:
    """The call is not wanted any more."""

    at: float


@frozen(kw_only=True)
class Stopped:
    """The call may not go on, for that reason; `said` is a file that the first leg hears before it
    ends."""

    at: float
    refusal: Refusal
    said: str | None = None


@frozen(kw_only=True)
class Failed:
    """The application failed while it handled this call."""

    at: float


@frozen(kw_only=True)
class Lost:
    """jambonz's connection is gone for good, and with it any news of the call."""

    at: float


Event: TypeAlias = (
    Registered
    | RoomFound
    | RegistrationFailed
    | LegChanged
    | DialEnded
    | CallChanged
    | FaxHeard
    | TransferAsked
    | TransferRefused
    | TransferUntold
    | ReferEnded
    | ReferSucceeded
    | TransferDialEnded
    | TransferSaid
    | CalleeAsked
    | CalleePressed
    | PersonPlaced
    | PersonNotPlaced
    | PersonAnswered
    | PersonHeard
    | MessageSaid
    | Withdrawn
    | Stopped
    | Failed
    | Lost
)
