"""No slot became free: the caller goes on to the number's `fallback_number` (retell.com,
concurrency). Two legs whose SDP passes through; the audio does not come here.
"""

import structlog

from sip.b2bua.call_events import Connect, Disconnect, Event, Fail, Offer
from sip.b2bua.legs.inbound import InboundLeg
from sip.b2bua.legs.leg import Leg
from sip.b2bua.legs.outbound import Invitation, OutboundLeg
from sip.core.header_values import NameAddr
from sip.errors import ParseError
from sip.transport.servers.resolver import ResolveError
from sip.ua.user_agent import UserAgent
from testkit.sandbox.store import Number
from testkit.sandbox.trunk import credentials, termination

log = structlog.get_logger(__name__)

#: What the caller gets when the trunk is out of reach.
UNREACHABLE = 503


class Forward:
    """The caller's leg and the one to the fallback number, until both are gone."""

    def __init__(self, ua: UserAgent, caller: InboundLeg, number: Number) -> None:
        self._ua = ua
        self._caller = caller
        self._number = number
        self._leg: OutboundLeg | None = None

    async def start(self) -> None:
        """Dial the fallback number; the caller hears it ring on."""
        number, invite = self._number, self._caller.invite
        try:
            target = termination(number, number.fallback_number or "")
            flow = await self._ua.flow_to(target)
        except (ParseError, ResolveError, OSError) as error:
            log.info("sandbox.fallback-unreachable", error=str(error))
            self._caller.reject(UNREACHABLE)
            return
        invitation = Invitation(
            uri=str(target),
            caller=NameAddr(None, invite.from_.uri),
            callee=NameAddr(None, target.replace(params=())),
            sdp=self._caller.remote_sdp or "",
        )
        self._leg = OutboundLeg(
            self._ua, invitation, flow, self._on_callee, credentials=credentials(number)
        )
        self._leg.start()

    def on_event(self, event: object) -> None:
        """What the caller's leg tells."""
        match event:
            case Offer():
                self._caller.refuse(488)
            case Disconnect():
                self.close()

    def close(self) -> None:
        """End both legs, in whatever state they are."""
        self._caller.reject(UNREACHABLE)
        self._caller.bye()
        if self._leg is not None:
            self._leg.cancel()
            self._leg.bye()

    def _on_callee(self, leg: Leg, event: Event) -> None:
        match event:
            case Connect(sdp=sdp) if sdp:
                self._caller.answer(sdp)
            case Fail(status=status, reason=reason):
                self._caller.reject(status, reason)
            case Offer():
                leg.refuse(488)
            case Connect() | Disconnect():
                self.close()
