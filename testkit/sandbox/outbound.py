"""Calls that create-phone-call places: an INVITE to the number's trunk, with digest if it asks."""

import asyncio

import structlog

from sip.b2bua.call_events import Connect, Event, Fail
from sip.b2bua.legs.leg import Leg
from sip.b2bua.legs.outbound import Invitation, OutboundLeg
from sip.clock import Timer
from sip.core.header_values import NameAddr
from sip.core.uri import Uri
from sip.errors import ParseError
from sip.transport.endpoint import Flow
from sip.transport.servers.resolver import ResolveError
from sip.ua.user_agent import UserAgent
from testkit.sandbox.calls import Calls
from testkit.sandbox.errors import ApiError
from testkit.sandbox.negotiation import Negotiator
from testkit.sandbox.outcomes import Ending, reason_for_status
from testkit.sandbox.session import Session
from testkit.sandbox.settings import Tool
from testkit.sandbox.sip_headers import outgoing
from testkit.sandbox.store import Call, Number, SipView, ToolUse
from testkit.sandbox.trunk import credentials, termination
from testkit.sandbox.voices import Voices

log = structlog.get_logger(__name__)


class OutboundCall:
    """One dialling, from the INVITE to its answer or failure; then its session carries it on."""

    def __init__(
        self, ua: UserAgent, calls: Calls, voices: Voices, call: Call, number: Number
    ) -> None:
        self._ua = ua
        self._calls = calls
        self._voices = voices
        self._call = call
        self._number = number
        self._leg: OutboundLeg | None = None
        self._session: Session | None = None
        self._negotiator: Negotiator | None = None
        self._ring_timer: Timer | None = None

    def start(self) -> asyncio.Task[None]:
        """Dial in a task of its own; the task ends when the INVITE is out."""
        self._calls.attach(self._call, self)
        return asyncio.get_running_loop().create_task(self._dial())

    def hang_up(self, ending: Ending, headers: dict[str, str]) -> None:
        """stop-call while it rings."""
        self._give_up(ending.value)

    def use(self, tool: Tool) -> ToolUse:
        """Nobody has answered yet. Raises ApiError(422)."""
        raise ApiError(422, f"Call {self._call.call_id} is not ongoing")

    def close(self) -> None:
        """The sandbox ends."""
        self._stop_ringing()
        if self._leg is not None:
            self._leg.cancel()
            self._leg.bye()
        if self._session is not None:
            self._session.close()

    @property
    def over(self) -> bool:
        """Whether nothing more can come of it."""
        return self._call.status.over

    async def _dial(self) -> None:
        try:
            target = termination(self._number, self._call.to_number)
            flow = await self._ua.flow_to(target)
        except (ParseError, ResolveError, OSError) as error:
            # imports are not checked: a wrong trunk shows at its first call
            log.info("sandbox.unreachable", retell_call_id=self._call.call_id, error=str(error))
            self._calls.ended(self._call, Ending.UNREACHABLE.value)
            return
        if not self._call.status.over:
            self._invite(target, flow)

    def _invite(self, target: Uri, flow: Flow) -> None:
        call, number = self._call, self._number
        host = self._ua.host(flow)
        try:
            agent, negotiator = self._voices.open(flow.local.host, host, call, number.codecs)
        except OSError as error:
            log.warning("sandbox.no-port", error=str(error))
            self._calls.ended(call, "error_retell")
            return
        caller = NameAddr(None, Uri("sip", user=call.from_number, host=host))
        callee = NameAddr(None, target.replace(params=()))
        leg = OutboundLeg(
            self._ua,
            Invitation(
                uri=str(target),
                caller=caller,
                callee=callee,
                sdp=negotiator.offer(),
                headers=tuple(outgoing(call.custom_sip_headers)),
            ),
            flow,
            self._on_event,
            credentials=credentials(number),
        )
        self._leg, self._negotiator = leg, negotiator
        self._session = Session(self._calls, call, leg, agent, negotiator, self._voices)
        call.sip = SipView(
            sip_call_id=leg.sip_call_id,
            request_uri=str(target),
            from_=str(caller),
            to=str(callee),
            peer=str(flow.remote),
        )
        ring_s = call.agent.ring_duration_ms / 1000
        self._ring_timer = self._calls.clock.call_later(
            ring_s, self._give_up, Ending.RING_TIMEOUT.value
        )
        leg.start()

    def _on_event(self, _: Leg, event: Event) -> None:
        match event:
            case Connect(sdp=sdp):
                self._connected(sdp)
            case Fail(status=status):
                self._failed(status)
            case _ if self._session is not None:
                self._session.on_event(event)

    def _connected(self, sdp: str | None) -> None:
        self._stop_ringing()
        if self._call.sip is not None:
            self._call.sip.final_status = 200
        if self._session is None or self._negotiator is None:
            return
        remote = self._negotiator.read(sdp)
        if remote is not None:
            self._session.begin(remote)
        else:  # an answer without a codec of ours: nothing can be heard
            self._session.hang_up(Ending.DIAL_FAILED, {})

    def _failed(self, status: int) -> None:
        self._stop_ringing()
        if self._call.sip is not None:
            self._call.sip.final_status = status
        if self._session is not None:
            self._session.close()
        self._calls.ended(self._call, reason_for_status(status))

    def _give_up(self, reason: str) -> None:
        """Cancel; an answer that crosses it is hung up by the leg."""
        self._stop_ringing()
        if self._leg is not None:
            self._leg.cancel()
        if self._session is not None:
            self._session.close()
        self._calls.ended(self._call, reason)

    def _stop_ringing(self) -> None:
        if self._ring_timer is not None:
            self._ring_timer.cancel()
            self._ring_timer = None
