"""INVITEs that take the place of a leg which is up (RFC 3891).

PBXs send them at the end of a transfer with a talk before it (RFC 5589 7), and where a call is
picked up at another phone. A leg can be replaced by its own trunk alone.
"""

from collections.abc import Iterable
from functools import partial

from sip.b2bua.call import Call
from sip.b2bua.legs.inbound import InboundLeg
from sip.b2bua.legs.sip_leg import SipLeg
from sip.core.replaces import Replaces
from sip.errors import Fault, SipError
from sip.softswitch.trunks.trunk import Trunk
from sip.ua.server_transaction import ServerTransaction
from sip.ua.user_agent import UserAgent


class ReplacesError(SipError):
    """What is to be replaced cannot be; `status` and `reason` say so in SIP's words."""

    fault = Fault.PEER

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status} {reason}")
        self.status = status
        self.reason = reason


def replace(
    ua: UserAgent,
    calls: Iterable[Call],
    transaction: ServerTransaction,
    trunk: Trunk,
    replaces: Replaces,
) -> None:
    """Put the leg of `transaction`, which `trunk` brings, in the place of one in one of `calls`.

    Raises ReplacesError, and has said nothing then (RFC 3891 3).
    """
    leg = _leg_of(ua, replaces)
    if leg.options.trunk != trunk.name:
        raise ReplacesError(403, "Dialog Of Another Trunk")
    if replaces.early_only and leg.up:
        raise ReplacesError(486, "Dialog Is Answered")
    for call in calls:
        name = call.name_of(leg)
        if name is not None and leg.up and not call.over:
            call.replace(
                name,
                partial(
                    InboundLeg,
                    ua,
                    transaction,
                    credentials=trunk.credentials,
                    options=trunk.leg,
                ),
            )
            return
    raise ReplacesError(481, "Dialog Is Not Up")


def _leg_of(ua: UserAgent, replaces: Replaces) -> SipLeg:
    leg = ua.dialog_user(replaces.sip_call_id, replaces.to_tag)
    dialog = leg.dialog if isinstance(leg, SipLeg) else None
    if not isinstance(leg, SipLeg) or dialog is None or dialog.remote_tag != replaces.from_tag:
        raise ReplacesError(481, "No Such Dialog")
    return leg
