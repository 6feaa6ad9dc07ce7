"""A transfer by an INVITE of Retell's own (retell.com, transfer-call: warm, or `sip_invite`).

The target is dialled over the trunk of the call's number, as a call of its own; when it answers,
the audio of both is bridged here. For the trunk it is a second call that has nothing to do with the
first, but for the caller's number in From and P-Asserted-Identity.
"""

import asyncio

import structlog

from sip.b2bua.call_events import Connect, Disconnect, Event, Fail, Offer
from sip.b2bua.legs.leg import Leg
from sip.b2bua.legs.outbound import Invitation, OutboundLeg
from sip.clock import Timer
from sip.core.header_values import NameAddr
from sip.core.uri import Uri
from sip.errors import ParseError
from sip.transport.endpoint import Flow
from sip.transport.servers.resolver import ResolveError
from testkit.sandbox.agent import AgentMedia
from testkit.sandbox.calls import Calls
from testkit.sandbox.negotiation import Negotiator
from testkit.sandbox.settings import Warm
from testkit.sandbox.sip_headers import outgoing
from testkit.sandbox.store import Number, Outcome, ToolUse
from testkit.sandbox.transfer import Talk
from testkit.sandbox.trunk import credentials, termination
from testkit.sandbox.voices import Voices

log = structlog.get_logger(__name__)


class WarmTransfer:
    """The leg to the target, from its INVITE until both legs are gone."""

    def __init__(
        self, talk: Talk, calls: Calls, voices: Voices, number: Number, order: Warm, use: ToolUse
    ) -> None:
        self._talk = talk
        self._calls = calls
        self._voices = voices
        self._number = number
        self._order = order
        self._use = use
        self._leg: OutboundLeg | None = None
        self._media: AgentMedia | None = None
        self._negotiator: Negotiator | None = None
        self._ringing: Timer | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Dial the target; the agent and the caller talk on meanwhile."""
        self._task = asyncio.get_running_loop().create_task(self._dial())

    def close(self) -> None:
        """The caller is gone: so is the target."""
        if self._task is not None:
            self._task.cancel()
        self._stop_ringing()
        if self._use.outcome is Outcome.RUNNING:
            self._use.outcome = Outcome.CUT_OFF
        if self._leg is not None:
            self._leg.cancel()
            self._leg.bye()
        if self._media is not None:
            self._media.close()

    async def _dial(self) -> None:
        try:
            target = termination(self._number, self._order.number)
            flow = await self._talk.leg.ua.flow_to(target)
            self._invite(target, flow)
        except (ParseError, ResolveError, OSError) as error:
            log.info("sandbox.target-unreachable", number=self._order.number, error=str(error))
            self._failed(None)

    def _invite(self, target: Uri, flow: Flow) -> None:
        ua, call, number = self._talk.leg.ua, self._talk.call, self._number
        host = ua.host(flow)
        media, negotiator = self._voices.open(flow.local.host, host, call, number.codecs)
        self._media, self._negotiator = media, negotiator
        headers = outgoing(self._order.headers)
        shown = number.phone_number
        if self._order.show_transferee_as_caller:
            shown = call.from_number if call.direction == "inbound" else call.to_number
            headers.append(("P-Asserted-Identity", f"<sip:{shown}@{host}>"))
        invitation = Invitation(
            uri=str(target),
            caller=NameAddr(None, Uri("sip", user=shown, host=host)),
            callee=NameAddr(None, target.replace(params=())),
            sdp=negotiator.offer(),
            headers=tuple(headers),
        )
        leg = OutboundLeg(ua, invitation, flow, self._on_event, credentials=credentials(number))
        self._leg = leg
        self._use.sip_call_id = leg.sip_call_id
        self._ringing = self._calls.clock.call_later(self._order.ring_s, self._give_up)
        leg.start()

    def _on_event(self, leg: Leg, event: Event) -> None:
        match event:
            case Connect(sdp=sdp):
                self._connected(sdp)
            case Fail(status=status):
                self._failed(status)
            case Offer(sdp=sdp):
                self._reoffered(leg, sdp)
            case Disconnect():
                self._talk.transferred(self._use)

    def _connected(self, sdp: str | None) -> None:
        self._stop_ringing()
        media, negotiator = self._media, self._negotiator
        remote = negotiator.read(sdp) if negotiator is not None else None
        if media is None or remote is None:
            self._give_up()
            return
        media.start(remote)
        media.bridge(self._talk.media)
        use = self._use
        use.status, use.outcome, use.heard = 200, Outcome.DONE, media.heard
        self._calls.transfer_event("transfer_bridged", self._talk.call, use)

    def _reoffered(self, leg: Leg, sdp: str | None) -> None:
        media, negotiator = self._media, self._negotiator
        running = media.remote if media is not None else None
        if media is None or negotiator is None or sdp is None or running is None:
            leg.refuse(488)
            return
        agreed = negotiator.read(sdp, running.law)
        if agreed is None:
            leg.refuse(488)
            return
        media.move(agreed)
        leg.accept(negotiator.answer(sdp, agreed))

    def _give_up(self) -> None:
        """It did not answer in time, or not so that anything could be heard."""
        if self._leg is not None:
            self._leg.cancel()
            self._leg.bye()
        self._failed(None)

    def _failed(self, status: int | None) -> None:
        self._stop_ringing()
        if self._media is not None:
            self._media.close()
        if self._use.outcome is Outcome.RUNNING:
            self._use.status = status
            self._talk.transfer_failed(self._use)

    def _stop_ringing(self) -> None:
        if self._ringing is not None:
            self._ringing.cancel()
            self._ringing = None
