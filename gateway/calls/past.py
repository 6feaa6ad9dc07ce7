"""What a former run of this program knew of a call. Times are seconds since 1970."""

from dataclasses import field

from gateway.calls.transfer import Transfer
from gateway.calls.tried import Tried
from gateway.value import frozen


@frozen(kw_only=True)
class Past:
    """What a former run of this program put on record of a call."""

    tried: list[Tried]
    answered: float | None
    retell_call_id: str | None
    #: where a registered call is dialled
    uri: str | None
    #: they add to `tried`
    transfers: list[Transfer] = field(default_factory=list)
