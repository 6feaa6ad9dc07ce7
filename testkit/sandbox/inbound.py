"""INVITEs that reach the sandbox: registered call ids and imported numbers (retell.com,
custom-telephony), and the refusals for everything else.
"""

import asyncio
import re
from dataclasses import dataclass

import structlog

from sip.b2bua.call_events import Event
from sip.b2bua.legs.inbound import InboundLeg
from sip.b2bua.legs.leg import Leg
from sip.b2bua.legs.state import LegState
from sip.core.message import Request
from sip.ua.server_transaction import ServerTransaction
from sip.ua.user_agent import UserAgent
from testkit.sandbox import countries
from testkit.sandbox.calls import Calls
from testkit.sandbox.errors import ApiError, SandboxError
from testkit.sandbox.fallback import Forward
from testkit.sandbox.models import AgentOverride, InboundOverride
from testkit.sandbox.outcomes import Ending
from testkit.sandbox.session import Session
from testkit.sandbox.sip_headers import as_variables, custom_headers, without_secrets
from testkit.sandbox.store import Call, Number, SipView, Status, Way, pick
from testkit.sandbox.voices import Voices

log = structlog.get_logger(__name__)


class RefusedError(SandboxError):
    """The INVITE gets this final status."""

    def __init__(self, status: int, reason: str | None = None) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Choice:
    """Which agent takes an inbound call, and with what."""

    agent_id: str
    version: int | str | None = None
    override: AgentOverride | None = None
    variables: dict[str, str] | None = None
    metadata: dict[str, object] | None = None


class InboundCall:
    """One INVITE from its arrival to its answer or refusal; then its session carries it on."""

    def __init__(
        self, ua: UserAgent, calls: Calls, voices: Voices, transaction: ServerTransaction
    ) -> None:
        self._calls = calls
        self._settings = calls.settings
        self._voices = voices
        self._ua = ua
        self._leg = InboundLeg(ua, transaction, self._on_event)
        self._invite: Request = transaction.request
        self._call: Call | None = None
        self._call_id = calls.ids.retell_call_id()
        self._successor: Session | Forward | None = None
        self._source = transaction.flow.remote
        self._gone = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> asyncio.Task[None]:
        """Look after the INVITE in a task of its own; the task ends with the answer or refusal."""
        self._leg.start()
        self._task = asyncio.get_running_loop().create_task(self._run())
        return self._task

    def close(self) -> None:
        """The sandbox ends."""
        self._leg.reject(503)
        self._leg.bye()
        if self._successor is not None:
            self._successor.close()

    @property
    def over(self) -> bool:
        """Whether nothing more can come of it."""
        return self._leg.state is LegState.ENDED

    # the way to an answer

    async def _run(self) -> None:
        try:
            user = self._invite.request_uri.user or ""
            if user.startswith("call_"):
                await self._registered(user)
            else:
                await self._number(user)
        except RefusedError as refusal:
            self._refuse(refusal)
        except asyncio.CancelledError:
            self._withdraw()
            if not self._gone:
                raise

    async def _registered(self, call_id: str) -> None:
        """Method 2: the call id is the only credential."""
        answers = self._settings.sip
        call = self._calls.store.call(call_id)
        if call is None or call.way is not Way.REGISTERED:
            raise RefusedError(answers.unknown_call_id)
        if call.disconnection_reason == Ending.REGISTERED_TIMEOUT.value:
            raise RefusedError(answers.expired_call_id)
        if call.claimed or call.status is not Status.REGISTERED:
            raise RefusedError(answers.reused_call_id)
        call.claimed = True
        self._call = call
        if self._settings.headers_on_registered_calls:
            self._take_headers(call)
        self._ring()
        if await self._slot(call, None):
            await self._answer(call, ())

    async def _number(self, user: str) -> None:
        """Method 1: the called number must be imported."""
        number = self._imported(user)
        caller = self._invite.from_.uri.user or ""
        if not countries.allowed(caller, number.allowed_inbound_country_list):
            raise RefusedError(self._settings.sip.country_not_allowed)
        self._ring()
        choice = await self._choose(number, caller)
        try:
            call = self._calls.ring_in(
                self._call_id, number, caller, choice.agent_id, choice.version, choice.override
            )
        except ApiError as error:
            raise RefusedError(self._settings.sip.no_agent) from error
        call.metadata = choice.metadata
        call.variables = dict(choice.variables or {})
        self._call = call
        self._take_headers(call)
        if await self._slot(call, number):
            await self._answer(call, tuple(number.codecs))

    def _imported(self, user: str) -> Number:
        numbers = self._calls.store.numbers
        found = numbers.get(user)
        if found is None and not self._settings.plus_required:
            found = numbers.get(f"+{user}")
        if found is None:
            raise RefusedError(self._settings.sip.unknown_number)
        return found

    async def _choose(self, number: Number, caller: str) -> Choice:
        """The webhook's agent, else the number's own by weight (inbound-call-webhook)."""
        told: InboundOverride | None = None
        bound = pick(number.inbound_agents, self._calls.ids.fraction())
        if number.inbound_webhook_url:
            headers = custom_headers(self._invite.headers)
            told = await self._calls.webhooks.inbound(
                number.inbound_webhook_url,
                {
                    **({"agent_id": bound.agent_id} if bound else {}),
                    "from_number": caller,
                    "to_number": number.phone_number,
                    **({"custom_sip_headers": headers} if headers else {}),
                },
                self._call_id,
            )
        told = told or InboundOverride()
        if told.reject:
            raise RefusedError(self._settings.sip.rejected)
        agent_id = told.override_agent_id or (bound.agent_id if bound else None)
        if agent_id is None:
            raise RefusedError(self._settings.sip.no_agent)
        version = told.override_agent_version
        if version is None and bound is not None and agent_id == bound.agent_id:
            version = bound.agent_version
        return Choice(agent_id, version, told.agent_override, told.dynamic_variables, told.metadata)

    def _take_headers(self, call: Call) -> None:
        headers = custom_headers(self._invite.headers)
        call.custom_sip_headers = headers
        # explicit variables win over header values
        call.variables = {
            **as_variables(headers, self._settings.header_variables),
            **call.variables,
        }

    def _ring(self) -> None:
        if self._settings.ring:
            self._leg.ring()

    async def _slot(self, call: Call, number: Number | None) -> bool:
        """Keep ringing until a slot is free (retell.com, concurrency); False: gone elsewhere."""
        call.sip = self._view()
        if await self._calls.slots.wait(call.call_id, self._settings.over_limit_ring_s):
            return True
        if number is None or number.fallback_number is None:
            self._calls.ended(call, Ending.CONCURRENCY.value)
            raise RefusedError(self._settings.sip.over_limit)
        self._calls.ended(call, Ending.FALLBACK.value)
        self._successor = forward = Forward(self._ua, self._leg, number)
        await forward.start()
        return False

    async def _answer(self, call: Call, codecs: tuple[str, ...]) -> None:
        if self._settings.answer_delay_s:
            await asyncio.sleep(self._settings.answer_delay_s)
        flow = self._leg.flow
        try:
            agent, negotiator = self._voices.open(
                flow.local.host, self._ua.host(flow), call, codecs
            )
        except OSError as error:
            raise RefusedError(503) from error
        session = Session(self._calls, call, self._leg, agent, negotiator, self._voices)
        self._successor = session
        sdp = self._leg.remote_sdp
        remote = negotiator.read(sdp)
        if sdp is None or remote is None:
            # an INVITE without an offer (RFC 3261 13.2.1) is refused as well
            raise RefusedError(self._settings.sip.no_common_codec)
        self._calls.attach(call, session)
        session.expect(remote)
        self._leg.answer(negotiator.answer(sdp, remote))
        if call.sip is not None:
            call.sip.final_status = 200

    def _view(self) -> SipView:
        invite = self._invite
        return SipView(
            sip_call_id=invite.call_id,
            request_uri=invite.uri,
            from_=invite.headers.get("from") or "",
            to=invite.headers.get("to") or "",
            peer=str(self._source),
            headers=without_secrets(invite.headers),
        )

    # the leg

    def _on_event(self, _: Leg, event: Event) -> None:
        if self._task is not None and not self._task.done():
            # before an answer, all that a leg can tell is that the caller gave up
            self._gone = True
            self._task.cancel()
        elif self._successor is not None:
            self._successor.on_event(event)

    def _refuse(self, refusal: RefusedError) -> None:
        log.info(
            "sandbox.refused",
            status=refusal.status,
            sip_call_id=self._invite.call_id,
            uri=_shown(self._invite.uri),
        )
        self._leg.reject(refusal.status, refusal.reason)
        if self._call is not None and self._call.sip is not None:
            self._call.sip.final_status = refusal.status
        self._withdraw()

    def _withdraw(self) -> None:
        """Undo what was taken for a call that is not to be."""
        if self._successor is not None:
            self._successor.close()
        call = self._call
        if call is None or call.status is not Status.REGISTERED:
            return
        self._calls.detach(call)
        if call.way is Way.REGISTERED:
            self._calls.unclaimed(call)
        else:
            ending = Ending.USER_HANGUP if self._gone else Ending.DIAL_FAILED
            self._calls.ended(call, ending.value)


def _shown(uri: str) -> str:
    """A Request-URI for the log; a call id is a credential and loses its end."""
    return re.sub(r"(call_[0-9a-f]{6})[0-9a-f]+", r"\1…", uri)
