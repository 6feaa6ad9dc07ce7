"""What happens to a call, as its machine is told it. Every `at` is in seconds since 1970."""

from typing import TypeAlias

from gateway.jambonz.messages import DialResult, LegStatus
from gateway.retell.failures import RetellFailure
from gateway.value import frozen


@frozen(kw_only=True)
class Registered:
    """Retell took the call: dial `uri` within five minutes."""

    at: float
    retell_call_id: str
    uri: str


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
class Failed:
    """The application failed while it handled this call."""

    at: float


@frozen(kw_only=True)
class Lost:
    """jambonz's connection is gone for good, and with it any news of the call."""

    at: float


Event: TypeAlias = (
    Registered
    | RegistrationFailed
    | LegChanged
    | DialEnded
    | CallChanged
    | FaxHeard
    | Failed
    | Lost
)
